/*
 * consensus.c - the sum of all differences without the entries that only few models want: out = b + alpha * m *
 * sum(d_i), m = at least k of the models have |d_t| > lambda_mask * |sum(d_i) - d_t|, d_i = x_i - b.
 *
 * Wang et al., ICML 2024, arXiv:2405.07813 (consensus task arithmetic over TALL masks). Shapes: b, every x_i and out
 * have the same shape. f32, one rounding per operation, sums from left to right in the order of the request. With
 * lambda_mask below 1 / (m - 1) every entry that is not zero is wanted by one of m models, so k = 1 gives
 * task_arithmetic with lambda = alpha.
 */
#include "core/merge/_policies.h"
#include "core/merge/_robust_gram.h"
#include "core/merge/_tasks.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#include <string.h>

static const struct am_param params[] = {
    AM_MASK_PARAM,
    {.name = "k",
     .kind = AM_INT,
     .min = 1,
     .max = AM_MAX_INPUTS,
     .def = "2",
     .unit = "models",
     .doc = "how many models must want an entry"},
    {.name = "alpha",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "0.3",
     .unit = "factor",
     .doc = "factor of the merged difference; the paper tunes it on validation data"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_INPUTS_A, "k", ""}, {AM_RULE_END, NULL, NULL}};

struct local {
    float limit[AM_MAX_INPUTS], alpha, k;
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    for (size_t i = 0; i < s->inputs; i++)
        l->limit[i] = (float)am_arg_input_real(s->args, "lambda_mask", i);
    l->alpha = (float)am_arg_real(s->args, "alpha");
    l->k = (float)am_arg_int(s->args, "k");
}

/* The tally: elements, those kept, and how many each model wants. */
static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct local *l = w->local;
    float *sum = w->out, *want = w->scratch[w->inputs];
    am_tasks_deltas(w, sum);
    memset(want, 0, w->n * sizeof(*want));
    for (size_t i = 0; i < w->inputs; i++)
        w->tally[2 + i] += (double)am_mark_own(want, w->scratch[i], sum, l->limit[i], w->n);
    w->tally[0] += (double)w->n;
    w->tally[1] += (double)am_keep_own(w->out, l->alpha, sum, w->base, want, l->k, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_report_put(r, "kept", tally[1]);
    am_report_put(r, "kept_share", tally[0] > 0 ? tally[1] / tally[0] : 0);
    am_report_put_list(r, "own", tally + 2, s->inputs);
}

const struct am_method am_method_merge_consensus = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "consensus",
    .since = "0.1",
    .paper = "arXiv:2405.07813",
    .summary = "base plus the summed differences that at least k models want",
    .needs = {.min_inputs = 2,
              .base = AM_YES,
              .tally = {.fixed = 2, .per_input = 1},
              .report = {.fixed = 2, .per_input = 1},
              .scratch = {.fixed = 1, .per_input = 1},
              .local_bytes = sizeof(struct local),
              .symmetric = true},
    .params = params,
    .common = am_policies,
    .rules = rules,
    .unchanged = am_robust_unchanged,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
