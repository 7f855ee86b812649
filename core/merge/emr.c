/*
 * emr.c - elect, mask, rescale: one difference for all tasks, of which a task takes what points its way, at its own
 * size: out = b + lambda_t * m_t * uni. uni has in each element the sign of sum(d_i), d_i = x_i - b, and the largest
 * magnitude of those with that sign; m_t = d_t * uni > 0; lambda_t = sum |d_t| / sum |m_t * uni| over the whole model.
 *
 * Huang et al., NeurIPS 2024, arXiv:2405.17461. Shapes: b, every x_i and out have the same shape. f32, one rounding per
 * operation, sums from left to right in the order of the request; lambda_t in f64 and rounded once, 1 where a sum is 0.
 * The authors' code adds means of tensors instead of sums (`reference_scaling`).
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_tasks.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#include <string.h>

static const struct am_param params[] = {
    AM_TASK_PARAM,
    {.name = "reference_scaling",
     .kind = AM_BOOL,
     .def = "false",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "sizes as the authors' code has them: each tensor counts the same, however small"},
    {0},
};

struct local {
    size_t task;  /* from 0 */
    double share; /* of a tile's sums */
};

struct acc {
    uint64_t inputs;
    double sum[][2]; /* of each model: |d|, |m * uni| */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    l->task = (size_t)am_arg_int(s->args, "task") - 1;
    l->share = am_arg_bool(s->args, "reference_scaling") && s->elements > 0 ? 1 / (double)s->elements : 1;
}

/* scratch[i] = the differences; uni as above, by way of two arrays of scratch. */
static void unify(const struct am_window *w, float *uni)
{
    float *high = w->scratch[w->inputs + 1], *low = w->scratch[w->inputs + 2];
    am_tasks_deltas(w, uni);
    memset(high, 0, w->n * sizeof(*high));
    memset(low, 0, w->n * sizeof(*low));
    for (size_t i = 0; i < w->inputs; i++)
        am_widen_range(high, low, w->scratch[i], w->n);
    am_unify(uni, uni, high, low, w->n);
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)sofar, (void)pass;
    const struct local *l = w->local;
    struct acc *a = acc;
    float *uni = w->scratch[w->inputs], *taken = w->scratch[w->inputs + 1];
    a->inputs = w->inputs;
    unify(w, uni);
    for (size_t i = 0; i < w->inputs; i++) {
        am_take_sign(taken, w->scratch[i], uni, w->n);
        a->sum[i][0] += l->share * am_block_sum_abs(w->scratch[i], w->n);
        a->sum[i][1] += l->share * am_block_sum_abs(taken, w->n);
    }
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    struct acc *a = into;
    const struct acc *b = from;
    for (size_t i = 0; i < b->inputs; i++) {
        a->sum[i][0] += b->sum[i][0];
        a->sum[i][1] += b->sum[i][1];
    }
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    struct acc *a = acc;
    a->inputs = s->inputs;
    return ((const struct local *)local)->task < s->inputs ? 0 : -AM_E_BAD_SPEC;
}

static double lambda_of(const struct acc *a, size_t task)
{
    double lambda = a->sum[task][0] / a->sum[task][1];
    return a->sum[task][0] > 0 && a->sum[task][1] > 0 && isfinite(lambda) ? lambda : 1;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct local *l = w->local;
    float *uni = w->scratch[w->inputs];
    unify(w, uni);
    am_take_sign(w->out, w->scratch[l->task], uni, w->n);
    am_scale_f32(w->out, (float)lambda_of(acc, l->task), w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)tally;
    double lambda[AM_MAX_INPUTS];
    if (s->tensor.name || !acc)
        return;
    for (size_t i = 0; i < s->inputs; i++)
        lambda[i] = lambda_of(acc, i);
    am_report_put_list(r, "lambda", lambda, s->inputs);
}

const struct am_method am_method_merge_emr = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "emr",
    .since = "0.1",
    .paper = "arXiv:2405.17461",
    .summary = "one task's model out of one difference for all: what points its way, at its own size",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .scope = AM_SCOPE_MODEL,
              .passes = 1,
              .acc = {.fixed = sizeof(struct acc), .per_input = 2 * sizeof(double)},
              .scratch = {.fixed = 3, .per_input = 1},
              .local_bytes = sizeof(struct local)},
    .params = params,
    .common = am_policies,
    .rules = am_task_rules,
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
