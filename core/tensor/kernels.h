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

#define AM_KERNEL_ARRAYS 100 /* of one call, where there may be many */

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
/* For each k < rows, in order: out = fl(out + fl(a[k] * x[k * stride ...])). */
void am_axpy_rows_f32(float *out, const float *a, const float *x, size_t stride, size_t rows, size_t n);

/*
 * Deterministic sums of one block, n <= 4096 (AM_TILE): f64, 16 lanes, lane j takes the elements with index = j mod 16
 * in order, lanes are added in the tree (j, j+8), (j, j+4), (j, j+2), (j, j+1) (merge.md A3). Blocks are added by the
 * caller in their order. Products of two f32 are exact in f64.
 */
double am_block_dot(const float *x, const float *y, size_t n);
/* am_block_dot of (x, y), (x, x) and (y, y), read once. */
struct am_dots {
    double xy, xx, yy;
};
struct am_dots am_block_dots(const float *x, const float *y, size_t n);
/* d = fl(x-y), and am_block_dot(d, d) of that. d, like out, may be an input itself. */
double am_delta_square(float *d, const float *x, const float *y, size_t n);
/* out = fl(y + t) where t = fl(a*x), and am_block_dot(t, t). */
double am_add_square(float *out, float a, const float *x, const float *y, size_t n);
double am_block_sum(const float *x, size_t n);
double am_block_sum_abs(const float *x, size_t n);

/* The same of BF16 as it is stored: the bits that come of am_load_f32() and the kernel on f32. The result is none of
   the inputs, but for x of the last. */
bool am_finite_bf16(const uint16_t *x, size_t n); /* all are */
void am_sub_bf16(float *out, const uint16_t *x, const uint16_t *y, size_t n);
void am_blend_bf16(float *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n);
/* The same and am_store_f32() of it; out is none of the inputs. False: a result is not finite or beyond BF16, as it is
   where an input is not finite, and `out` means nothing. */
bool am_blend_to_bf16(uint16_t *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n);
struct am_dots am_block_dots_bf16(const uint16_t *x, const uint16_t *y, size_t n);
double am_delta_square_bf16(float *d, const uint16_t *x, const uint16_t *y, size_t n);
double am_add_square_bf16(float *out, float a, const float *x, const uint16_t *y, size_t n);

/*
 * Selection by magnitude. The key of an element is the 31 magnitude bits of its f32, u = bits(|x|), whose order is the
 * order of |x|.
 * am_count_range: counts keys >= high into the result, and for low <= u < high adds one to bins[(u - low) >> shift];
 * the caller has room for (high - low) >> shift (rounded up) bins. low and high are at most 2^31.
 */
uint64_t am_count_range(const float *x, size_t n, uint32_t low, uint32_t high, unsigned shift, uint32_t *bins);
/* A few ranges of keys, low[r] <= u < high[r], both at most 2^31, which may overlap. n >= 1. */
#define AM_KEY_RANGES 3
struct am_key_ranges {
    size_t n;
    uint32_t low[AM_KEY_RANGES], high[AM_KEY_RANGES];
};
/* Lists the keys that are in a range, in no order, and returns how many; above[r] grows by the number of keys
   >= high[r]. `list` has room for n. */
size_t am_list_range(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *list, uint64_t *above);
/* The same for x - y of BF16 as stored. */
size_t am_list_delta_bf16(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r, uint32_t *list,
                          uint64_t *above);
/* Takes the keys that are one of drop[2] out of the list, and returns how many are left; counts[j] of them were
   drop[j]. Room for n + AM_KEYS_MORE. */
size_t am_drop_keys(uint32_t *key, size_t n, const uint32_t *drop, uint32_t *counts);
size_t am_count_equal(const float *x, size_t n, uint32_t key);
/* out = x where low <= u < high, else +0. out may be x. Returns how many stayed. */
size_t am_keep_range(float *out, const float *x, size_t n, uint32_t low, uint32_t high);

