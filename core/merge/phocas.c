/*
 * phocas.c - per coordinate, the mean of the p - f differences nearest to their trimmed mean: out = b + alpha *
 * mean(kept x_i - b).
 *
 * Xie et al. 2018, arXiv:1805.09682. Needs p >= 2f + 1 models.
 * Shapes: b, every x_i and out have the same shape. f32, one rounding per operation; summed from the smallest to the
 * largest. Of two at the same distance the smaller value is nearer, so that the order of the models changes nothing.
 * Trust: how often a model was among the kept, or equal to one.
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_robust_columns.h"
#include "core/merge/_robust_gram.h"
#include "core/methods/method.h"

static const struct am_param params[] = {
    {.name = "f",
     .kind = AM_INT,
     .min = 0,
     .max = (AM_MAX_INPUTS - 1) / 2,
     .unit = "models",
     .flags = AM_REQUIRED,
     .doc = "how many faulty models to tolerate: so many values, the farthest, are left out; needs 2f + 1 models"},
    AM_ROBUST_ALPHA,
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_INPUTS_2A_1, "f", ""}, {AM_RULE_END, NULL, NULL}};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct am_columns_local *l = local;
    am_columns_prepare(s, l);
    l->f = (unsigned)am_arg_int(s->args, "f");
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct am_columns_local *l = w->local;
    size_t f = l->f, p = w->inputs;
    if (2 * f >= p)
        return -AM_E_BAD_SPEC;
    am_columns_sort(w);
    am_columns_trimmed(w->scratch, p, f, w->out, w->n);
    am_columns_nearest(w->scratch, p, p - f, w->out, w->n);
    am_columns_finish(w, 0);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_columns_report_kept(s, tally, s->inputs - (size_t)am_arg_int(s->args, "f"), r);
}

const struct am_method am_method_merge_phocas = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "phocas",
    .since = "0.1",
    .paper = "arXiv:1805.09682",
    .summary = "base plus the mean of the p - f differences nearest to the trimmed mean of each coordinate",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = AM_COLUMNS_TALLY,
              .report = AM_COLUMNS_REPORT,
              .scratch = AM_COLUMNS_SCRATCH,
              .local_bytes = sizeof(struct am_columns_local),
              .symmetric = true},
    .params = params,
    .common = am_policies,
    .rules = rules,
    .unchanged = am_robust_unchanged,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
