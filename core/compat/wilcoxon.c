/*
 * wilcoxon.c - the signed-rank test with Pratt's zeros (tests.h). Mid-ranks are halves, so the rank sums are exact.
 */
#include "core/base/err.h"
#include "core/base/math.h"
#include "core/compat/normal.h"
#include "core/compat/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LN_10 2.302585092994045684018
#define HALF_LN_2PI 0.918938533204672741780
#define LN_2 0.693147180559945309417

static int by_size(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* 2 P(Z <= z), z <= 0; where the double ends its log goes on with the first terms of Mills' ratio. */
static struct am_p two_sided(double z)
{
    double p = 2 * am_normal_cdf(z);
    if (p >= 1)
        return (struct am_p){1, 0};
    if (z > -37)
        return (struct am_p){p, am_ln(p) / LN_10};
    double s = 1 / (z * z), mills = 1 - s * (1 - s * (3 - 15 * s));
    return (struct am_p){p, (LN_2 - z * z / 2 - HALF_LN_2PI - am_ln(-z) + am_ln(mills)) / LN_10};
}

/* Adds the mid-rank of each tie group to its signs' sums; returns the sum of t (t^2 - 1) over groups that are not 0. */
static double rank(const double *sorted, size_t n, struct am_wilcoxon *w)
{
    double ties = 0;
    for (size_t i = 0, end; i < n; i = end) {
        double size = fabs(sorted[i]);
        size_t plus = 0;
        for (end = i; end < n && !(fabs(sorted[end]) > size); end++)
            plus += sorted[end] > 0;
        double t = (double)(end - i), middle = ((double)i + 1 + (double)end) / 2;
        if (!(size > 0)) {
            w->zeros = end - i;
            continue;
        }
        w->rank_plus += middle * (double)plus;
        w->rank_minus += middle * (t - (double)plus);
        ties += t * (t * t - 1);
    }
    return ties;
}

int am_wilcoxon_of(const double *d, size_t n, struct am_wilcoxon *ret)
{
    struct am_wilcoxon w = {.n = n, .p = {1, 0}};
    if (n >= (size_t)1 << 31)
        return -AM_E_TOO_LARGE;
    double *sorted = malloc(n * sizeof(*d) + 1);
    if (!sorted)
        return -AM_E_OUT_OF_MEMORY;
    if (n > 0)
        memcpy(sorted, d, n * sizeof(*d));
    qsort(sorted, n, sizeof(*sorted), by_size);
    double ties = rank(sorted, n, &w);
    free(sorted);
    double all = (double)n, zeros = (double)w.zeros;
    w.mean = all * (all + 1) / 4 - zeros * (zeros + 1) / 4;
    double variance = (all * (all + 1) * (2 * all + 1) - zeros * (zeros + 1) * (2 * zeros + 1) - ties / 2) / 24;
    if (w.zeros < n && variance > 0) {
        w.sd = sqrt(variance);
        w.z = (fmin(w.rank_plus, w.rank_minus) - w.mean) / w.sd;
        w.p = two_sided(w.z);
    }
    *ret = w;
    return 0;
}
