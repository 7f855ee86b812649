/*
 * geometric_median.c - the point with the least sum of distances to the contributors' differences: out = b + alpha * G
 * c.
 *
 * Pillutla et al., IEEE TSP 2022, arXiv:1912.13445 (RFA). Weiszfeld's iteration runs on the coefficients c, in Gram
 * space: one pass over the models, whatever the number of rounds. Tolerates f faulty ones of p >= 2f + 1.
 * Shapes: b, every x_i and out have the same shape. Trust: coefficient over the largest coefficient.
 */
#include "core/merge/_policies.h"
#include "core/merge/_robust.h"
#include "core/merge/_robust_gram.h"
#include "core/methods/method.h"

static const struct am_param params[] = {AM_GRAM_PARAMS, {0}};

static void prepare(const struct am_scope_info *s, void *local)
{
    ((struct am_gram_local *)local)->alpha = (float)am_arg_real(s->args, "alpha");
}

static int rule(struct am_gram_task *t)
{
    double top = 0;
    t->rounds = am_robust_geometric_median(t->k, t->n, t->c);
    for (size_t i = 0; i < t->n; i++)
        top = t->c[i] > top ? t->c[i] : top;
    for (size_t i = 0; i < t->n; i++)
        t->trust[i] = t->c[i] / top;
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    return am_gram_between(acc, s, local, rule);
}

const struct am_method am_method_merge_geometric_median = {
    AM_GRAM_HOOKS,
    .name = "geometric_median",
    .since = "0.1",
    .paper = "arXiv:1912.13445",
    .summary = "base plus the geometric median of the differences from it",
    .needs = AM_GRAM_NEEDS(1, 0, struct am_gram_local),
    .params = params,
    .prepare = prepare,
    .between = between,
};
