/*
 * _exact.c - see _exact.h.
 */
#include "core/merge/_exact.h"

#include "core/tensor/kernels.h"

#include <string.h>

struct am_exact am_exact_of(const struct am_args *args)
{
    struct am_exact e = {.dtype = AM_F32};
    if (am_compat(args) != AM_COMPAT_EXACT)
        return e;
    const char *dtype = am_arg_text(args, "compat_dtype");
    e.on = true;
    e.dtype = strcmp(dtype, "bfloat16") == 0 ? AM_BF16 : strcmp(dtype, "float16") == 0 ? AM_F16 : AM_F32;
    return e;
}

void am_exact_round(const struct am_exact *e, float *v, size_t n)
{
    uint16_t raw[AM_TILE];
    size_t first;
    bool finite;
    if (e->dtype == AM_F32)
        return;
    for (size_t at = 0; at < n; at += AM_TILE) {
        size_t k = n - at < AM_TILE ? n - at : AM_TILE;
        am_store_f32(e->dtype, v + at, raw, k, AM_OVERFLOW_INF, &first, &finite);
        am_load_f32(e->dtype, raw, v + at, k);
    }
}

float am_exact_scalar(const struct am_exact *e, double v)
{
    float f = (float)v;
    am_exact_round(e, &f, 1);
    return f;
}

void am_exact_delta(const struct am_exact *e, float *d, const float *x, const float *b, size_t n)
{
    float base[AM_TILE];
    for (size_t at = 0; at < n; at += AM_TILE) {
        size_t k = n - at < AM_TILE ? n - at : AM_TILE;
        memcpy(base, b + at, k * sizeof *base);
        memmove(d + at, x + at, k * sizeof *d);
        am_exact_round(e, base, k);
        am_exact_round(e, d + at, k);
        am_sub_f32(d + at, d + at, base, k);
        am_exact_round(e, d + at, k);
    }
}

void am_exact_copy(const struct am_exact *e, float *out, const float *x, size_t n)
{
    memmove(out, x, n * sizeof(*out));
    am_exact_round(e, out, n);
}

void am_exact_add(const struct am_exact *e, float *out, const float *x, const float *y, size_t n)
{
    am_add_f32(out, x, y, n);
    am_exact_round(e, out, n);
}

void am_exact_sub(const struct am_exact *e, float *out, const float *x, const float *y, size_t n)
{
    am_sub_f32(out, x, y, n);
    am_exact_round(e, out, n);
}

void am_exact_mul(const struct am_exact *e, float *out, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * y[i];
    am_exact_round(e, out, n);
}

void am_exact_scale(const struct am_exact *e, float *out, float s, const float *x, size_t n)
{
    am_scale_f32(out, s, x, n);
    am_exact_round(e, out, n);
}

void am_exact_over(const struct am_exact *e, float *out, const float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] / s;
    am_exact_round(e, out, n);
}
