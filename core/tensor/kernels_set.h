/*
 * kernels_set.h - one set of kernels as a table of functions; between kernels.c and kernels_*.c only.
 * kernels_generic.c, kernels_avx2.c and kernels_avx512.c compile the same source (kernels_body.h) with other flags into
 * one table each. A table whose name is NULL was compiled without its instructions, and is passed over.
 */
#ifndef AM_TENSOR_KERNELS_SET_H
#define AM_TENSOR_KERNELS_SET_H

#include "core/tensor/kernels.h"

struct am_kernel_set {
    const char *name;
    /* Loads and stores tell the greatest magnitude of the f32 side, as bits: stores of 16 bits into *most when it is
       more than that. */
    uint32_t (*load_f16)(const unsigned char *src, float *dst, size_t n);
    uint32_t (*load_bf16)(const unsigned char *src, float *dst, size_t n);
    uint32_t (*load_f64)(const unsigned char *src, float *dst, size_t n);
    /* These return how many finite values became infinite, or with `clamp` 1 (else 0) the largest finite value. */
    size_t (*store_f16)(const float *src, unsigned char *dst, size_t n, unsigned clamp, uint32_t *most);
    size_t (*store_bf16)(const float *src, unsigned char *dst, size_t n, unsigned clamp, uint32_t *most);
    uint32_t (*store_f32)(const float *src, unsigned char *dst, size_t n);
    uint32_t (*store_f64)(const float *src, unsigned char *dst, size_t n);
    size_t (*count_nonfinite)(const float *x, size_t n);
    /* As the functions of kernels.h with these names. */
    void (*scale)(float *out, float a, const float *x, size_t n);
    void (*axpy)(float *out, float a, const float *x, size_t n);
    void (*div)(float *out, float a, size_t n);
    void (*sub)(float *out, const float *x, const float *y, size_t n);
    void (*add)(float *out, const float *x, const float *y, size_t n);
    void (*axpy_rows)(float *out, const float *a, const float *x, size_t stride, size_t rows, size_t n);
    void (*axpy_diff)(float *out, float a, const float *x, const float *y, size_t n);
    void (*blend)(float *out, float a, const float *x, float b, const float *y, size_t n);
    double (*block_dot)(const float *x, const float *y, size_t n);
    struct am_dots (*block_dots)(const float *x, const float *y, size_t n);
    double (*delta_square)(float *d, const float *x, const float *y, size_t n);
    double (*add_square)(float *out, float a, const float *x, const float *y, size_t n);
    double (*block_sum)(const float *x, size_t n);
    double (*block_sum_abs)(const float *x, size_t n);
    uint16_t (*most_bf16)(const uint16_t *x, size_t n); /* the greatest magnitude, as bits */
    void (*sub_bf16)(float *out, const uint16_t *x, const uint16_t *y, size_t n);
    void (*blend_bf16)(float *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n);
    bool (*blend_to_bf16)(uint16_t *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n);
    struct am_dots (*block_dots_bf16)(const uint16_t *x, const uint16_t *y, size_t n);
    double (*delta_square_bf16)(float *d, const uint16_t *x, const uint16_t *y, size_t n);
    double (*add_square_bf16)(float *out, float a, const float *x, const uint16_t *y, size_t n);
    struct am_frame_sums (*frame_bf16)(const struct am_frame_of *how, uint16_t *out, const uint16_t *base,
                                       const uint16_t *const *x, size_t n);
    uint64_t (*count_range)(const float *x, size_t n, uint32_t low, uint32_t high, unsigned shift, uint32_t *bins);
    size_t (*list_range)(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *list, uint64_t *above);
    size_t (*list_delta_bf16)(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r,
                              uint32_t *list, uint64_t *above);
    size_t (*drop_keys)(uint32_t *key, size_t n, const uint32_t *drop, uint32_t *counts);
    void (*random_words)(uint32_t *out, size_t n, uint32_t k0, uint32_t k1, uint64_t first);
    size_t (*count_equal)(const float *x, size_t n, uint32_t key);
    size_t (*keep_range)(float *out, const float *x, size_t n, uint32_t low, uint32_t high);
    void (*random_mask)(uint32_t *mask, size_t n, uint32_t k0, uint32_t k1, uint64_t first, uint32_t limit);
    size_t (*keep_mask)(float *out, const float *x, size_t n, const uint32_t *mask);
    struct am_sizes (*sum_abs_mask)(const float *x, size_t n, const uint32_t *mask);
    void (*rank_mask)(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_odds *odds);
    size_t (*mark_own)(float *own, const float *d, const float *sum, float limit, size_t n);
    size_t (*keep_own)(float *out, float a, const float *x, const float *y, const float *own, float k, size_t n);
    void (*unify)(float *out, const float *sum, const float *high, const float *low, size_t n);
    void (*widen_range)(float *high, float *low, const float *x, size_t n);
    void (*take_sign)(float *out, const float *d, const float *x, size_t n);
    size_t (*elect)(const struct am_election *how, float *out, const float *const *d, size_t n, size_t *thin);
    void (*sort_columns)(float *const *x, size_t m, size_t n);
    size_t (*nearswap)(float *out, float t, const float *x, const float *base, size_t n);
    void (*ram)(const struct am_ram *how, float *out, const float *base, const float *const *x, size_t n,
                struct am_ram_count *ret);
    void (*ram_count)(const struct am_ram *how, const float *base, const float *const *x, size_t n, uint64_t *kept,
                      uint64_t *unique);
    void (*variance)(float *out, const float *const *d, size_t inputs, size_t n);
    float (*block_max)(const float *x, size_t n);
    double (*block_exp)(const float *x, double max, size_t n, float *high, float *low);
    double (*block_kl)(const struct am_softmax *x, const struct am_softmax *s, size_t at, size_t n);
    void (*erase)(float *d, const float *v, size_t n);
    void (*importance)(float *out, float kl, const float *x, const float *base, size_t n);
    size_t (*fuse)(float *out, float kl, float threshold, const float *x, const float *base, size_t n);
    size_t (*weigh)(const float *q, size_t inputs, float *out, const float *base, const float *const *d, size_t n);
};

extern const struct am_kernel_set am_kernels_generic, am_kernels_avx2, am_kernels_avx512;

#endif
