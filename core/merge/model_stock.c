/*
 * model_stock.c - goes from the base toward the mean of its fine-tunes, as far as the angle between them says:
 * out = b + t * mean(x_i - b).
 *
 * Jang et al., ECCV 2024, arXiv:2403.19522 (merge.md A20). With c the mean cosine over pairs of the N differences
 * d_i, t = N c / (1 + (N - 1) c), one for each tensor, or one for each row (last axis) with filter_wise. Own rule: a
 * zero difference has cosine 0, t stays within 0 and 1, and is 0 where the divisor is not positive. compat "rules"
 * (mergekit): |d_i| |d_j| has a floor of 1e-6, and t is what it is. Sums and t are f64. compat "exact" rounds every
 * step.
 */
#include "core/base/err.h"
#include "core/merge/_exact.h"
#include "core/merge/_policies.h"
#include "core/merge/_vectors.h"
#include "core/tensor/kernels.h"

#define FLOOR 1e-6

static const struct am_param params[] = {
    {.name = "filter_wise",
     .kind = AM_BOOL,
     .def = "false",
     .unit = "none",
     .doc = "one ratio for each row of a tensor instead of one for the tensor"},
    {.name = "clamp", .kind = AM_BOOL, .def = "true", .unit = "none", .doc = "keep each ratio within 0 and 1"},
    {0},
};

struct wish { /* local */
    bool rows, clamp, rules;
    struct am_exact exact; /* compat */
};

struct sums { /* accumulator */
    double t, cosine;
    struct am_vectors g;
};

enum { RATIO, CLAMPED, PLACES, COUNTS }; /* tally: sum of t, how many were clamped, how many there are */

struct ratio {
    double t, cosine;
    bool clamped;
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct wish *w = local;
    w->rows = am_arg_bool(s->args, "filter_wise");
    w->rules = am_compat(s->args) != AM_COMPAT_NONE;
    w->clamp = am_arg_bool(s->args, "clamp") && !w->rules;
    w->exact = am_exact_of(s->args);
}

static size_t look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)sofar, (void)pass, (void)ret_first;
    return ((const struct wish *)w->local)->rows ? 0 : w->n; /* a row is all there for apply() */
}

static void gram(const struct am_window *w, struct am_vectors *g)
{
    const struct wish *wish = w->local;
    if (wish->exact.on)
        am_vectors_stat_exact(w, &wish->exact, g);
    else
        am_vectors_stat(w, g);
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)sofar, (void)pass;
    gram(w, &((struct sums *)acc)->g);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    am_vectors_merge(&((struct sums *)into)->g, &((const struct sums *)from)->g);
    return 0;
}

static double cosine(const struct am_vectors *g, size_t i, size_t j, bool rules)
{
    double norms = sqrt(am_vectors_dot(g, i, i)) * sqrt(am_vectors_dot(g, j, j));
    if (rules && norms < FLOOR)
        norms = FLOOR;
    double c = norms == 0 ? 0 : am_vectors_dot(g, i, j) / norms;
    return c > 1 ? 1 : c < -1 ? -1 : c;
}

/* compat "exact" (merge.md B18): every step in the dtype. */
static float cosine_exact(const struct am_vectors *g, size_t i, size_t j, const struct am_exact *e)
{
    float least = am_exact_scalar(e, FLOOR);
    float norms = am_exact_scalar(e, sqrt(am_vectors_dot(g, i, i))) * am_exact_scalar(e, sqrt(am_vectors_dot(g, j, j)));
    am_exact_round(e, &norms, 1);
    float c = am_exact_scalar(e, am_vectors_dot(g, i, j)) / (norms < least ? least : norms);
    am_exact_round(e, &c, 1);
    return c > 1 ? 1 : c < -1 ? -1 : c;
}

static bool ratio_exact(const struct am_vectors *g, const struct am_exact *e, struct ratio *ret)
{
    float n = (float)g->inputs, c = 0;
    for (size_t i = 0; i < g->inputs; i++)
        for (size_t j = i + 1; j < g->inputs; j++)
            c += cosine_exact(g, i, j, e);
    am_exact_round(e, &c, 1);
    c = am_exact_scalar(e, (double)(c / (n * (n - 1) / 2)));
    float divisor = am_exact_scalar(e, (double)(1 + am_exact_scalar(e, (double)((n - 1) * c))));
    float t = am_exact_scalar(e, (double)(am_exact_scalar(e, (double)(n * c)) / divisor));
    *ret = (struct ratio){.t = (double)t, .cosine = (double)c};
    return divisor != 0;
}

