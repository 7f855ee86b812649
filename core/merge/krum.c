/*
 * krum.c - the one contributor whose p - f - 2 nearest others are nearest, by squared distance: out = b + alpha * (x_c
 * - b).
 *
 * Blanchard et al., NeurIPS 2017, arXiv:1703.02757. Needs p >= 2f + 3; of equal scores the lower index wins.
 * Shapes: b, every x_i and out have the same shape. Distances in f64 over the whole model (scope "tensor": per tensor).
 * With alpha 1 the result is the chosen model's elements as they are. Trust: 1, others least score / score.
 */
#include "core/merge/_policies.h"
#include "core/merge/_robust_krum.h"
#include "core/methods/method.h"

static int rule(struct am_gram_task *t)
{
    return am_krum_solve(t, false);
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    return am_gram_between(acc, s, local, rule);
}

const struct am_method am_method_merge_krum = {
    AM_GRAM_HOOKS,
    .name = "krum",
    .since = "0.1",
    .paper = "arXiv:1703.02757",
    .summary = "the one model nearest to the p - f - 2 others around it, of p contributed ones",
    .needs = AM_GRAM_NEEDS(3, 0, struct am_krum_local),
    .params = am_krum_params,
    .rules = am_krum_rules,
    .prepare = am_krum_prepare,
    .between = between,
};
