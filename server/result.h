/*
 * result.h - result.ndjson of a finished worker, read line by line and checked: counts, hex, sizes, paths, order, hash.
 * Does not look at the staged files themselves (storage/blobs.h does) and inserts nothing (publisher.c does).
 * Ownership: am_result owns everything in it until am_result_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_RESULT_H
#define AM_SERVER_RESULT_H

#include "server/records.h"
#include "storage/models.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_RESULT_NAME "result.ndjson"
#define AM_RESULT_LINE 65536       /* bytes of a line without its line feed */
#define AM_RESULT_BYTES 67108864   /* of the whole file */
#define AM_RESULT_FILES_MAX 10000  /* files and kept files together */
#define AM_RESULT_BLOBS_MAX 20000  /* records `blob` */
#define AM_RESULT_SPANS_MAX 400000 /* of all files together */
#define AM_RESULT_BEHIND_MAX 4096  /* distinct blobs behind one file; what a worker is told to keep to is less */
#define AM_RESULT_WARNINGS_MAX 200 /* kept; more are counted */

struct am_result_file {
    const char *path, *staged /* NULL: assembled */, *sha256, *git_sha1; /* git_sha1 NULL: class lfs */
    int64_t bytes;
    bool weights;
    size_t first, tensors;    /* its tensors: am_result.tensor[first .. first + tensors) */
    size_t first_span, spans; /* of an assembled file: am_result.span[first_span ..]; they tile it */
    size_t behind;            /* distinct blobs behind it */
    int64_t filled;           /* where the spans read so far end */
};

struct am_result_blob { /* what spans point into */
    const char *staged; /* NULL: a blob of the inputs; whether it is one, and how long, the publisher asks */
    const char *sha256;
    int64_t bytes; /* -1: of the inputs */
    int64_t end;   /* no span reaches beyond */
    size_t file;   /* 1 + the last file that named it: counts the blobs behind one file */
};

struct am_result_span {
    size_t blob;
    int64_t offset, bytes;
};

struct am_result_note {
    const char *code, *detail;
};

struct am_result_metric {
    const char *name;
    int64_t input; /* number of the input that it is about, as in the spec; -1: none */
    double value;
};

struct am_result {
    const char *architecture; /* or NULL */
    struct am_result_file *file;
    struct am_tensor_new *tensor;
    const char **keep;
    struct am_result_blob *blob;
    struct am_result_span *span;
    struct am_result_note *warning;
    struct am_result_metric *metric;
    size_t files, tensors, keeps, blobs, spans, warnings, warnings_total, metrics;
    void *arena; /* the texts */
};

/* Reads `staging`/result.ndjson and holds it to what `done` said. 0, or a negative error with a sentence in `why`. */
int am_result_read(struct am_result *ret, int staging, const struct am_record_done *done, char *why, size_t why_cap);
void am_result_done(struct am_result *r);

#endif
