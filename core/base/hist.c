/*
 * hist.c - see hist.h.
 */
#include "core/base/hist.h"

void am_hist_add(struct am_hist *h, am_hist_bounds bounds, int64_t us)
{
    int i = 0;
    if (us < 0) /* a clock that was set */
        us = 0;
    while (i < AM_HIST_BUCKETS && bounds[i] && us > bounds[i])
        i++;
    if (i < AM_HIST_BUCKETS && !bounds[i])
        i = AM_HIST_BUCKETS;
    atomic_fetch_add_explicit(&h->n[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, (uint_least64_t)us, memory_order_relaxed);
}
