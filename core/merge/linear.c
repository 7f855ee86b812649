/*
 * linear.c - weighted mean of models: out = sum(w_i * x_i) / sum(w_i).
 *
 * Uniform model soups (Wortsman et al. 2022, arXiv:2203.05482), WiSE-FT and BCWI are this with other weights (soup.c,
 * wise_ft.c). Shapes: every x_i and out have the same shape. f32, one rounding per operation, sums from left to right
 * in the order of the request; the weights are summed in f64 and rounded once. The mean of one model is that model, bit
 * for bit. A base may be named; it gives config and tokenizer and no numbers.
 */
#include "core/merge/_linear.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"

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

static void prepare(const struct am_scope_info *s, void *local)
{
    struct am_linear *l = local;
    double weight[AM_MAX_INPUTS];
    for (size_t i = 0; i < s->inputs; i++)
        weight[i] = am_arg_input_real(s->args, "weight", i);
    am_linear_weights(l, weight, s->inputs);
    l->normalize = am_arg_bool(s->args, "normalize");
    l->exact = am_exact_of(s->args);
}

const struct am_method am_method_merge_linear = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "linear",
    .since = "0.1",
    .paper = "arXiv:2203.05482",
    .summary = "weighted mean of models",
    .needs = {.min_inputs = 1, .base = AM_DONOR, .local_bytes = sizeof(struct am_linear), .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .prepare = prepare,
    .apply = am_linear_apply,
};