/*
 * Sign election (merge.md A14). The entries of an element are e_k = fl(weight[k] * d[k]), k < inputs; they are not
 * written. The elected sign is + when the sum of all e_k (by_count: how many are positive less how many are negative)
 * is >= 0, else -. e_k takes part when it is not 0 and has the elected sign; a NaN always does, so that it is not lost.
 * out = the sum of those that take part, with `normalize` divided by the sum of their weights (by 1 where that is 0).
 * All sums in f32, in the order of k. out may be one of d. inputs: 1 to AM_KERNEL_ARRAYS.
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
 * The frame of task arithmetic (merge.md A14) on BF16 as it is stored, at once: what am_delta_square_bf16(),
 * am_keep_range(), am_elect() or sums of fl(weight[k] * d[k]), am_div_f32() with `normalize`, am_add_square_bf16() with
 * `lambda` and am_store_f32() make of one block (n <= 4096), bit for bit. out is none of the inputs.
 */
#define AM_FRAME_INPUTS 4
struct am_frame_of {
    size_t inputs; /* 1 to AM_FRAME_INPUTS */
    float weight[AM_FRAME_INPUTS];
    /* Keys of d[k] that stay, low <= u < high, both at most 2^31. */
    uint32_t low[AM_FRAME_INPUTS], high[AM_FRAME_INPUTS];
    bool elects, normalize, thin; /* thin: it is counted, with the other two */
    float div;                    /* of `normalize` without `elects` */
    float lambda;
};
struct am_frame_sums {
    double delta[AM_FRAME_INPUTS], out; /* squares of d[k] before some of it went, and of what is added to the base */
    size_t kept[AM_FRAME_INPUTS], conflicts, thin; /* the last two as am_elect() counts them; 0 without `elects` */
    /* Else a result is not finite or beyond BF16, and neither `out` nor the sums mean anything. A NaN or infinity in an
       entry that is dropped is not seen here, but makes its delta[k] none that is finite. */
    bool fits;
};
struct am_frame_sums am_frame_bf16(const struct am_frame_of *how, uint16_t *out, const uint16_t *base,
                                   const uint16_t *const *x, size_t n);

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
   compare-exchanges; m <= AM_KERNEL_ARRAYS). NaN: unspecified but deterministic. */
void am_sort_columns(float *const *x, size_t m, size_t n);

/*
 * Several models against their base, element by element (merge.md A21, A23, A25); f32, sums in the order of k.
 * am_nearswap_f32: w = fl(t / max(|base - x|, 1e-6)); out = x where w >= 1, else fl(fl(w*x) + fl(fl(1-w)*base)).
 * Returns how many elements are x.
 */
size_t am_nearswap_f32(float *out, float t, const float *x, const float *base, size_t n);
/* d_k = fl(x_k - base), which counts where |d_k| > epsilon (or is NaN). c of them count: out = base for c = 0,
   fl(base + fl(unique[k] * d_k)) for one, else fl(base + fl(sum of d_k / c)). */
struct am_ram {
    const float *unique; /* of each input */
    float epsilon;
    size_t inputs;
};
struct am_ram_count {
    size_t kept, dropped; /* entries above epsilon; not above it and not 0 */
    size_t shared;        /* elements that several change */
};
void am_ram_f32(const struct am_ram *how, float *out, const float *base, const float *const *x, size_t n,
                struct am_ram_count *ret);
/* Adds how many entries of each input count, and how many of them in elements where no other one's does. */
void am_ram_count(const struct am_ram *how, const float *base, const float *const *x, size_t n, uint64_t *kept,
                  uint64_t *unique);
/* out = fl(sum of fl(fl(d_k - mean)^2) / inputs), mean = fl(sum of d_k / inputs). inputs >= 1; out is none of d. */
void am_variance_f32(float *out, const float *const *d, size_t inputs, size_t n);
void am_erase_f32(float *d, const float *v, size_t n); /* d = +0 where v is 0 */
/* The sign of the sum of d_k (+ for 0) is elected; entries with it take part (a NaN always):
   out = fl(base + fl(sum of fl(q_k*d_k) / max(sum of q_k, 1e-6))), base where nobody takes part. Returns how many
   elements have entries of both signs. */
