/*
 * _jacobi.c - cyclic Jacobi rotations (_jacobi.h). Golub and Van Loan, Matrix Computations, 8.5.
 */
#include "core/merge/_jacobi.h"

#include <math.h>
#include <string.h>

#define MAX_SWEEPS 60 /* twelve have been enough for every matrix of 100 rows; the end is quadratic */
#define SMALL 0x1p-60 /* of the Frobenius norm: far below what an eigenvalue can feel */

static void rotate(double *a, size_t n, double *v, size_t p, size_t q)
{
    double apq = a[p * n + q], theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = 1 / (fabs(theta) + sqrt(theta * theta + 1));
    if (theta < 0)
        t = -t;
    double c = 1 / sqrt(t * t + 1), s = t * c;
    a[p * n + p] -= t * apq;
    a[q * n + q] += t * apq;
    a[p * n + q] = a[q * n + p] = 0;
    for (size_t k = 0; k < n; k++) {
        double vp = v[p * n + k], vq = v[q * n + k];
        v[p * n + k] = c * vp - s * vq;
        v[q * n + k] = s * vp + c * vq;
        if (k == p || k == q)
            continue;
        double ap = a[p * n + k], aq = a[q * n + k];
        a[p * n + k] = a[k * n + p] = c * ap - s * aq;
        a[q * n + k] = a[k * n + q] = s * ap + c * aq;
    }
}

static void swap_rows(double *x, double *y, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double t = x[k];
        x[k] = y[k];
        y[k] = t;
    }
}

/* Largest first; of equal ones the one that came first. */
static void sort_pairs(size_t n, double *value, double *v)
{
    for (size_t i = 0; i + 1 < n; i++) {
        size_t top = i;
        for (size_t j = i + 1; j < n; j++)
            if (value[j] > value[top])
                top = j;
        if (top == i)
            continue;
        swap_rows(&value[i], &value[top], 1);
        swap_rows(v + i * n, v + top * n, n);
    }
}

unsigned am_jacobi(double *a, size_t n, double *value, double *v)
{
    double square = 0;
    for (size_t i = 0; i < n * n; i++)
        square += a[i] * a[i];
    double small = SMALL * sqrt(square);
    memset(v, 0, n * n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i * n + i] = 1;
    unsigned sweeps = 0;
    for (size_t turned = 1; turned && sweeps < MAX_SWEEPS; sweeps++) {
        turned = 0;
        for (size_t p = 0; p + 1 < n; p++) {
            for (size_t q = p + 1; q < n; q++) {
                if (!(fabs(a[p * n + q]) > small))
                    continue;
                rotate(a, n, v, p, q);
                turned++;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        value[i] = a[i * n + i];
    sort_pairs(n, value, v);
    return sweeps;
}
