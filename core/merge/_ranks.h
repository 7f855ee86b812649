/*
 * _ranks.h - keeps entries of a vector by chance, with a probability that grows with the rank of their magnitude
 * (merge.md A18). The smallest entry has rank 0; of equal magnitudes the lowest index is the largest (A4). NaN is above
 * infinity.
 *
 * Chance decides most entries without their rank: a word below the limit of the smallest rank, or not below that of the
 * largest. All keys are counted into bins, and the ranks that a bin can hold decide most of the others. For the few
 * that are still open, smaller keys are counted one by one; where that would take long, their bins are sorted.
 */
#ifndef AM_MERGE_RANKS_H
#define AM_MERGE_RANKS_H

#include <stddef.h>
#include <stdint.h>

struct am_rank_line { /* p = low + rise * rank / last; an entry stays when its word < round(p * 2^32) */
    double low, rise;
    size_t last; /* the largest rank: n - 1; with 0, p = low */
};

#define AM_RANKS_WORK 4 /* arrays of n words */

/* Bit i % 32 of mask[i / 32]: entry i of d stays, by its word; n < 2^31. No bits behind the n-th. Returns how many
 * stay.
 */
size_t am_rank_mask(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_line *line,
                    uint32_t *const work[AM_RANKS_WORK]);

#endif
