/*
 * delta.c - see delta.h.
 */
#include "core/tensor/delta.h"

#include "core/tensor/kernels.h"

#include <string.h>

#define BLOCK 1024 /* columns at a time, so that the sum stays in the nearest cache */

static void product(const struct am_delta *d, uint64_t row, uint64_t column, float *acc, size_t n)
{
    const float *left = d->left + row * d->rank;
    memset(acc, 0, n * sizeof *acc);
    for (size_t k = 0; k < d->rank; k++)
        am_axpy_f32(acc, left[k], d->right + k * d->columns + column, n);
    am_scale_f32(acc, d->scale, acc, n);
}

static void add(float *x, const float *change, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float sum = x[i] + change[i];
        x[i] = change[i] < 0 || change[i] > 0 || change[i] != change[i] ? sum : x[i];
    }
}

static void walk(const struct am_delta *d, float *x, uint64_t first, size_t n,
                 void (*put)(float *, const float *, size_t))
{
    float acc[BLOCK];
    while (n > 0) {
        uint64_t row = first / d->columns, column = first % d->columns, left = d->columns - column;
        size_t k = left < BLOCK ? (size_t)left : BLOCK;
        k = k < n ? k : n;
        product(d, row, column, acc, k);
        put(x, acc, k);
        x += k;
        first += k;
        n -= k;
    }
}

static void set(float *x, const float *change, size_t n)
{
    memcpy(x, change, n * sizeof *x);
}

void am_delta_add(const struct am_delta *d, float *x, uint64_t first, size_t n)
{
    if (d->left)
        walk(d, x, first, n, add);
}

void am_delta_fill(const struct am_delta *d, float *x, uint64_t first, size_t n)
{
    walk(d, x, first, n, set);
}
