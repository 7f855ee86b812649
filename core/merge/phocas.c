/*
 * phocas.c - per coordinate, the mean of the p - f differences nearest to their trimmed mean: out = b + alpha *
 * mean(kept x_i - b).
 *
 * Xie et al. 2018, arXiv:1805.09682. Needs p >= 2f + 1 models.
 * Shapes: b, every x_i and out have the same shape. f32, one rounding per operation; summed from the smallest to the
 * largest. Of two at the same distance the smaller value is nearer, so that the order of the models changes nothing.
 * Trust: how often a model was among the kept, or equal to one.
 */
#include "core/merge/_robust_columns.h"

static const struct am_param params[] = {AM_COLUMNS_F("values, the farthest,"), AM_ROBUST_ALPHA, {0}};

static void center(const struct am_window *w, size_t f)
{
    am_columns_trimmed(w->scratch, w->inputs, f, w->out, w->n);
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    return am_columns_apply_nearest(w, center);
}

const struct am_method am_method_merge_phocas = {
    AM_COLUMNS_HOOKS,
    .name = "phocas",
    .paper = "arXiv:1805.09682",
    .summary = "base plus the mean of the p - f differences nearest to the trimmed mean of each coordinate",
    .needs = AM_COLUMNS_NEEDS,
    .params = params,
    .rules = am_columns_rules,
    .apply = apply,
    .report = am_columns_report_nearest,
};
