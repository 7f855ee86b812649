/*
 * _ranks.h - the entries of one vector in ascending order of magnitude (merge.md A4: of equal magnitudes the lowest
 * index is the largest, so it comes last), by a radix sort of their 31 magnitude bits. NaN is above infinity.
 */
#ifndef AM_MERGE_RANKS_H
#define AM_MERGE_RANKS_H

#include <stddef.h>
#include <stdint.h>

#define AM_RANKS_WORK 4 /* arrays of n words */

/* x[0], x[stride], ..., n of them, n < 2^32. Returns one of the work arrays: the number of the smallest entry, of the
   next one, ... */
const uint32_t *am_ranks(const float *x, size_t n, size_t stride, uint32_t *const work[AM_RANKS_WORK]);

#endif
