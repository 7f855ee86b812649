/*
 * bulyan.c - theta = p - 2f contributors by Krum, one after the other and judged anew each time; then per coordinate
 * the mean of the theta - 2f of their differences nearest to their median: out = b + alpha * that.
 *
 * El Mhamdi et al., ICML 2018, arXiv:1802.07927. Needs p >= 4f + 3 models.
 * Shapes: b, every x_i and out have the same shape. Distances in f64 over the whole model (scope "tensor": per tensor);
 * in a round with r left a score is the sum of the r - f - 2 (at least one) smallest squared distances. The last rounds
 * have one neighbour, and two models that are nearest to each other then have the same score: of equal scores the one
 * with the smaller sum of all distances wins, so that the order of the models does not decide. The mean in f32, from
 * the smallest value on; of two at the same distance the smaller one. Trust: 1 for those taken, others least score /
 * score of the first round.
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_robust.h"
#include "core/merge/_robust_columns.h"
#include "core/merge/_robust_gram.h"
#include "core/merge/_robust_krum.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "f",
     .kind = AM_INT,
     .min = 0,
     .max = (AM_MAX_INPUTS - 3) / 4,
     .unit = "models",
     .flags = AM_REQUIRED,
     .doc = "how many faulty models to tolerate; needs 4f + 3 models"},
    AM_GRAM_PARAMS,
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_INPUTS_4A_3, "f", ""}, {AM_RULE_END, NULL, NULL}};

/* The Krum winner of those in `left`; its place there. */
static size_t winner(const struct am_gram_task *t, const size_t *left, size_t r, size_t f)
{
    double score[AM_MAX_INPUTS], far[AM_MAX_INPUTS];
    size_t best = 0, near = r > f + 3 ? r - f - 2 : 1;
    for (size_t i = 0; i < r; i++)
        for (size_t j = 0; j < r; j++)
            t->work[i * r + j] = t->k[left[i] * t->n + left[j]];
    am_robust_krum_scores(t->work, r, near, score);
    am_robust_krum_scores(t->work, r, r - 1, far);
    for (size_t i = 1; i < r; i++)
        if (score[i] < score[best] || (score[i] <= score[best] && far[i] < far[best]))
            best = i;
    return best;
}

/* A contributor that was dropped is one of the f. */
static int rule(struct am_gram_task *t)
{
    size_t left[AM_MAX_INPUTS], r = t->n, f = ((const struct am_krum_local *)t->local)->f;
    if (t->inputs < 4 * f + 3)
        return -AM_E_BAD_SPEC;
    if (t->inputs - t->n > f)
        return -AM_E_NON_FINITE;
    f -= t->inputs - t->n;
    size_t theta = t->n - 2 * f;
    am_robust_krum_scores(t->k, t->n, t->n - f - 2, t->score);
    t->scored = true;
    double least = t->score[0];
    for (size_t i = 0; i < t->n; i++) {
        left[i] = i;
        t->c[i] = 0;
        least = t->score[i] < least ? t->score[i] : least;
    }
    for (size_t round = 0; round < theta; round++, r--) {
        size_t best = winner(t, left, r, f);
        t->c[left[best]] = 1 / (double)theta;
        for (size_t i = best; i + 1 < r; i++)
            left[i] = left[i + 1];
    }
    for (size_t i = 0; i < t->n; i++)
        t->trust[i] = t->c[i] > 0 || t->score[i] <= least ? 1 : least / t->score[i];
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    return am_gram_between(acc, s, local, rule);
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct am_krum_local *l = w->local;
    const double *c = am_gram_coefficients(acc, w->inputs);
    size_t theta = 0;
    for (size_t i = 0; i < w->inputs; i++)
        if (c[i] > 0)
            am_sub_f32(w->scratch[theta++], w->x[i], w->base, w->n);
    if (theta == 0)
        return -AM_E_INTERNAL;
    /* d dropped leave p - d models, f - d faulty ones: theta = p - 2f + d, of which p - 4f + 3d are kept */
    size_t dropped = theta + 2 * l->f - w->inputs, kept = w->inputs + 3 * dropped - 4 * l->f;
    am_sort_columns(w->scratch, theta, w->n);
    am_columns_median(w->scratch, theta, w->out, w->n);
    am_columns_nearest(w->scratch, theta, kept, w->out, w->n);
    if (l->gram.alpha != 1)
        am_scale_f32(w->out, l->gram.alpha, w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    am_gram_count(w, acc);
    return 0;
}

const struct am_method am_method_merge_bulyan = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "bulyan",
    .since = "0.1",
    .paper = "arXiv:1802.07927",
    .summary = "of p - 2f models chosen by Krum, per coordinate the mean of the p - 4f values nearest the median",
    .needs = AM_GRAM_NEEDS(3, 1, struct am_krum_local),
    .params = params,
    .common = am_policies,
    .rules = rules,
    .unchanged = am_robust_unchanged,
    .prepare = am_krum_prepare,
    .stat = am_gram_stat,
    .merge = am_gram_merge,
    .between = between,
    .apply = apply,
    .report = am_gram_report,
};
