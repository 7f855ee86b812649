/*
 * linear.c - weighted mean of models: out = sum(w_i * x_i) / sum(w_i).
 *
 * Uniform model soups (Wortsman et al. 2022, arXiv:2203.05482), WiSE-FT and BCWI are this with other weights.
 * Shapes: every x_i and out have the same shape. f32, one rounding per operation, sums from left to right in the order
 * of the request; the weights are summed in f64 and rounded once. The mean of one model is that model, bit for bit. A
 * base may be named; it gives config and tokenizer and no numbers.
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
     .doc = "factor of each model"},
    {.name = "normalize", .kind = AM_BOOL, .def = "true", .unit = "none", .doc = "divide by the sum of the weights"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};

struct local {
    float weight[AM_MAX_INPUTS], sum;
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
    l->sum = (float)sum;
    l->normalize = am_arg_bool(s->args, "normalize");
    l->exact = am_exact_of(s->args);
}

/* compat "exact" (merge.md B18): R(R(sum of R(R(w) * R(x))) / R(sum of R(w))). */
static void apply_exact(const struct am_window *w, const struct local *l)
{
    const struct am_exact *e = &l->exact;
    float x[AM_TILE], sum = 0;
    memset(w->out, 0, w->n * sizeof(*w->out));
    for (size_t i = 0; i < w->inputs; i++) {
        float weight = am_exact_scalar(e, l->weight[i]);
        memcpy(x, w->x[i], w->n * sizeof(*x));
        am_exact_round(e, x, w->n);
        am_scale_f32(x, weight, x, w->n);
        am_exact_round(e, x, w->n);
        am_add_f32(w->out, w->out, x, w->n);
        sum += weight;
    }
    am_exact_round(e, w->out, w->n);
    if (!l->normalize)
        return;
    am_div_f32(w->out, am_exact_scalar(e, sum), w->n);
    am_exact_round(e, w->out, w->n);
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct local *l = w->local;
    if (l->exact.on) {
        apply_exact(w, l);
        return 0;
    }
    if (l->normalize && w->inputs == 1) {
        am_copy_f32(w->out, w->x[0], w->n); /* w * x / w would round twice */
        return 0;
    }
    if (w->inputs == 1)
        am_scale_f32(w->out, l->weight[0], w->x[0], w->n);
    else
        am_blend_f32(w->out, l->weight[0], w->x[0], l->weight[1], w->x[1], w->n);
    for (size_t i = 2; i < w->inputs; i++)
        am_axpy_f32(w->out, l->weight[i], w->x[i], w->n);
    if (l->normalize && l->sum != 1) /* x / 1 is x */
        am_div_f32(w->out, l->sum, w->n);
    return 0;
}

const struct am_method am_method_merge_linear = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "linear",
    .since = "0.1",
    .paper = "arXiv:2203.05482",
    .summary = "weighted mean of models",
    .needs = {.min_inputs = 1, .base = AM_DONOR, .local_bytes = sizeof(struct local), .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .prepare = prepare,
    .apply = apply,
};
