/*
 * delta.c - see delta.h.
 */
#include "core/compat/delta.h"

#include <string.h>

void am_delta_row(double d, double epsilon, double ret[AM_DELTA_SUMS])
{
    bool up = d > epsilon, down = d < -epsilon;
    ret[AM_DELTA_N] = 1;
    ret[AM_DELTA_UP] = up ? 1 : 0;
    ret[AM_DELTA_DOWN] = down ? 1 : 0;
    ret[AM_DELTA_UP_SUM] = up ? d : 0;
    ret[AM_DELTA_DOWN_SUM] = down ? -d : 0;
    ret[AM_DELTA_TIE_SUM] = up || down ? 0 : d;
}

void am_delta_sums(const float *old_s, const float *new_s, const float *weight, size_t n, bool higher_is_better,
                   double epsilon, double *d, double ret[AM_DELTA_SUMS])
{
    double sums[AM_DELTA_SUMS] = {0};
    for (size_t i = 0; i < n; i++) {
        double row[AM_DELTA_SUMS], up = (double)new_s[i] - (double)old_s[i], x = higher_is_better ? up : -up;
        am_delta_row(x, epsilon, row);
        for (size_t k = 0; k < AM_DELTA_SUMS; k++)
            sums[k] += row[k] * (weight ? (double)weight[i] : 1);
        if (d)
            d[i] = x;
    }
    memcpy(ret, sums, sizeof(sums));
}

struct am_maybe am_delta_nfr(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[AM_DELTA_DOWN], sums[AM_DELTA_N]);
}

struct am_maybe am_delta_pfr(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[AM_DELTA_UP], sums[AM_DELTA_N]);
}

struct am_maybe am_delta_gain(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[AM_DELTA_UP_SUM], sums[AM_DELTA_UP]);
}

struct am_maybe am_delta_regression(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[AM_DELTA_DOWN_SUM], sums[AM_DELTA_DOWN]);
}

struct am_maybe am_delta_mean(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[AM_DELTA_UP_SUM] - sums[AM_DELTA_DOWN_SUM] + sums[AM_DELTA_TIE_SUM], sums[AM_DELTA_N]);
}

struct am_quadrants am_quadrants_of(const float *old_s, const float *new_s, const float *self, size_t n,
                                    bool higher_is_better, double tau)
{
    struct am_quadrants q = {0};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double o = (double)old_s[i], w = (double)new_s[i];
        bool good_old = higher_is_better ? o >= tau : o <= tau, good_new = higher_is_better ? w >= tau : w <= tau;
        q.both_good += good_old && good_new;
        q.gained += !good_old && good_new;
        q.lost += good_old && !good_new;
        if (good_old || good_new)
            continue;
        q.both_bad++;
        sum += self ? (double)self[i] : 0;
    }
    if (self)
        q.self_similarity_both_bad = am_ratio(sum, (double)q.both_bad);
    return q;
}
