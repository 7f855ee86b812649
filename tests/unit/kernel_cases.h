/*
 * kernel_cases.h - what the cases of test_kernel_sets.c share: what goes into a kernel and comes out of it, arithmetic
 * of one rounding, sums in the order of the kernels. A case is a function that runs a kernel and one that says by plain
 * loops what must come out.
 */
#ifndef AM_TESTS_KERNEL_CASES_H
#define AM_TESTS_KERNEL_CASES_H

#include "core/tensor/kernels.h"
#include "tests/unit/kernel_fixture.h"

#include <stdbool.h>
#include <stddef.h>

enum { MOST = 4097, ROOM = MOST + 16 };

struct in {
    size_t n;
    const float *x, *y, *z; /* unaligned in every second case */
    const unsigned char *raw;
    float a, b;
    uint32_t low, high;
};

struct out {
    float f[2][ROOM]; /* results, and beyond them what must stay */
    _Alignas(8) unsigned char raw[8 * ROOM];
    uint64_t count[4];
    double sum[4];
    uint32_t bins[64];
};

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* One rounding: products of floats are exact in double; sums and quotients, rounded to 53 bits, round to 24 as at once.
 */
static float mul(float a, float b)
{
    return (float)((double)a * (double)b);
}

static float plus(float a, float b)
{
    return (float)((double)a + (double)b);
}

static float minus(float a, float b)
{
    return plus(a, -b);
}

static float over(float a, float b)
{
    return (float)((double)a / (double)b);
}

/* a and b of out->f start as y and z. */
static void begin(const struct in *in, struct out *out)
{
    memcpy(out->f[0], in->y, 4 * in->n);
    memcpy(out->f[1], in->z, 4 * in->n);
}

static double tree(const double *lane)
{
    double s[8], q[4];
    for (int j = 0; j < 8; j++)
        s[j] = lane[j] + lane[j + 8];
    for (int j = 0; j < 4; j++)
        q[j] = s[j] + s[j + 4];
    return (q[0] + q[2]) + (q[1] + q[3]);
}

static double lanes(const struct in *in, int what)
{
    double lane[16] = {0};
    for (size_t i = 0; i < in->n; i++) {
        double x = (double)in->x[i];
        lane[i % 16] += what == 0 ? x * (double)in->y[i] : what == 1 ? x : fabs(x);
    }
    return tree(lane);
}

/* BF16 as it is stored: the upper halves of floats. */
static const uint16_t *halves(const float *x, size_t n, uint16_t *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint16_t)(bits(x[i]) >> 16);
    return ret;
}

#endif
