/*
 * _select.h - exactly the k entries of smallest magnitude among many windows, without sorting or copying (merge.md A4).
 *
 * The key is the 31 magnitude bits of an f32; their order is the order of |x| (NaN above infinity). Of equal magnitudes
 * the one with the lower index comes first. Three rounds over the windows, of which the later ones often are not
 * needed: a histogram of the upper 15 bits finds the bin of the k-th entry, a histogram of the lower 16 bits inside
 * that bin finds its magnitude, and a count of the equals window by window finds where they run out. Counts are
 * integers, so any split of the work gives the same answer.
 */
#ifndef AM_EDIT_SELECT_H
#define AM_EDIT_SELECT_H

#include <stddef.h>
#include <stdint.h>

#define AM_SELECT_BINS 65536

enum am_select_stage { AM_SELECT_UPPER, AM_SELECT_LOWER, AM_SELECT_EQUALS, AM_SELECT_DONE };

struct am_select { /* zero = before the first round */
    enum am_select_stage stage;
    uint32_t bin;       /* upper bits of the k-th entry */
    uint32_t threshold; /* all below are chosen; of the equals ... */
    uint64_t quota;     /* ... so many, in index order */
    uint64_t equals;    /* seen so far in the third round */
    uint64_t cut;       /* window in which the quota runs out */
    uint64_t cut_quota; /* how many equals of that window are chosen */
    uint64_t window;    /* of a window's own accumulator: its number */
    uint32_t low, high; /* touched bins: [low, high) */
    uint64_t count[AM_SELECT_BINS];
};

/* Counts one window into its own zeroed `acc`, for the round that `sofar` (NULL: the first) has come to. */
void am_select_count(const struct am_select *sofar, struct am_select *acc, const float *x, size_t n, uint64_t window);
/* Adds a window's counts; must be called in window order. */
void am_select_merge(struct am_select *into, const struct am_select *from);
/* After a round: 1 = another round is needed, 0 = done. k of `elements` are chosen. */
int am_select_next(struct am_select *s, uint64_t k, uint64_t elements);
/* out = x with the chosen entries set to +0. */
void am_select_zero(const struct am_select *s, const float *x, float *out, size_t n, uint64_t window);

#endif
