/*
 * task_arithmetic.c - adds what each model learned since the base: out = b + lambda * sum(w_i * (x_i - b)).
 *
 * Ilharco et al., ICLR 2023, arXiv:2212.04089. A negative weight takes a task away.
 * Shapes: b, every x_i and out have the same shape. f32, one rounding per operation, sums from left to right in the
 * order of the request; with `normalize` the sum is divided by sum(w_i), summed in f64 and rounded once. lambda 0 gives
 * the base bit for bit.
 */
#include "core/merge/_exact.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

#include <string.h>

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED | AM_PER_INPUT,
     .doc = "factor of each model's difference from the base"},
    {.name = "lambda",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .doc = "factor of the merged difference"},
    {.name = "normalize", .kind = AM_BOOL, .def = "false", .unit = "none", .doc = "divide by the sum of the weights"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "lambda") == 0;
}

struct local {
    float weight[AM_MAX_INPUTS], sum, lambda;
    bool normalize;
    struct am_exact exact; /* compat */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    double sum = 0;
    for (size_t i = 0; i < s->inputs; i++) {
        double weight = am_arg_input_real(s->args, "weight", i);
        l->weight[i] = (float)weight;
        sum += weight;
    }
    l->sum = fabs(sum) < 1e-8 && am_compat(s->args) ? 1 : (float)sum; /* as mergekit; else it is refused */
    l->lambda = (float)am_arg_real(s->args, "lambda");
    l->normalize = am_arg_bool(s->args, "normalize");
    l->exact = am_exact_of(s->args);
}

/* compat "exact" (merge.md B18): as _frame_exact.c, without sparsifier and election. */
static void apply_exact(const struct am_window *w, const struct local *l)
{
    const struct am_exact *e = &l->exact;
    float d[AM_TILE], sum = 0;
    memset(w->out, 0, w->n * sizeof(*w->out));
    for (size_t i = 0; i < w->inputs; i++) {
        float weight = am_exact_scalar(e, l->weight[i]);
        am_exact_delta(e, d, w->x[i], w->base, w->n);
        am_scale_f32(d, weight, d, w->n);
        am_exact_round(e, d, w->n);
        am_add_f32(w->out, w->out, d, w->n);
        sum += weight;
    }
    am_exact_round(e, w->out, w->n);
    sum = am_exact_scalar(e, sum);
    if (l->normalize) {
        am_div_f32(w->out, fabsf(sum) < 1e-8f ? 1 : sum, w->n);
        am_exact_round(e, w->out, w->n);
    }
    if (l->lambda != 1) {
        am_scale_f32(w->out, l->lambda, w->out, w->n);
        am_exact_round(e, w->out, w->n);
    }
    memcpy(d, w->base, w->n * sizeof(*d));
    am_exact_round(e, d, w->n);
    am_add_f32(w->out, d, w->out, w->n);
    am_exact_round(e, w->out, w->n);
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct local *l = w->local;
    if (l->lambda == 0) {
        am_copy_f32(w->out, w->base, w->n); /* b + 0 would turn -0 into +0 */
        return 0;
    }
    if (l->exact.on) {
        apply_exact(w, l);
        return 0;
    }
    am_sub_f32(w->out, w->x[0], w->base, w->n);
    am_scale_f32(w->out, l->weight[0], w->out, w->n);
    for (size_t i = 1; i < w->inputs; i++)
        am_axpy_diff_f32(w->out, l->weight[i], w->x[i], w->base, w->n);
    if (l->normalize)
        am_div_f32(w->out, l->sum, w->n);
    if (l->lambda != 1)
        am_scale_f32(w->out, l->lambda, w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    return 0;
}

const struct am_method am_method_merge_task_arithmetic = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "task_arithmetic",
    .since = "0.1",
    .paper = "arXiv:2212.04089",
    .summary = "base plus weighted differences of fine-tunes from it",
    .needs = {.min_inputs = 1, .base = AM_YES, .local_bytes = sizeof(struct local), .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
};
