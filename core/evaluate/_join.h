/*
 * _join.h - two packed sets as one table (compat.md 2.2): the samples that both have, joined by (id, k), in the order
 * of the ids. After it row i of every column of both sets is sample i of the table; the sets own the columns as before.
 * Not the numbers. Ownership: am_join_done() frees what the table has of its own.
 */
#ifndef AM_EVALUATE_JOIN_H
#define AM_EVALUATE_JOIN_H

#include "core/evaluate/_packed.h"

struct am_join {
    struct am_packed *set[2]; /* old, new */
    const struct am_ids *ids; /* of the old set, which number the samples */
    size_t n;
    uint64_t only[2];  /* samples of one set alone */
    uint32_t *at[2];   /* the row of each sample in the file; NULL: the same number */
    uint64_t *diff;    /* predictions differ; NULL: they are not known of both */
    uint64_t *ok[2];   /* bitsets of correctness: the sets' own, or those of scores; borrowed or in `made` */
    uint64_t *made[2]; /* for free() */
    uint64_t judge_noise;
    bool labels_known; /* both sets have y, and it agrees */
};

enum { AM_OLD, AM_NEW };

/* ids of the two sets; the same pointer when their dictionaries are equal. -AM_E_DATASET_MISMATCH with faults when no
   sample is in both, or more than 1 % in one alone and not `allow_partial`. */
int am_join_sets(struct am_join *ret, struct am_packed *old_set, const struct am_ids *old_ids,
                 struct am_packed *new_set, const struct am_ids *new_ids, bool allow_partial, struct am_faults *f);
/* What was asked of both must be the same: -AM_E_DATASET_MISMATCH with a fault for each of the first 20 samples whose y
   differs. Then fills in diff and judge_noise. */
int am_join_agree(struct am_join *j, struct am_faults *f);
void am_join_done(struct am_join *j);

/* A column of the table: that of the old set, else of the new one, else NULL. */
const void *am_join_column(const struct am_join *j, unsigned col);
static inline size_t am_join_row(const struct am_join *j, int side, size_t i)
{
    return j->at[side] ? j->at[side][i] : i;
}
/* The number of the sample's id. */
static inline size_t am_join_id(const struct am_join *j, size_t i)
{
    return j->set[AM_OLD]->id ? j->set[AM_OLD]->id[i] : am_join_row(j, AM_OLD, i);
}

#endif
