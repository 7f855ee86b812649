/*
 * cells.h - what a comparison of two versions on the same samples counts (compat.md 1). Input are bitsets, 64 samples a
 * word: bit i % 64 of word i / 64 belongs to sample i; bits beyond n may hold anything. Not the metrics (metrics.h).
 * Nothing is owned or allocated.
 */
#ifndef AM_COMPAT_CELLS_H
#define AM_COMPAT_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_BIT_WORDS(n) (((n) + 63) / 64)

/*
 * `a` counts all samples that both have right, a_diff those among them whose predictions differ (multi-label and text
 * only). Both wrong: d_same + d_diff. Without predictions (compared = false: only correctness is known) a_diff and
 * d_diff are 0 and d_same is all of d.
 */
struct am_cells {
    uint64_t a, a_diff, b, c, d_same, d_diff;
    bool compared;
};

/* The same as sums of weights, and as the vector that a resample gives; the order is fixed. */
enum { AM_CELL_A_SAME, AM_CELL_A_DIFF, AM_CELL_B, AM_CELL_C, AM_CELL_D_SAME, AM_CELL_D_DIFF, AM_CELLS };

/* `diff` (NULL: predictions are not known) tells which samples are predicted differently. */
void am_cells_count(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, size_t n,
                    struct am_cells *ret);
/* Sums of weights, in order of the samples; *ret_squares gets the sum of squared weights (for am_effective_n). */
void am_cells_weigh(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, const float *weight, size_t n,
                    double ret[AM_CELLS], double *ret_squares);
/* Which of the six a sample belongs to. */
unsigned am_cell_of(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, size_t i);

uint64_t am_cells_n(const struct am_cells *c);
void am_cells_vector(const struct am_cells *c, double ret[AM_CELLS]);
/* Kish's effective size (sum w)^2 / sum w^2; 0 for no samples. */
double am_effective_n(double sum, double squares);
/*
 * The identities of compat.md 3 in whole numbers: the cells add up to n, no part exceeds its whole, and c - b =
 * (right by new) - (right by old), which are counted from the bitsets alone. 0 or -AM_E_INTERNAL: a fault of this
 * program, never of the data.
 */
int am_cells_check(const struct am_cells *c, uint64_t n, uint64_t right_old, uint64_t right_new);

/* How many of the first n bits are set. */
uint64_t am_bits_count(const uint64_t *bits, size_t n);
/* Bits of "differs": of two columns of classes, or of rows of `bytes` bytes (digests, label sets). Writes AM_BIT_WORDS
   words. -1 (an output that could not be read) equals only -1. */
void am_diff_classes(const int32_t *old_p, const int32_t *new_p, size_t n, uint64_t *ret);
void am_diff_rows(const void *old_rows, const void *new_rows, size_t bytes, size_t n, uint64_t *ret);

#endif
