/*
 * kernels_generic.c - the plain twin of every element-wise kernel; see kernels.h. Compiled with -ffp-contract=off.
 */
#include "core/tensor/kernels.h"

#include <string.h>

#define INF32 0x7f800000u
#define NAN32 0x7fc00000u

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* Subnormals: 2^-14 is added with the mantissa in place and subtracted again, which is exact. */
static float from_f16(uint16_t h)
{
    uint32_t u = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16, exponent = u & 0x0f800000u;
    u += 112u << 23; /* the difference of the biases */
    if (exponent == 0x0f800000u)
        u += 112u << 23; /* infinity and NaN */
    else if (exponent == 0)
        u = bits_of(float_of(u + (1u << 23)) - float_of(113u << 23));
    return float_of(u | sign);
}

static uint16_t to_f16(uint32_t u)
{
    uint32_t sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > INF32)
        return 0x7e00;
    if (a >= 143u << 23) /* 65536 and above */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 113u << 23) /* below 2^-14: the addition rounds at the place of the last subnormal bit */
        return (uint16_t)(sign | (bits_of(float_of(a) + float_of(126u << 23)) - (126u << 23)));
    return (uint16_t)(sign | (a - (112u << 23) + 0xfffu + (a >> 13 & 1u)) >> 13);
}

static uint16_t to_bf16(uint32_t u)
{
    if ((u & 0x7fffffffu) > INF32)
        return 0x7fc0;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static void load_f16(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        dst[i] = from_f16(h);
    }
}

static void load_bf16(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        dst[i] = float_of((uint32_t)h << 16);
    }
}

static void load_f64(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, src + 8 * i, 8);
        dst[i] = (float)d;
    }
}

void am_load_f32(enum am_dtype from, const void *src, float *dst, size_t n)
{
    if (n == 0)
        return;
    switch (from) {
    case AM_F16:
        load_f16(src, dst, n);
        break;
    case AM_BF16:
        load_bf16(src, dst, n);
        break;
    case AM_F64:
        load_f64(src, dst, n);
        break;
    default: /* F32: the contract admits no other */
        memcpy(dst, src, n * sizeof(*dst));
        break;
    }
}

static size_t store_16(bool brain, const float *src, unsigned char *dst, size_t n, enum am_overflow overflow,
                       size_t *ret_first)
{
    const uint16_t infinite = brain ? 0x7f80 : 0x7c00;
    size_t over = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        uint16_t h = brain ? to_bf16(u) : to_f16(u);
        if ((h & 0x7fffu) == infinite && (u & 0x7fffffffu) < INF32) {
            if (over++ == 0 && ret_first)
                *ret_first = i;
            if (overflow == AM_OVERFLOW_CLAMP)
                h--; /* the largest finite value is the pattern below infinity */
        }
        memcpy(dst + 2 * i, &h, 2);
    }
    return over;
}

static void store_f32(const float *src, unsigned char *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        u = (u & 0x7fffffffu) > INF32 ? NAN32 : u;
        memcpy(dst + 4 * i, &u, 4);
    }
}

static void store_f64(const float *src, unsigned char *dst, size_t n)
{
    static const uint64_t nan64 = 0x7ff8000000000000u;
    for (size_t i = 0; i < n; i++) {
        double d = src[i];
        uint64_t u;
        memcpy(&u, &d, 8);
        u = (bits_of(src[i]) & 0x7fffffffu) > INF32 ? nan64 : u;
        memcpy(dst + 8 * i, &u, 8);
    }
}

size_t am_store_f32(enum am_dtype to, const float *src, void *dst, size_t n, enum am_overflow overflow,
                    size_t *ret_first)
{
    switch (to) {
    case AM_F16:
        return store_16(false, src, dst, n, overflow, ret_first);
    case AM_BF16:
        return store_16(true, src, dst, n, overflow, ret_first);
    case AM_F64:
        store_f64(src, dst, n);
        return 0;
    default: /* F32: the contract admits no other */
        store_f32(src, dst, n);
        return 0;
    }
}

size_t am_nonfinite_f32(const float *x, size_t n, size_t *ret_count)
{
    size_t count = 0, first = n;
    for (size_t i = 0; i < n; i++)
        count += (bits_of(x[i]) & INF32) == INF32;
    for (size_t i = 0; count && first == n; i++)
        if ((bits_of(x[i]) & INF32) == INF32)
            first = i;
    if (ret_count)
        *ret_count = count;
    return first;
}

void am_copy_f32(float *out, const float *x, size_t n)
{
    if (n)
        memmove(out, x, n * sizeof(*out));
}

void am_scale_f32(float *out, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a * x[i];
}

void am_axpy_f32(float *out, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += a * x[i];
}

void am_div_f32(float *out, float a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] /= a;
}

void am_sub_f32(float *out, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] - y[i];
}

void am_add_f32(float *out, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] + y[i];
}

void am_axpy_diff_f32(float *out, float a, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += a * (x[i] - y[i]);
}
