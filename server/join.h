/*
 * join.h - an uploaded prediction set beside the dataset that it says it is about: every id must be a sample of it, and
 * a true class must be the dataset's. Both sides are walked in the order of the ids; nothing is held.
 */
#ifndef AM_SERVER_JOIN_H
#define AM_SERVER_JOIN_H

#include "core/base/fault.h"
#include "server/data.h"

#define AM_JOIN_TOLD 20

struct am_join_set { /* the two files that mode pack left, and where their columns begin (worker/contract.md) */
    int ids_fd, packed_fd;
    uint64_t ids_bytes, packed_bytes;
    int64_t ids, rows, offsets_at, bytes_at, row_at, y_at; /* y_at -1: its truths are no classes */
    const json_t *labels;                                  /* of its header: what y is an index into; or null */
};
/* 0; -AM_E_SAMPLES_UNKNOWN or -AM_E_DATASET_MISMATCH with the first ids in `f` and a sentence in `why`; or an error of
   reading. */
int am_join_check(const struct am_join_set *set, struct am_data *s, struct am_faults *f, char *why, size_t why_cap);

#endif
