/*
 * kernels.h - element-wise work on contiguous arrays: conversion to and from f32, and the few sums that merging needs.
 * The generic C is the truth (merge.md A3): f32, one rounding per written operation, no fused multiply-add, round to
 * nearest even, subnormals kept, NaN stored as the canonical quiet NaN.
 */
#ifndef AM_TENSOR_KERNELS_H
#define AM_TENSOR_KERNELS_H

#include "core/tensor/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every kernel exists in three sets, "generic", "avx2" and "avx512", which give the same bits. The best that the
 * processor has is chosen at first use; AMEND_KERNELS=generic|avx2|avx512 in the environment overrides (a set that the
 * processor lacks, or an unknown name, falls back to the best there is). am_kernels_name() tells which one runs.
 */
const char *am_kernels_name(void);
/* For tests and the bench: chooses a set by name from now on; false when the processor lacks it. Not thread-safe. */
bool am_kernels_force(const char *name);

/* Unaligned little-endian elements of a computed dtype (am_dtype_computed) to f32. F64 is rounded once. True: all are
   finite in f32; always for F32, which is not looked at. */
bool am_load_f32(enum am_dtype from, const void *src, float *dst, size_t n);

enum am_overflow { AM_OVERFLOW_REFUSE, AM_OVERFLOW_CLAMP, AM_OVERFLOW_INF };
/* f32 to a computed dtype, unaligned. Returns how many FINITE values became infinite (or were clamped under
   AM_OVERFLOW_CLAMP: to the largest finite value of `to`), and the index of the first such value in *ret_first when not
   zero. *ret_finite (may be NULL): all of
   `src` were finite. */
size_t am_store_f32(enum am_dtype to, const float *src, void *dst, size_t n, enum am_overflow overflow,
                    size_t *ret_first, bool *ret_finite);

/* Index of the first NaN or infinity, or n; *ret_count (may be NULL) gets how many there are. */
size_t am_nonfinite_f32(const float *x, size_t n, size_t *ret_count);

/* From here on `out` (num, div, count) may be an input itself, never a shifted part of one. Which NaN arithmetic gives
   is the processor's affair: sets may differ in its sign and payload, which am_store_f32 takes away. */
void am_copy_f32(float *out, const float *x, size_t n);                /* out = x */
void am_scale_f32(float *out, float a, const float *x, size_t n);      /* out = fl(a*x) */
void am_axpy_f32(float *out, float a, const float *x, size_t n);       /* out = fl(out + fl(a*x)) */
void am_div_f32(float *out, float a, size_t n);                        /* out = fl(out/a) */
void am_sub_f32(float *out, const float *x, const float *y, size_t n); /* out = fl(x-y) */
void am_add_f32(float *out, const float *x, const float *y, size_t n); /* out = fl(x+y) */
void am_axpy_diff_f32(float *out, float a, const float *x, const float *y,
                      size_t n); /* out = fl(out + fl(a*fl(x-y))) */
void am_blend_f32(float *out, float a, const float *x, float b, const float *y, size_t n); /* fl(fl(a*x) + fl(b*y)) */

/*
 * Deterministic sums of one block, n <= 4096 (AM_TILE): f64, 16 lanes, lane j takes the elements with index = j mod 16
 * in order, lanes are added in the tree (j, j+8), (j, j+4), (j, j+2), (j, j+1) (merge.md A3). Blocks are added by the
 * caller in their order. Products of two f32 are exact in f64.
 */
double am_block_dot(const float *x, const float *y, size_t n);
/* d = fl(x-y), and am_block_dot(d, d) of that. d, like out, may be an input itself. */
double am_delta_square(float *d, const float *x, const float *y, size_t n);
/* out = fl(y + t) where t = fl(a*x), and am_block_dot(t, t). */
double am_add_square(float *out, float a, const float *x, const float *y, size_t n);
double am_block_sum(const float *x, size_t n);
double am_block_sum_abs(const float *x, size_t n);

