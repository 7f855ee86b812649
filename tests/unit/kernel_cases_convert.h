/*
 * kernel_cases_convert.h - cases of test_kernel_sets.c: elements as they are stored, to f32 and back.
 */
#ifndef AM_TESTS_KERNEL_CASES_CONVERT_H
#define AM_TESTS_KERNEL_CASES_CONVERT_H

#include "tests/unit/kernel_cases.h"

/* Round to nearest even in double: the quantum of the element's binade is a power of two, so all but rint is exact. */
static uint16_t round16(float x, int exponent_bits, int mantissa_bits, bool clamp, uint64_t *over)
{
    int bias = (1 << (exponent_bits - 1)) - 1, e;
    uint16_t sign = signbit(x) ? 0x8000 : 0, infinite = (uint16_t)(((1u << exponent_bits) - 1) << mantissa_bits);
    if (isnan(x))
        return (uint16_t)(infinite | 1u << (mantissa_bits - 1));
    if (isinf(x))
        return sign | infinite;
    (void)frexp((double)x, &e); /* |x| in [2^(e-1), 2^e) */
    if (e < 2 - bias || !(x < 0 || x > 0))
        e = 2 - bias;
    uint32_t steps = (uint32_t)rint(ldexp(fabs((double)x), mantissa_bits + 1 - e)); /* a carry moves the exponent */
    uint32_t h = steps + ((uint32_t)(e - 2 + bias) << mantissa_bits);
    if (h >= infinite) {
        (*over)++;
        h = clamp ? infinite - 1u : infinite;
    }
    return (uint16_t)(sign | h);
}

static void run_load16(const struct in *in, struct out *out)
{
    out->count[0] = am_load_f32(AM_F16, in->raw, out->f[0], in->n);
    out->count[1] = am_load_f32(AM_BF16, in->raw, out->f[1], in->n);
}

static void want_load16(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint16_t h = (uint16_t)(in->raw[2 * i] | in->raw[2 * i + 1] << 8);
        out->f[0][i] = (float)value(h, 5, 10);
        out->f[1][i] = (float)value(h, 8, 7);
    }
    out->count[0] = all_finite(out->f[0], in->n);
    out->count[1] = all_finite(out->f[1], in->n);
}

static void run_load_wide(const struct in *in, struct out *out)
{
    out->count[0] = am_load_f32(AM_F64, in->raw, out->f[0], in->n);
    am_load_f32(AM_F32, in->raw, out->f[1], in->n);
}

static void want_load_wide(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        double d;
        memcpy(&d, in->raw + 8 * i, 8);
        out->f[0][i] = (float)d;
    }
    out->count[0] = all_finite(out->f[0], in->n);
    memcpy(out->f[1], in->raw, 4 * in->n);
}

static void run_store(const struct in *in, struct out *out, enum am_dtype t, enum am_overflow overflow)
{
    size_t first = SIZE_MAX;
    bool finite = false;
    out->count[0] = am_store_f32(t, in->x, out->raw + 1, in->n, overflow, &first, &finite);
    out->count[1] = first;
    out->count[2] = finite;
}

static void want_store16(const struct in *in, struct out *out, int exponent_bits, int mantissa_bits, bool clamp)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        uint16_t h = round16(in->x[i], exponent_bits, mantissa_bits, clamp, &out->count[0]);
        if (out->count[0] == 1 && out->count[1] == SIZE_MAX)
            out->count[1] = i;
        memcpy(out->raw + 1 + 2 * i, &h, 2);
    }
}

static void run_store_f16(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F16, AM_OVERFLOW_CLAMP);
}

static void want_store_f16(const struct in *in, struct out *out)
{
    want_store16(in, out, 5, 10, true);
}

static void run_store_bf16(const struct in *in, struct out *out)
{
    run_store(in, out, AM_BF16, AM_OVERFLOW_INF);
}

static void want_store_bf16(const struct in *in, struct out *out)
{
    want_store16(in, out, 8, 7, false);
}

static void run_store_f32(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F32, AM_OVERFLOW_REFUSE);
}

static void want_store_f32(const struct in *in, struct out *out)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        uint32_t u = isnan(in->x[i]) ? 0x7fc00000u : bits(in->x[i]);
        memcpy(out->raw + 1 + 4 * i, &u, 4);
    }
}

static void run_store_f64(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F64, AM_OVERFLOW_REFUSE);
}

static void want_store_f64(const struct in *in, struct out *out)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        double d = (double)in->x[i];
        uint64_t u = 0x7ff8000000000000u;
        if (!isnan(d))
            memcpy(&u, &d, 8);
        memcpy(out->raw + 1 + 8 * i, &u, 8);
    }
}

static void run_nonfinite(const struct in *in, struct out *out)
{
    size_t count;
    out->count[0] = am_nonfinite_f32(in->x, in->n, &count);
    out->count[1] = count;
}

static void want_nonfinite(const struct in *in, struct out *out)
{
    out->count[0] = in->n;
    for (size_t i = in->n; i-- > 0;)
        if (!isfinite(in->x[i])) {
            out->count[0] = i;
            out->count[1]++;
        }
}

#endif
