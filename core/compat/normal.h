/*
 * normal.h - the standard normal distribution, from core/base/math.h alone, so that the same recipe gives the same
 * bytes on every machine. Not a statistics library: the two functions that intervals and tests need.
 */
#ifndef AM_COMPAT_NORMAL_H
#define AM_COMPAT_NORMAL_H

#define AM_Z_TWO_SIDED 1.959963984540054  /* 95 %, two-sided */
#define AM_Z_ONE_SIDED 1.6448536269514722 /* 95 %, one-sided: every bound of a gate */

/* P(Z <= x), relative error below 1e-14 down to the smallest double. */
double am_normal_cdf(double x);
/* The x with P(Z <= x) = p, 0 < p < 1, relative error below 1e-15 (Wichura 1988, algorithm AS 241, PPND16); -infinity
   and infinity for 0 and 1, NaN outside. */
double am_normal_quantile(double p);

#endif
