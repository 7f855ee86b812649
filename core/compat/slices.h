/*
 * slices.h - a comparison looked at in parts (compat.md 6): the values of one key (class label, region, ...) as rows
 * with their own test, which pairs of classes the negative flips go between, and which flips to show first. Counts are
 * of samples, whatever their weights. Arrays belong to the caller.
 */
#ifndef AM_COMPAT_SLICES_H
#define AM_COMPAT_SLICES_H

#include "core/compat/maybe.h"
#include "core/compat/tests.h"

#include <stddef.h>
#include <stdint.h>

#define AM_SLICE_SMALL 30 /* a slice with fewer samples is shown and never decides */
#define AM_FLIP_PAIRS 20

struct am_slice_counts {
    uint64_t n, right_old, right_new, b, c;
};

/* Adds up the samples of every value of a key: value[i] in 0 .. values - 1, or -1 for a sample outside all slices. Bits
   as in cells.h. -AM_E_INVALID_PARAMS: another value. */
int am_slices_count(const uint64_t *old_ok, const uint64_t *new_ok, const int32_t *value, size_t n, size_t values,
                    struct am_slice_counts *ret);

struct am_slice {
    struct am_slice_counts counts;
    struct am_maybe accuracy_old, accuracy_new, nfr, harm; /* harm = (b - c)/n */
    struct am_interval interval, one_sided;                /* of nfr, Wilson: two-sided 95 %; one-sided bounds */
    struct am_interval delta_one_sided;                    /* of accuracy_new - accuracy_old, Tango */
    struct am_mcnemar test;
    double q;            /* Benjamini-Hochberg over the two-sided mid-p of the values that have samples; 1 without */
    bool small;          /* n < AM_SLICE_SMALL */
    const char *verdict; /* "better", "worse", "no_difference_shown", by q */
};
/* One row a value, in their order. -AM_E_OUT_OF_MEMORY. */
int am_slices_of(const struct am_slice_counts *counts, size_t values, struct am_slice *ret);

/* Negative flips from a class (the label, which old said) to another (what new says). */
struct am_flip_pair {
    int32_t from, to;
    uint64_t n;
};
/* The most frequent pairs, at most `most`: by n, largest first, then from, then to. -AM_E_OUT_OF_MEMORY. */
int am_flip_pairs(const uint64_t *old_ok, const uint64_t *new_ok, const int32_t *label, const int32_t *new_p, size_t n,
                  size_t most, struct am_flip_pair *ret, size_t *ret_n);

/*
 * Which negative flips to show, at most `most`: by weight, largest first; then by how much the log-probability of the
 * right answer fell, largest first (a fall that is not a number goes last); then by row, which is the order of the ids.
 * The three columns may be NULL. -AM_E_OUT_OF_MEMORY.
 */
int am_exemplars(const uint64_t *old_ok, const uint64_t *new_ok, const float *weight, const float *old_lp,
                 const float *new_lp, size_t n, size_t most, size_t *ret, size_t *ret_n);

#endif
