/*
 * _redraw.h - the paired bootstrap for statistics of more sums than core/compat/bootstrap.h has places for. Every
 * sample adds to one or two of `slots` sums; a replicate draws the units of the grouping again. Intervals are
 * percentiles. The same input and seed give the same bytes for any number of threads. Nothing is owned.
 */
#ifndef AM_EVALUATE_REDRAW_H
#define AM_EVALUATE_REDRAW_H

#include "core/evaluate/_numbers.h"

#define AM_REDRAW_STATS 8
#define AM_REDRAW_NONE UINT32_MAX

/* `sums` has a number for each slot, then the sum of all weights that were drawn, then `scratch` numbers to write to;
   ret has one for each statistic. Called from several threads at once. */
typedef void am_redraw_statistics(double *sums, const void *arg, struct am_maybe *ret);

struct am_redraw {
    size_t n, slots, stats, scratch;
    const uint32_t *slot[2]; /* of each sample, or AM_REDRAW_NONE; the second may be NULL */
    const float *amount[2];  /* what it adds there, beside its weight; NULL: 1 */
    const struct am_grouping *grouping;
    am_redraw_statistics *statistics;
    const void *arg;
};

/* `ret` has room for stats answers. Replicates without a value are dropped as in am_boot_answer. */
int am_redraw(const struct am_redraw *r, const struct am_boot *how, struct am_boot_answer *ret);

#endif
