/*
 * _exact.h - the arithmetic of compat "exact" (merge.md B18): every elementwise operation is rounded to the dtype that
 * mergekit computes in, sums are taken in f32 and rounded once. Plain loops: speed is no goal here.
 */
#ifndef AM_MERGE_EXACT_H
#define AM_MERGE_EXACT_H

#include "core/merge/_policies.h"
#include "core/tensor/dtype.h"

struct am_exact {
    bool on;
    uint8_t dtype; /* AM_F32: nothing more to round */
};

/* Parameters compat and compat_dtype; off for a method without them. */
struct am_exact am_exact_of(const struct am_args *args);
/* Each value to the dtype, in place. */
void am_exact_round(const struct am_exact *e, float *v, size_t n);
float am_exact_scalar(const struct am_exact *e, double v);
/* d = R(R(x) - R(b)) */
void am_exact_delta(const struct am_exact *e, float *d, const float *x, const float *b, size_t n);
/* One step each, rounded: R(x), R(x + y), R(x - y), R(x * y), R(s * x), R(x / s). out may be x or y. */
void am_exact_copy(const struct am_exact *e, float *out, const float *x, size_t n);
void am_exact_add(const struct am_exact *e, float *out, const float *x, const float *y, size_t n);
void am_exact_sub(const struct am_exact *e, float *out, const float *x, const float *y, size_t n);
void am_exact_mul(const struct am_exact *e, float *out, const float *x, const float *y, size_t n);
void am_exact_scale(const struct am_exact *e, float *out, float s, const float *x, size_t n);
void am_exact_over(const struct am_exact *e, float *out, const float *x, float s, size_t n);

#endif
