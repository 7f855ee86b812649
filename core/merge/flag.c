/*
 * flag.c - the Flag aggregator: the mean of the contributors' directions, projected on the m-dimensional subspace that
 * they agree on, given a typical length: out = b + alpha * size * (1/p) Y Y' N 1.
 *
 * Almasi et al., ICLR 2024, arXiv:2302.05865. Iteratively reweighted, in Gram space: one pass over the models.
 * Meant for replicas of one change: of nearly orthogonal ones it keeps m and drops the others (merge.md A27).
 * Shapes: b, every x_i and out have the same shape. Trust: the share v_i of a model's square norm inside the subspace.
 */
#include "core/merge/_policies.h"
#include "core/merge/_robust.h"
#include "core/merge/_robust_gram.h"
#include "core/methods/method.h"

#include <string.h>

struct local {
    struct am_gram_local gram;
    struct am_flag flag;
};

static const char *const norms[] = {"median", "mean", "one", NULL};

static const struct am_param params[] = {
    {.name = "m",
     .kind = AM_INT,
     .min = 0,
     .max = AM_MAX_INPUTS,
     .def = "0",
     .unit = "dimensions",
     .doc = "dimension of the subspace, at most the number of models p; 0: (p + 1) / 2, rounded up"},
    {.name = "lambda",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e6,
     .def = "0.0",
     .unit = "factor",
     .flags = AM_ADVANCED,
     .doc = "weight of the differences between models beside the models themselves"},
    {.name = "norm",
     .kind = AM_CHOICE,
     .choices = norms,
     .def = "\"median\"",
     .unit = "none",
     .doc = "length given back to the result: median or mean of the models' lengths, or 1"},
    {.name = "iterations",
     .kind = AM_INT,
     .min = 1,
     .max = 1000,
     .def = "10",
     .unit = "rounds",
     .flags = AM_ADVANCED,
     .doc = "rounds of reweighting at most"},
    {.name = "epsilon",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "1e-7",
     .unit = "none",
     .flags = AM_ADVANCED | AM_OPEN_MIN,
     .doc = "keeps the weight of a model that lies inside the subspace finite"},
    AM_GRAM_PARAMS,
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_INPUTS_A, "m", ""}, {AM_RULE_END, NULL, NULL}};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    const char *norm = am_arg_text(s->args, "norm");
    l->gram.alpha = (float)am_arg_real(s->args, "alpha");
    l->flag.m = (size_t)am_arg_int(s->args, "m");
    l->flag.lambda = am_arg_real(s->args, "lambda");
    l->flag.epsilon = am_arg_real(s->args, "epsilon");
    l->flag.iterations = (unsigned)am_arg_int(s->args, "iterations");
    l->flag.norm = strcmp(norm, "one") == 0 ? AM_FLAG_ONE : strcmp(norm, "mean") == 0 ? AM_FLAG_MEAN : AM_FLAG_MEDIAN;
}

static int rule(struct am_gram_task *t)
{
    t->rounds = am_robust_flag(&((const struct local *)t->local)->flag, t->k, t->n, t->work, t->c, t->trust);
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    return am_gram_between(acc, s, local, rule);
}

const struct am_method am_method_merge_flag = {
    AM_GRAM_HOOKS,
    .name = "flag",
    .since = "0.1",
    .paper = "arXiv:2302.05865",
    .summary = "base plus the mean direction of the differences in the subspace that they agree on",
    .needs = AM_GRAM_NEEDS(2, AM_FLAG_MATRICES, struct local),
    .params = params,
    .rules = rules,
    .prepare = prepare,
    .between = between,
};
