/*
 * delta.h - a change of low rank of one tensor (merge.md B7): W + scale * left * right, computed for any stretch of its
 * elements from the two small factors, which are in memory. Each element is acc = the sum over k of fl(left[row, k] *
 * right[k, column]), in order, in f32; then fl(W + fl(scale * acc)). A row of zeros in `left` leaves its row of W as it
 * is, byte for byte. So the same comes out however a tensor is cut and with every set of kernels.
 * Ownership: borrows its factors.
 */
#ifndef AM_TENSOR_DELTA_H
#define AM_TENSOR_DELTA_H

#include <stddef.h>
#include <stdint.h>

struct am_delta {
    const float *left, *right; /* [rows, rank], [rank, columns]; NULL: the tensor as it is read is all of it */
    uint64_t columns;          /* of the tensor: element e is in row e / columns */
    size_t rank;
    float scale;
};

/* x[0 .. n): elements `first` and on. */
void am_delta_add(const struct am_delta *d, float *x, uint64_t first, size_t n);  /* x += change */
void am_delta_fill(const struct am_delta *d, float *x, uint64_t first, size_t n); /* x = change */

#endif
