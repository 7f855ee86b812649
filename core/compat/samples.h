/*
 * samples.h - how many samples a rule needs before it can pass (compat.md 5.8), so that a gate that cannot pass is
 * refused before anything runs. One-sided 95 % throughout. Limits lie in (0, 1); outside: UINT64_MAX, "never".
 */
#ifndef AM_COMPAT_SAMPLES_H
#define AM_COMPAT_SAMPLES_H

#include <stdint.h>

/* Least n with no flip at all for which the lower Tango bound of the accuracy difference is above -margin:
   n > z^2 (1-m)/m. */
uint64_t am_samples_margin(double margin);
/* Least n with no flip at all for which Wilson's upper bound of the NFR is at most `limit`: n >= z^2 (1-p)/p. */
uint64_t am_samples_nfr(double limit);
/* The same with the exact bound of Clopper and Pearson: n >= ln .05 / ln(1 - limit). */
uint64_t am_samples_nfr_exact(double limit);
/* Discordant pairs b + c that show a share b/(b+c) = `share` (not .5) with `power` at two-sided 5 %:
   ((z/2 + z_power sqrt(s (1-s))) / (s - 1/2))^2, rounded up. */
uint64_t am_samples_discordant(double share, double power);

#endif
