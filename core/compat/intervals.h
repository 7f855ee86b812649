/*
 * intervals.h - closed-form intervals of a comparison (compat.md 5.2, 5.4, 5.5). z is AM_Z_TWO_SIDED for the interval
 * of a report, AM_Z_ONE_SIDED for the bounds of a gate (each side of that interval is a one-sided 95 % bound). Counts
 * are f64, so that a plan may ask for samples that do not exist yet; they are >= 0 and finite. n = 0: undefined. Pure
 * functions; agreement with independent formulas is tested to 1e-9.
 */
#ifndef AM_COMPAT_INTERVALS_H
#define AM_COMPAT_INTERVALS_H

#include "core/compat/maybe.h"

/* Wilson's score interval of k of n, 0 <= k <= n; exactly 0 at k = 0 below, exactly 1 at k = n above. */
struct am_interval am_wilson(double k, double n, double z);

/* The score interval of (c - b)/n for paired samples (Tango 1998): b went wrong, c went right; b + c <= n. In [-1, 1].
 */
struct am_interval am_tango(double b, double c, double n, double z);
/* Tango's statistic at a trial value of the difference, -1 < delta < 1. Non-inferior by `margin`: statistic(-margin)
   >= z. Falls as delta grows. */
double am_tango_statistic(double b, double c, double n, double delta);

/* Newcombe 1998, method 10, of the same difference, from the full table (a and d: both right, both wrong). */
struct am_interval am_newcombe(double a, double b, double c, double d, double z);

#endif
