/*
 * multi_krum.c - the mean of the p - f - 2 contributors with the best Krum scores: out = b + alpha * mean(x_c - b).
 *
 * Blanchard et al., NeurIPS 2017, arXiv:1703.02757. Needs p >= 2f + 3; of equal scores the lower index goes first.
 * Shapes: b, every x_i and out have the same shape. Distances in f64 over the whole model (scope "tensor": per tensor).
 * Trust: 1 for those taken, others least score / score.
 */
#include "core/merge/_policies.h"
#include "core/merge/_robust_krum.h"
#include "core/methods/method.h"

static int rule(struct am_gram_task *t)
{
    return am_krum_solve(t, true);
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    return am_gram_between(acc, s, local, rule);
}

const struct am_method am_method_merge_multi_krum = {
    AM_GRAM_HOOKS,
    .name = "multi_krum",
    .since = "0.1",
    .paper = "arXiv:1703.02757",
    .summary = "base plus the mean difference of the p - f - 2 models with the best Krum scores",
    .needs = AM_GRAM_NEEDS(3, 0, struct am_krum_local),
    .params = am_krum_params,
    .rules = am_krum_rules,
    .prepare = am_krum_prepare,
    .between = between,
};
