/*
 * soup.c - the plain mean of models: out = sum(x_i) / N. linear with all weights 1.
 *
 * Uniform model soups (Wortsman et al., ICML 2022, arXiv:2203.05482; merge.md A9). Shapes: every x_i and out have the
 * same shape. Arithmetic as in linear (_linear.h). A base may be named; it gives config and tokenizer and no numbers.
 */
#include "core/merge/_linear.h"
#include "core/merge/_policies.h"

static const struct am_param params[] = {{0}};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct am_linear *l = local;
    double weight[AM_MAX_INPUTS];
    for (size_t i = 0; i < s->inputs; i++)
        weight[i] = 1;
    am_linear_weights(l, weight, s->inputs);
    l->normalize = true;
}

const struct am_method am_method_merge_soup = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "soup",
    .since = "0.1",
    .paper = "arXiv:2203.05482",
    .summary = "plain mean of models: linear with equal weights",
    .needs = {.min_inputs = 1, .base = AM_DONOR, .local_bytes = sizeof(struct am_linear), .symmetric = true},
    .params = params,
    .common = am_policies,
    .prepare = prepare,
    .apply = am_linear_apply,
};