/*
 * Selection by magnitude. The key of an element is the 31 magnitude bits of its f32, u = bits(|x|), whose order is the
 * order of |x|.
 * am_count_range: counts keys >= high into the result, and for low <= u < high adds one to bins[(u - low) >> shift];
 * the caller has room for (high - low) >> shift (rounded up) bins.
 */
uint64_t am_count_range(const float *x, size_t n, uint32_t low, uint32_t high, unsigned shift, uint32_t *bins);
/* Counts keys >= high into the result, and lists the offsets u - low of those with low <= u < high, in their order; how
   many into *ret_hits. `list` has room for n + 8. */
uint64_t am_list_range(const float *x, size_t n, uint32_t low, uint32_t high, uint32_t *list, size_t *ret_hits);
size_t am_count_equal(const float *x, size_t n, uint32_t key);
/* out = x where low <= u < high, else +0. out may be x. Returns how many stayed. */
size_t am_keep_range(float *out, const float *x, size_t n, uint32_t low, uint32_t high);

/*
 * Sign election (merge.md A14). The entries of an element are e_k = fl(weight[k] * d[k]), k < inputs; they are not
 * written. The elected sign is + when the sum of all e_k (by_count: how many are positive less how many are negative)
 * is >= 0, else -. e_k takes part when it is not 0 and has the elected sign; a NaN always does, so that it is not lost.
 * out = the sum of those that take part, with `normalize` divided by the sum of their weights (by 1 where that is 0).
 * All sums in f32, in the order of k. out may be one of d. inputs >= 1.
 * Returns how many elements have an entry that is not 0 and does not take part: those with entries of both signs
 * (beside a NaN, of the sign that was not elected). *ret_thin (may be NULL) gets how many divisors were not 0 but below
 * 0.001 in magnitude (0 without `normalize`).
 */
struct am_election {
    const float *weight;
    size_t inputs;
    bool by_count, normalize;
};
size_t am_elect(const struct am_election *how, float *out, const float *const *d, size_t n, size_t *ret_thin);

/*
 * Merges that tell tasks apart (merge.md A29, A30).
 */
/* own += 1 where |d| > fl(limit * |fl(sum - d)|). Returns how many. */
size_t am_mark_own(float *own, const float *d, const float *sum, float limit, size_t n);
/* out = fl(y + fl(a*x)) where own >= k, else y. Returns how many own >= k. */
size_t am_keep_own(float *out, float a, const float *x, const float *y, const float *own, float k, size_t n);
/* high = the larger of high and x, low the smaller of low and x. NaN in x changes nothing. */
void am_widen_range(float *high, float *low, const float *x, size_t n);
/* out = high where sum > 0, low where sum < 0, else fl(0*sum). */
void am_unify(float *out, const float *sum, const float *high, const float *low, size_t n);
/* out = x where d and x have one sign, else +0. */
void am_take_sign(float *out, const float *d, const float *x, size_t n);

/* Sorts m arrays element by element: afterwards x[0][i] <= x[1][i] <= ... for every i (a fixed network of
   compare-exchanges; m <= 100). NaN: unspecified but deterministic. */
void am_sort_columns(float *const *x, size_t m, size_t n);

/*
 * Counter-based random words (Philox4x32-10; merge.md A5): word i depends on the key and i only, so masks are the same
 * for any threads, windows and other tensors. Writes the words of elements first .. first + n - 1. A mask keeps an
 * element when its word < round(p * 2^32).
 */
void am_random_words(uint32_t *out, size_t n, const uint32_t key[2], uint64_t first);
/* out = x where the word of element first + i is below `limit`, else +0. out may be x. Returns how many stayed. */
size_t am_keep_random(float *out, const float *x, size_t n, const uint32_t key[2], uint64_t first, uint32_t limit);
/* The key of a purpose ("mask"), a seed, an input's place among the models, and a tensor. -AM_E_OUT_OF_MEMORY. */
int am_random_key(const char *purpose, uint64_t seed, unsigned ordinal, const char *tensor, uint32_t ret_key[2]);

#endif