size_t am_weigh_f32(const float *q, size_t inputs, float *out, const float *base, const float *const *d, size_t n);

/*
 * Softmax over a row, block by block (n <= 4096 but for the maximum); lanes and their order as am_block_dot. exp and
 * log are the kernels' own, below 2 ulp, the same bits in every set.
 */
float am_max_f32(const float *x, size_t n); /* -infinity of none; NaN are passed over */
/* e = exp(x - max) as two floats whose sum it is to 48 bits; returns the sum of those. */
double am_block_exp(const float *x, double max, size_t n, float *high, float *low);
struct am_softmax {      /* of a row */
    float *high, *low;   /* am_block_exp() of each element */
    double max, inverse; /* 1 / sum of all e */
};
/* Sum over elements at .. at + n - 1 of p ln(p/q), p = e * inverse + 1e-8 of x, and q of s. */
double am_block_kl(const struct am_softmax *x, const struct am_softmax *s, size_t at, size_t n);
/* out = fl(|fl(x - base)| * kl) */
void am_importance_f32(float *out, float kl, const float *x, const float *base, size_t n);
/* out = x where that importance is >= threshold, else base. Returns how many elements are x. */
size_t am_fuse_f32(float *out, float kl, float threshold, const float *x, const float *base, size_t n);

/*
 * Counter-based random words (Philox4x32-10; merge.md A5): word i depends on the key and i only, so masks are the same
 * for any threads, windows and other tensors. Writes the words of elements first .. first + n - 1. A mask keeps an
 * element when its word < round(p * 2^32).
 */
void am_random_words(uint32_t *out, size_t n, const uint32_t key[2], uint64_t first);
/* Bit i % 32 of mask[i / 32]: the word of element first + i is below `limit`. No bits behind the n-th. */
void am_random_mask(uint32_t *mask, size_t n, const uint32_t key[2], uint64_t first, uint32_t limit);
/*
 * Entries of one vector that stay by chance, the more likely the larger they are (DELLA; merge.md A18). Of ranks r = 0
 * (smallest) .. n - 1 by magnitude, of equal magnitudes the lowest index the largest, NaN above infinity, an entry
 * stays with p = low + rise * r / (n - 1). Nobody has to know r: of the n - 1 other entries one at random is smaller
 * with the probability r / (n - 1). A word below `sure` = round(low * 2^32) says stay, one from sure + span =
 * round((low + rise) * 2^32) on go, and those between name another entry, number (word - sure) * step >> shift of all
 * but the one itself: who is larger than that one stays.
 */
struct am_rank_odds {
    uint64_t sure, span;
    uint64_t step; /* floor((n - 1) * 2^shift / span), 32 bits */
    unsigned shift;
};
struct am_rank_odds am_rank_odds_of(double low, double rise, size_t n); /* p = low where n is 1. n < 2^31 */
/* Bit i % 32 of mask[i / 32]: entry i of d stays, by its word. No bits behind the n-th. */
void am_rank_mask(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_odds *odds);
/* out = x where the bit is set, else +0. out may be x. Returns how many stayed. */
size_t am_keep_mask(float *out, const float *x, size_t n, const uint32_t *mask);
/* am_block_sum_abs() of x, and of what am_keep_mask() leaves of it. */
struct am_sizes {
    double all, kept;
};
struct am_sizes am_block_sum_abs_mask(const float *x, size_t n, const uint32_t *mask);
/* The key of a purpose ("mask"), a seed, an input's place among the models, and a tensor. -AM_E_OUT_OF_MEMORY. */
int am_random_key(const char *purpose, uint64_t seed, unsigned ordinal, const char *tensor, uint32_t ret_key[2]);

#endif
