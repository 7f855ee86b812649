/*
 * trimmed_mean.c - per coordinate, the mean of the contributors' differences without the f smallest and f largest:
 * out = b + alpha * mean(kept x_i - b).
 *
 * Yin et al., ICML 2018, arXiv:1803.01498. Needs p >= 2f + 1 models.
 * Shapes: b, every x_i and out have the same shape. f32, one rounding per operation; summed from the smallest to the
 * largest, so that the order of the models changes nothing. Trust: how often a model was among the kept.
 */
#include "core/base/err.h"
#include "core/merge/_robust_columns.h"

static const struct am_param params[] = {AM_COLUMNS_F("smallest and largest values"), AM_ROBUST_ALPHA, {0}};

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    size_t f = ((const struct am_columns_local *)w->local)->f;
    AM_TRY(am_columns_sort(w));
    am_columns_trimmed(w->scratch, w->inputs, f, w->out, w->n);
    am_columns_finish(w, f);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_columns_report(s, tally, (size_t)am_arg_int(s->args, "f"), r);
}

const struct am_method am_method_merge_trimmed_mean = {
    AM_COLUMNS_HOOKS,
    .name = "trimmed_mean",
    .paper = "arXiv:1803.01498",
    .summary = "base plus the mean of the differences without the f smallest and largest of each coordinate",
    .needs = AM_COLUMNS_NEEDS,
    .params = params,
    .rules = am_columns_rules,
    .apply = apply,
    .report = report,
};
