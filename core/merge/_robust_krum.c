/*
 * _robust_krum.c - the rule of krum and multi_krum, and its parameters (_robust_krum.h).
 *
 * A dropped contributor is one of the f that may be faulty, so f shrinks with it and the number of neighbours,
 * p - f - 2, stays. More dropped than f: the promise is void, and the job fails.
 */
#include "core/merge/_robust_krum.h"

#include "core/base/err.h"
#include "core/merge/_robust.h"

const struct am_param am_krum_params[] = {
    {.name = "f",
     .kind = AM_INT,
     .min = 0,
     .max = (AM_MAX_INPUTS - 3) / 2,
     .unit = "models",
     .flags = AM_REQUIRED,
     .doc = "how many faulty models to tolerate; needs 2f + 3 models"},
    AM_GRAM_PARAMS,
    {0},
};

const struct am_rule am_krum_rules[] = {{AM_RULE_INPUTS_2A_3, "f", ""}, {AM_RULE_END, NULL, NULL}};

void am_krum_prepare(const struct am_scope_info *s, void *local)
{
    struct am_krum_local *l = local;
    l->gram.alpha = (float)am_arg_real(s->args, "alpha");
    l->f = (size_t)am_arg_int(s->args, "f");
}

int am_krum_solve(struct am_gram_task *t, bool many)
{
    size_t f = ((const struct am_krum_local *)t->local)->f;
    if (t->inputs < 2 * f + 3)
        return -AM_E_BAD_SPEC;
    if (t->inputs - t->n > f)
        return -AM_E_NON_FINITE;
    size_t near = t->inputs - f - 2;
    am_robust_krum_scores(t->k, t->n, near, t->score);
    am_robust_take_best(t->score, t->n, many ? near : 1, t->c);
    t->scored = true;
    double least = t->score[0];
    for (size_t i = 1; i < t->n; i++)
        least = t->score[i] < least ? t->score[i] : least;
    for (size_t i = 0; i < t->n; i++)
        t->trust[i] = t->c[i] > 0 || t->score[i] <= least ? 1 : least / t->score[i];
    return 0;
}
