/*
 * metrics.h - every metric of two classifiers on the same samples, from the six cells (compat.md 3). The cells are
 * given as a vector of f64, so that counts, sums of weights and resamples go through the same formulas; counts below
 * 2^53 are exact. Each metric is a numerator over a denominator; a denominator of 0 makes it undefined, never 0. Values
 * lie in 0..1 but for relative_nfr (0 and up; 1 = the errors of the two are independent) and accuracy_delta (-1..1). N
 * = a+b+c+d, d = d_same + d_diff. What compares predictions is undefined when only correctness is known.
 */
#ifndef AM_COMPAT_METRICS_H
#define AM_COMPAT_METRICS_H

#include "core/compat/cells.h"
#include "core/compat/maybe.h"

enum am_metric_id {
    AM_METRIC_ACCURACY_OLD,   /* (a+b)/N */
    AM_METRIC_ACCURACY_NEW,   /* (a+c)/N */
    AM_METRIC_ACCURACY_DELTA, /* (c-b)/N */
    AM_METRIC_NFR,            /* b/N (Yan 2021) */
    AM_METRIC_PFR,            /* c/N */
    AM_METRIC_NFR_MC,         /* (b+d_diff)/N (MUSCLE); predictions */
    AM_METRIC_RELATIVE_NFR,   /* b N / ((a+b)(b+d)) = NFR / (acc_old (1 - acc_new)) (Yan 2021) */
    AM_METRIC_NFI,            /* b/(b+d) (Cai 2022) */
    AM_METRIC_BTC,            /* a/(a+b) (Bansal, Srivastava) */
    AM_METRIC_BEC_NEW,        /* d/(b+d) (Srivastava 2020) */
    AM_METRIC_BEC_OLD,        /* d/(c+d), what the BackwardCompatibilityML code computes */
    AM_METRIC_CHURN,          /* (b+c+d_diff+a_diff)/N; predictions */
    AM_METRIC_CHURN_GOOD,     /* c/N */
    AM_METRIC_CHURN_BAD,      /* b/N */
    AM_METRIC_CHURN_NEUTRAL,  /* (d_diff+a_diff)/N; predictions */
    AM_METRICS
};

struct am_metric {
    double numerator, denominator;
    struct am_maybe ratio;
    const char *reason; /* why undefined: "no_samples", "empty_denominator", "no_predictions"; NULL when known */
};

/* The name in reports, e.g. "nfr_mc". */
const char *am_metric_name(enum am_metric_id id);
/* A share of a count, whose interval is Wilson's on numerator and denominator. */
bool am_metric_is_share(enum am_metric_id id);
struct am_metric am_metric_of(enum am_metric_id id, const double cells[AM_CELLS], bool compared);

/*
 * Noise floors (compat.md 3.1). One model sampled `tries[i]` times with `right[i]` correct answers: the unbiased
 * (1/N) sum k (K-k) / (K (K-1)); undefined when an item has fewer than 2 tries. Two models, each stochastic: the
 * expected NFR (1/N) sum p_old (1 - p_new) of their mean correctness.
 */
struct am_maybe am_noise_same(const uint32_t *right, const uint32_t *tries, size_t n);
struct am_maybe am_noise_expected(const double *old_rate, const double *new_rate, size_t n);

#endif
