/*
 * _robust.h - rules of robust merging as pure functions of the Gram matrix of the contributors' differences, K = G'G
 * (merge.md A27). They say how much of each difference the result takes; they never see the differences themselves.
 *
 * k: n x n, row-major, symmetric, finite, 1 <= n <= AM_MAX_INPUTS. All arrays belong to the caller.
 */
#ifndef AM_MERGE_ROBUST_H
#define AM_MERGE_ROBUST_H

#include <stddef.h>

/* Squared distance of contributors i and j; rounding never makes it negative. 0 for equal contributors. */
double am_robust_distance2(const double *k, size_t n, size_t i, size_t j);
/* Mean of the two middle ones when n is even. Sorts x. */
double am_robust_median(double *x, size_t n);

/* Krum: score[i] = sum of the `neighbours` (at most n - 1) smallest squared distances to others. */
void am_robust_krum_scores(const double *k, size_t n, size_t neighbours, double *score);
/* c = 1/take for the `take` (at most n) least scores, else 0; of equal scores the lower index goes first. */
void am_robust_take_best(const double *score, size_t n, size_t take, double *c);

/* Weiszfeld's iteration; c sums to 1. Returns how many rounds it took. */
unsigned am_robust_geometric_median(const double *k, size_t n, double *c);

enum am_flag_norm { AM_FLAG_MEDIAN, AM_FLAG_MEAN, AM_FLAG_ONE };
struct am_flag {
    size_t m; /* dimension of the subspace; 0: ceil((n + 1) / 2); more than n: n */
    double lambda, epsilon;
    unsigned iterations;
    enum am_flag_norm norm;
};
#define AM_FLAG_MATRICES 4 /* n x n doubles of work, which the next call may overwrite */
/* c: coefficients of the differences; v: share of each contributor's square norm inside the subspace, 0..1. */
unsigned am_robust_flag(const struct am_flag *f, const double *k, size_t n, double *work, double *c, double *v);

#endif
