/*
 * delta.h - comparing scores of generated text (compat.md 4; MUSCLE 3.2): D = S(new, reference) - S(old, reference) of
 * each sample, its sign turned when lower is better. All statistics come from sums, so that the bootstrap can draw
 * samples again (am_boot_units with one row a sample). Not the scores themselves (text.h). Nothing is owned.
 */
#ifndef AM_COMPAT_DELTA_H
#define AM_COMPAT_DELTA_H

#include "core/compat/maybe.h"

#include <stddef.h>

/* With a dead band epsilon >= 0 a sample is a positive flip when D > epsilon, a negative one when D < -epsilon. */
enum {
    AM_DELTA_N,
    AM_DELTA_UP,       /* how many positive flips */
    AM_DELTA_DOWN,     /* how many negative flips */
    AM_DELTA_UP_SUM,   /* sum of D over them */
    AM_DELTA_DOWN_SUM, /* sum of |D| over them */
    AM_DELTA_TIE_SUM,  /* sum of D over all others; 0 when epsilon is 0 */
    AM_DELTA_SUMS
};

/* The row of one sample; add rows for many. Multiply by a weight for weighted samples. */
void am_delta_row(double d, double epsilon, double ret[AM_DELTA_SUMS]);
/* D of every sample, and the sums of their rows in order. `weight` and `d` may be NULL. */
void am_delta_sums(const float *old_s, const float *new_s, const float *weight, size_t n, bool higher_is_better,
                   double epsilon, double *d, double ret[AM_DELTA_SUMS]);

/* Each over sums, in the form of am_boot_statistic (the second argument is not used). No samples: undefined. */
struct am_maybe am_delta_nfr(const double *sums, const void *unused);  /* share of negative flips */
struct am_maybe am_delta_pfr(const double *sums, const void *unused);  /* share of positive flips */
struct am_maybe am_delta_gain(const double *sums, const void *unused); /* mean D of positive flips; none: undefined */
struct am_maybe am_delta_regression(const double *sums, const void *unused); /* mean |D| of negative flips; same */
/* E[D] = PFR * gain - NFR * regression + the mean of what lies in the dead band. */
struct am_maybe am_delta_mean(const double *sums, const void *unused);

/* Quadrants at a threshold of S (S >= tau is good), as counts; `self` (S(new, old) of each sample, or NULL) gives the
   mean self-similarity where both are bad. With lower_is_better good is S <= tau. */
struct am_quadrants {
    size_t both_good, gained, lost, both_bad;
    struct am_maybe self_similarity_both_bad;
};
struct am_quadrants am_quadrants_of(const float *old_s, const float *new_s, const float *self, size_t n,
                                    bool higher_is_better, double tau);

#endif
