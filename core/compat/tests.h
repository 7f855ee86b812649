/*
 * tests.h - the paired tests of a comparison and the corrections for many of them (compat.md 5.3, 5.7). Every p comes
 * with its log10, since a p below 1e-308 is 0 as a double and printing 0 would be untrue. Nothing is owned.
 */
#ifndef AM_COMPAT_TESTS_H
#define AM_COMPAT_TESTS_H

#include <stddef.h>
#include <stdint.h>

struct am_p {
    double p, log10_p; /* p may be 0; log10_p is finite all the same */
};

/*
 * McNemar on the discordant pairs, m = min(b, c), n = b + c, X ~ Bin(n, 1/2):
 *   exact      min(1, 2 P(X <= m))
 *   mid        exact - P(X = m); for b = c 1 - P(X = m)/2 (Fagerland, Lydersen, Laake 2013)
 *   regression P(X > b) + P(X = b)/2: one-sided, small when more went wrong than right
 * b = c = 0: all are 1 by convention. Any b, c whose sum is below 2^53; some 10 sqrt(n) steps.
 */
struct am_mcnemar {
    struct am_p exact, mid, regression;
};
struct am_mcnemar am_mcnemar_of(uint64_t b, uint64_t c);

/* "better", "worse" or "no_difference_shown": the two-sided p at 0.05 and which of the two is larger. */
const char *am_verdict(double p, uint64_t b, uint64_t c);

/*
 * Wilcoxon's signed-rank test with Pratt's zeros: all |d| are ranked, zeros included (mid-ranks), then the ranks of
 * zeros are dropped; normal approximation with the tie term, no continuity correction. All zero (or n = 0): z = 0, p
 * = 1. Sorts a copy. Values finite, n < 2^31. -AM_E_OUT_OF_MEMORY, -AM_E_TOO_LARGE.
 */
struct am_wilcoxon {
    size_t n, zeros;
    double rank_plus, rank_minus, mean, sd, z;
    struct am_p p;
};
int am_wilcoxon_of(const double *d, size_t n, struct am_wilcoxon *ret);

/* Holm's adjusted p and Benjamini and Hochberg's q, in the order of `p`. ret may be p. -AM_E_OUT_OF_MEMORY. */
int am_holm(const double *p, size_t n, double *ret);
int am_benjamini_hochberg(const double *p, size_t n, double *ret);

#endif
