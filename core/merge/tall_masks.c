/*
 * tall_masks.c - one task's model out of the sum of all: the entries of the summed differences that are the task's own,
 * out = b + m * sum(d_i), m = |d_t| > lambda_mask * |sum(d_i) - d_t|, d_i = x_i - b.
 *
 * Wang et al., ICML 2024, arXiv:2405.07813. Shapes: b, every x_i and out have the same shape. f32, one rounding per
 * operation, sums from left to right in the order of the request.
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_tasks.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#include <string.h>

static const struct am_param params[] = {AM_TASK_PARAM, AM_MASK_PARAM, {0}};

struct local {
    size_t task; /* from 0 */
    float limit;
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    l->task = (size_t)am_arg_int(s->args, "task") - 1;
    if (l->task < s->inputs)
        l->limit = (float)am_arg_input_real(s->args, "lambda_mask", l->task);
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct local *l = w->local;
    float *sum = w->out, *own = w->scratch[w->inputs];
    if (l->task >= w->inputs)
        return -AM_E_BAD_SPEC;
    am_tasks_deltas(w, sum);
    memset(own, 0, w->n * sizeof(*own));
    am_mark_own(own, w->scratch[l->task], sum, l->limit, w->n);
    w->tally[0] += (double)am_keep_own(w->out, 1, sum, w->base, own, 1, w->n);
    w->tally[1] += (double)w->n;
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)s, (void)acc;
    am_report_put(r, "own", tally[0]);
    am_report_put(r, "own_share", tally[1] > 0 ? tally[0] / tally[1] : 0);
}

const struct am_method am_method_merge_tall_masks = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "tall_masks",
    .since = "0.1",
    .paper = "arXiv:2405.07813",
    .summary = "one task's model out of the sum of all differences: those entries that are mostly its own",
    .needs = {.min_inputs = 2,
              .base = AM_YES,
              .tally = {.fixed = 2},
              .report = {.fixed = 2},
              .scratch = {.fixed = 1, .per_input = 1},
              .local_bytes = sizeof(struct local)},
    .params = params,
    .common = am_policies,
    .rules = am_task_rules,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
