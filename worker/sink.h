/*
 * sink.h - one file of staging that is written from its first byte to its last, hashed as it goes. Not for files that
 * are written by windows (core/tensor/output.h). Ownership: am_sink_done() closes and frees; safe on a zeroed sink with
 * fd -1.
 */
#ifndef AM_WORKER_SINK_H
#define AM_WORKER_SINK_H

#include "core/base/hash.h"
#include "core/tensor/safetensors.h"
#include "worker/files.h"

struct am_sink {
    int fd;
    struct am_hash *hash;
    char *part;
    size_t used;
    uint64_t bytes;
    char name[AM_STAGED_NAME];
};

/* Makes f<number> in folder `dir`. */
int am_sink_open(struct am_sink *ret, int dir, unsigned number);
int am_sink_put(struct am_sink *s, const void *bytes, size_t n);
/* The header of a safetensors file (am_st_write_header); `v` is then in the order in which the data follows. */
int am_sink_header(struct am_sink *s, struct am_st_out *v, size_t n, const char *key, const char *value);
/* Writes what is left and syncs: the file is of class lfs. */
int am_sink_end(struct am_sink *s, struct am_staged *ret);
void am_sink_done(struct am_sink *s);

#endif
