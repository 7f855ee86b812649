/*
 * dataset.h - what amend dataset push sends: an open file of JSON Lines or safetensors, made of whatever the person
 * has. The service reads these two forms only, so that no parser of the others runs there. Private to cmd_dataset.c and
 * dataset_*.c.
 */
#ifndef AM_CLI_DATASET_H
#define AM_CLI_DATASET_H

#include "cli/cli.h"

#include <stdio.h>

#define AM_DATASET_FILES_MAX 64

struct am_dataset_push {
    const char *file[AM_DATASET_FILES_MAX + 1]; /* NULL-terminated; "-": standard input */
    size_t files;
    const char *format, *labels, *ids, *class; /* options, or NULL */
    /* what comes of it */
    FILE *out;
    bool lines;   /* JSON Lines; else safetensors */
    bool gzip;    /* as it is sent */
    bool row_ids; /* its rows are to be numbered */
};

/* Opens, or makes, the file to send. Says what is wrong and returns an exit code. am_dataset_push_done() in every case.
 */
int am_dataset_open(const struct am_cli *c, struct am_dataset_push *p);
void am_dataset_push_done(struct am_dataset_push *p);

/* dataset_file.c: an open input, unpacked into a temporary file when it is gzip. NULL: it was said. */
struct am_source {
    const char *path;
    FILE *in;
};
int am_source_open(const struct am_cli *c, const char *path, struct am_source *ret);
void am_source_done(struct am_source *s);
/* Exactly n bytes; else says that the file ends too early and returns an exit code. */
int am_source_read(const struct am_cli *c, struct am_source *s, void *buf, size_t n);

/* The tensors of a file in the making, in the order of their data. */
struct am_part {
    const char *name, *dtype;
    uint64_t shape[8], bytes;
    unsigned rank;
};
enum { AM_PARTS_AT = 4096 }; /* where the data begins: room for the header, which is written last */
/* A temporary file that stands where the data begins. NULL: it was said. */
FILE *am_parts_begin(const struct am_cli *c);
int am_parts_end(const struct am_cli *c, FILE *out, const struct am_part *part, size_t n);

/* dataset_idx.c, dataset_cifar.c, dataset_npy.c, dataset_csv.c: fill in p->out and p->lines. */
int am_dataset_idx(const struct am_cli *c, struct am_dataset_push *p);
int am_dataset_cifar(const struct am_cli *c, struct am_dataset_push *p, unsigned labels /* bytes before each image */);
int am_dataset_npy(const struct am_cli *c, struct am_dataset_push *p);
int am_dataset_csv(const struct am_cli *c, struct am_dataset_push *p);

#endif
