/*
 * delta.c - see delta.h.
 */
#include "core/tensor/delta.h"

#include "core/tensor/kernels.h"

#include <math.h>
#include <stdbool.h>

#define BLOCK 1024 /* columns at a time, so that the sum stays in the nearest cache */

static bool is_zero(const float *left, size_t rank)
{
    for (size_t k = 0; k < rank; k++)
        if (left[k] < 0 || left[k] > 0 || isnan(left[k]))
            return false;
    return true;
}

static void product(const struct am_delta *d, const float *left, uint64_t column, float *acc, size_t n)
{
    am_scale_f32(acc, left[0], d->right + column, n);
    am_axpy_rows_f32(acc, left + 1, d->right + d->columns + column, (size_t)d->columns, d->rank - 1, n);
}

/* Up to the end of a row, or BLOCK elements. */
static size_t stretch(const struct am_delta *d, uint64_t first, size_t n)
{
    uint64_t left = d->columns - first % d->columns;
    size_t k = left < BLOCK ? (size_t)left : BLOCK;
    return k < n ? k : n;
}

void am_delta_add(const struct am_delta *d, float *x, uint64_t first, size_t n)
{
    float acc[BLOCK];
    while (d->left && n > 0) {
        size_t k = stretch(d, first, n);
        const float *left = d->left + first / d->columns * d->rank;
        if (!is_zero(left, d->rank)) {
            product(d, left, first % d->columns, acc, k);
            am_axpy_f32(x, d->scale, acc, k);
        }
        x += k;
        first += k;
        n -= k;
    }
}

void am_delta_fill(const struct am_delta *d, float *x, uint64_t first, size_t n)
{
    while (n > 0) {
        size_t k = stretch(d, first, n);
        product(d, d->left + first / d->columns * d->rank, first % d->columns, x, k);
        am_scale_f32(x, d->scale, x, k);
        x += k;
        first += k;
        n -= k;
    }
}
