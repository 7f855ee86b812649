/*
 * hist.h - a histogram of durations that many threads count into without a lock. Not a registry of metrics: who owns
 * one knows its bounds and prints it. All zero is an empty one.
 */
#ifndef AM_BASE_HIST_H
#define AM_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define AM_HIST_BUCKETS 12

struct am_hist {
    atomic_uint_least64_t n[AM_HIST_BUCKETS + 1]; /* by the first bound that is not below; the last: above all */
    atomic_uint_least64_t sum_us;
};

/* Upper bounds of the buckets in microseconds, ascending; ended by 0. */
typedef const int64_t am_hist_bounds[AM_HIST_BUCKETS + 1];

void am_hist_add(struct am_hist *h, am_hist_bounds bounds, int64_t us);

#endif
