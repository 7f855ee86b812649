/*
 * model.h - the weights of one input version as a worker sees them: files made of spans over open descriptors, and one
 * table of tensors over all of them. A method never learns whether a file is whole, sharded or assembled. Not a cache:
 * every read is a pread. Ownership: am_model owns its tables, not the descriptors. am_model_done() is safe on a zeroed
 * struct.
 */
#ifndef AM_TENSOR_MODEL_H
#define AM_TENSOR_MODEL_H

#include "core/base/fault.h"
#include "core/tensor/safetensors.h"

#include <stdint.h>

struct am_span {
    int fd;
    uint64_t offset, bytes; /* in the descriptor */
    uint64_t at;            /* in the file; spans tile it without gaps */
};

/* Reads of a file that is no bytes anywhere but made when it is read (core/tensor/gather.h). */
struct am_file;
typedef int am_file_made(const struct am_file *f, void *buf, size_t n, uint64_t off);

struct am_file {
    const char *path;   /* inside the version; owned by the caller */
    const char *sha256; /* of the content, or NULL: not known; owned by the caller */
    uint64_t bytes;
    struct am_span *span; /* owned by the caller */
    size_t spans;
    am_file_made *made; /* instead of the spans, or NULL; thread-safe */
    const void *ctx;    /* of made(); owned by the caller */
};

/* Exactly n bytes at `off` of the file, over its spans. -AM_E_STORE_DAMAGED when a span is short. Thread-safe. */
int am_file_read(const struct am_file *f, void *buf, size_t n, uint64_t off);
/* The span that holds byte `off` of the file, or NULL. */
const struct am_span *am_file_span(const struct am_file *f, uint64_t off);

struct am_tensor {
    const char *name;
    const uint64_t *shape;
    uint8_t dtype, rank;
    uint64_t elements, bytes;
    uint32_t file;  /* index into am_model.file */
    uint64_t begin; /* byte in that file */
};

struct am_model {
    const struct am_file *file; /* weight files only */
    struct am_st *head;         /* one for each file */
    size_t files;
    struct am_tensor *tensor; /* sorted by name */
    size_t tensors;
};

/* Reads the headers of `files` weight files. Faults: malformed headers, and a tensor in two files (rule "duplicate").
 */
int am_model_open(struct am_model *ret, const struct am_file *file, size_t files, struct am_st_limits limits,
                  struct am_faults *faults);
const struct am_tensor *am_model_find(const struct am_model *m, const char *name);
int am_model_read(const struct am_model *m, const struct am_tensor *t, void *buf, size_t bytes, uint64_t off_in_tensor);
/* Where in its descriptor that begins to be read; 0: nowhere. */
uint64_t am_model_offset(const struct am_model *m, const struct am_tensor *t, uint64_t off_in_tensor);
void am_model_done(struct am_model *m);

#endif
