/*
 * st_index.h - <prefix>.safetensors.index.json against the headers of the files beside it (safetensors.md 4). One set
 * of rules for the registration of a folder and for a check of it without a daemon. Ownership: everything is borrowed;
 * the faults are the caller's.
 */
#ifndef AM_TENSOR_ST_INDEX_H
#define AM_TENSOR_ST_INDEX_H

#include "core/tensor/safetensors.h"

#include <stdbool.h>

struct am_st_index {
    const char *path; /* of the index, for faults */
    /* Called once for each file that the index names. The header of the file of that plain name in the folder of the
       index, which stays where it is during the check; NULL and *ret_there: it is there and malformed, which is told
       elsewhere; NULL alone: it is not there. */
    const struct am_st *(*head)(void *ctx, const char *name, bool *ret_there);
    void *ctx;
};

struct am_st_index_sum {
    size_t tensors, files;
    uint64_t bytes; /* of all tensors of the files */
    bool sound;     /* no fault was added */
    bool differs;   /* metadata.total_size says another number of bytes */
};

/* 0, whatever is wrong with the index: each fault goes to `f` with its reason (index-...). -AM_E_OUT_OF_MEMORY. */
int am_st_index_check(const struct am_st_index *x, const char *text, size_t bytes, struct am_faults *f,
                      struct am_st_index_sum *ret);

#endif
