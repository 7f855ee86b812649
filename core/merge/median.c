/*
 * median.c - the median of the contributors' differences, coordinate by coordinate: out = b + alpha * median(x_i - b).
 *
 * Yin et al., ICML 2018, arXiv:1803.01498. Tolerates f faulty ones of p >= 2f + 1.
 * Shapes: b, every x_i and out have the same shape. f32, one rounding per operation. With an even number of models it
 * is the mean of the middle two. Trust: how often a model was neither the only smallest nor the only largest.
 */
#include "core/base/err.h"
#include "core/merge/_robust_columns.h"

static const struct am_param params[] = {AM_ROBUST_ALPHA, {0}};

static size_t outside(size_t inputs)
{
    return inputs >= 3 ? 1 : 0; /* of two, both would be outside: nobody is judged */
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    AM_TRY(am_columns_sort(w));
    am_columns_median(w->scratch, w->inputs, w->out, w->n);
    am_columns_finish(w, outside(w->inputs));
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_columns_report(s, tally, outside(s->inputs), r);
}

const struct am_method am_method_merge_median = {
    AM_COLUMNS_HOOKS,
    .name = "median",
    .paper = "arXiv:1803.01498",
    .summary = "base plus the median of the differences from it, coordinate by coordinate",
    .needs = AM_COLUMNS_NEEDS,
    .params = params,
    .apply = apply,
    .report = report,
};
