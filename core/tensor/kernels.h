/*
 * kernels.h - element-wise work on contiguous arrays: conversion to and from f32, and the few sums that merging needs.
 * The generic C is the truth (merge.md A3): f32, one rounding per written operation, no fused multiply-add, round to
 * nearest even, subnormals kept, NaN stored as the canonical quiet NaN.
 */
#ifndef AM_TENSOR_KERNELS_H
#define AM_TENSOR_KERNELS_H

#include "core/tensor/dtype.h"

#include <stddef.h>
#include <stdint.h>

#define AM_KERNELS_NAME "generic"

/* Unaligned little-endian elements of a computed dtype (am_dtype_computed) to f32. F64 is rounded once. */
void am_load_f32(enum am_dtype from, const void *src, float *dst, size_t n);

enum am_overflow { AM_OVERFLOW_REFUSE, AM_OVERFLOW_CLAMP, AM_OVERFLOW_INF };
/* f32 to a computed dtype, unaligned. Returns how many FINITE values became infinite (or were clamped under
   AM_OVERFLOW_CLAMP: to the largest finite value of `to`), and the index of the first such value in *ret_first when not
   zero. */
size_t am_store_f32(enum am_dtype to, const float *src, void *dst, size_t n, enum am_overflow overflow,
                    size_t *ret_first);

/* Index of the first NaN or infinity, or n; *ret_count (may be NULL) gets how many there are. */
size_t am_nonfinite_f32(const float *x, size_t n, size_t *ret_count);

void am_copy_f32(float *out, const float *x, size_t n);                /* out = x */
void am_scale_f32(float *out, float a, const float *x, size_t n);      /* out = fl(a*x) */
void am_axpy_f32(float *out, float a, const float *x, size_t n);       /* out = fl(out + fl(a*x)) */
void am_div_f32(float *out, float a, size_t n);                        /* out = fl(out/a) */
void am_sub_f32(float *out, const float *x, const float *y, size_t n); /* out = fl(x-y) */
void am_add_f32(float *out, const float *x, const float *y, size_t n); /* out = fl(x+y) */
void am_axpy_diff_f32(float *out, float a, const float *x, const float *y,
                      size_t n); /* out = fl(out + fl(a*fl(x-y))) */

#endif