/* false: the divisor is zero. */
static bool ratio_of(const struct am_vectors *g, const struct wish *w, struct ratio *ret)
{
    if (w->exact.on)
        return ratio_exact(g, &w->exact, ret);
    double n = (double)g->inputs, c = 0;
    for (size_t j = 1; j < g->inputs; j++)
        for (size_t i = 0; i < j; i++)
            c += cosine(g, i, j, w->rules);
    c /= n * (n - 1) / 2;
    double divisor = 1 + (n - 1) * c, t = n * c / divisor;
    *ret = (struct ratio){.t = t, .cosine = c};
    if (w->clamp) {
        ret->t = divisor <= 0 || t < 0 ? 0 : t > 1 ? 1 : t;
        ret->clamped = ret->t != t;
    }
    return w->clamp || divisor != 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    const struct wish *w = local;
    struct sums *a = acc;
    struct ratio ratio;
    (void)pass, (void)round;
    if (w->rows || s->elements == 0)
        return 0;
    if (!ratio_of(&a->g, w, &ratio))
        return -AM_E_BAD_INPUT;
    a->t = ratio.t;
    a->cosine = ratio.cosine;
    for (size_t i = 0; i < s->inputs; i++)
        am_vectors_factors(&a->g)[i] = ratio.t / (double)s->inputs;
    return 0;
}

/* R(R(t mean) + R(R(1 - t) b)), of a stretch. */
static void toward_mean_exact(const struct am_window *w, const struct am_exact *e, float t, size_t first, size_t n)
{
    float *out = w->out + first, x[AM_TILE];
    am_exact_copy(e, out, w->x[0] + first, n);
    for (size_t i = 1; i < w->inputs; i++) {
        am_exact_copy(e, x, w->x[i] + first, n);
        am_exact_add(e, out, out, x, n);
    }
    am_exact_over(e, out, out, (float)w->inputs, n);
    am_exact_scale(e, out, t, out, n);
    am_exact_copy(e, x, w->base + first, n);
    am_exact_scale(e, x, am_exact_scalar(e, (double)(1 - t)), x, n);
    am_exact_add(e, out, out, x, n);
}

static void toward_mean(const struct am_window *w, double t)
{
    const struct wish *wish = w->local;
    double c[AM_MAX_INPUTS];
    for (size_t i = 0; i < w->inputs; i++)
        c[i] = t / (double)w->inputs;
    if (!wish->exact.on)
        am_vectors_apply(w, c);
    for (size_t at = 0; wish->exact.on && at < w->n; at += AM_TILE)
        toward_mean_exact(w, &wish->exact, (float)t, at, w->n - at < AM_TILE ? w->n - at : AM_TILE);
}

static void count(const struct am_window *w, double t, bool clamped)
{
    w->tally[RATIO] += t;
    w->tally[CLAMPED] += clamped;
    w->tally[PLACES] += 1;
}

static int apply_row(const struct am_window *w)
{
    enum { ROOM = 2 * AM_MAX_INPUTS + AM_MAX_INPUTS * (AM_MAX_INPUTS - 1) / 2 + 8 };
    double memory[ROOM] = {0};
    struct am_vectors *g = (struct am_vectors *)(void *)memory;
    struct ratio ratio;
    gram(w, g);
    if (!ratio_of(g, w->local, &ratio))
        return -AM_E_BAD_INPUT;
    toward_mean(w, ratio.t);
    count(w, ratio.t, ratio.clamped);
    return 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct wish *wish = w->local;
    const struct sums *a = acc;
    if (wish->rows)
        return apply_row(w);
    toward_mean(w, a->t);
    if (w->first == 0)
        count(w, a->t, false);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct sums *a = acc;
    bool rows = am_arg_bool(s->args, "filter_wise");
    am_report_put(r, "t", tally[PLACES] > 0 ? tally[RATIO] / tally[PLACES] : 0);
    if (s->tensor.name && a && !rows) {
        am_report_put(r, "mean_cosine", a->cosine);
        am_vectors_report(&a->g, s->inputs, r);
    }
    if (s->tensor.name && rows)
        am_report_put(r, "clamped", tally[CLAMPED]);
}

const struct am_method am_method_merge_model_stock = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "model_stock",
    .since = "0.1",
    .paper = "arXiv:2403.19522",
    .summary = "from the base toward the mean of its fine-tunes, as far as their angle says",
    .needs = {.min_inputs = 2,
              .base = AM_YES,
              .passes = 1,
              .acc = AM_VECTORS_ACC(struct sums),
              .tally = {.fixed = COUNTS},
              .report = {.fixed = 2, AM_VECTORS_REPORT},
              .scratch = AM_VECTORS_SCRATCH,
              .local_bytes = sizeof(struct wish),
              .rows_when = {{"filter_wise", "true"}},
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .refusal = {"ratio-diverges", "the cosines between the models' differences from the base make the ratio infinite; "
                                  "set clamp to true, or leave a model out"},
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
