/*
 * metrics.c - see metrics.h. Every metric is a row: which cells its numerator and its denominator add up. Two are not
 * sums of cells and have a rule of their own.
 */
#include "core/compat/metrics.h"

#define A (1u << AM_CELL_A_SAME | 1u << AM_CELL_A_DIFF)
#define B (1u << AM_CELL_B)
#define C (1u << AM_CELL_C)
#define D (1u << AM_CELL_D_SAME | 1u << AM_CELL_D_DIFF)
#define NEUTRAL (1u << AM_CELL_A_DIFF | 1u << AM_CELL_D_DIFF)
#define N (A | B | C | D)

struct row {
    const char *name;
    unsigned numerator, denominator;
    bool predictions; /* needs to know whether predictions differ */
};

static const struct row rows[AM_METRICS] = {
    [AM_METRIC_ACCURACY_OLD] = {"accuracy_old", A | B, N, false},
    [AM_METRIC_ACCURACY_NEW] = {"accuracy_new", A | C, N, false},
    [AM_METRIC_ACCURACY_DELTA] = {"accuracy_delta", 0, N, false},
    [AM_METRIC_NFR] = {"nfr", B, N, false},
    [AM_METRIC_PFR] = {"pfr", C, N, false},
    [AM_METRIC_NFR_MC] = {"nfr_mc", B | 1u << AM_CELL_D_DIFF, N, true},
    [AM_METRIC_RELATIVE_NFR] = {"relative_nfr", 0, 0, false},
    [AM_METRIC_NFI] = {"nfi", B, B | D, false},
    [AM_METRIC_BTC] = {"btc", A, A | B, false},
    [AM_METRIC_BEC_NEW] = {"bec_new", D, B | D, false},
    [AM_METRIC_BEC_OLD] = {"bec_old", D, C | D, false},
    [AM_METRIC_CHURN] = {"churn", B | C | NEUTRAL, N, true},
    [AM_METRIC_CHURN_GOOD] = {"churn_good", C, N, false},
    [AM_METRIC_CHURN_BAD] = {"churn_bad", B, N, false},
    [AM_METRIC_CHURN_NEUTRAL] = {"churn_neutral", NEUTRAL, N, true},
};

const char *am_metric_name(enum am_metric_id id)
{
    return rows[id].name;
}

bool am_metric_is_share(enum am_metric_id id)
{
    return rows[id].numerator != 0;
}

static double sum_of(const double cells[AM_CELLS], unsigned which)
{
    double sum = 0;
    for (unsigned i = 0; i < AM_CELLS; i++)
        if (which >> i & 1)
            sum += cells[i];
    return sum;
}

struct am_metric am_metric_of(enum am_metric_id id, const double cells[AM_CELLS], bool compared)
{
    const struct row *row = &rows[id];
    struct am_metric m = {sum_of(cells, row->numerator), sum_of(cells, row->denominator), {false, 0}, NULL};
    double n = sum_of(cells, N);
    if (id == AM_METRIC_ACCURACY_DELTA)
        m.numerator = cells[AM_CELL_C] - cells[AM_CELL_B];
    if (id == AM_METRIC_RELATIVE_NFR) {
        m.numerator = cells[AM_CELL_B] * n;
        m.denominator = sum_of(cells, A | B) * sum_of(cells, B | D);
    }
    if (row->predictions && !compared)
        m.reason = "no_predictions";
    else if (!(n > 0))
        m.reason = "no_samples";
    else if (!(m.denominator > 0))
        m.reason = "empty_denominator";
    else
        m.ratio = am_ratio(m.numerator, m.denominator);
    return m;
}

struct am_maybe am_noise_same(const uint32_t *right, const uint32_t *tries, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double k = right[i], all = tries[i];
        if (all < 2 || k > all)
            return (struct am_maybe){false, 0};
        sum += k * (all - k) / (all * (all - 1));
    }
    return am_ratio(sum, (double)n);
}

struct am_maybe am_noise_expected(const double *old_rate, const double *new_rate, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += old_rate[i] * (1 - new_rate[i]);
    return am_ratio(sum, (double)n);
}
