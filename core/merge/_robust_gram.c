/*
 * _robust_gram.c - the Gram pass, the combination and the report of the robust rules (_robust_gram.h; merge.md A27).
 *
 * The accumulator's numbers for p contributors: K_ii (p), K_ij (pairs 01 02 12 03 ...), coefficient, trust, score,
 * dropped (p each), K of those kept as a full matrix, the rule's matrices. The tally: elements; trust and dropped (p
 * each), times the elements it holds for; squared distances (pairs), the sum over all tensors.
 */
#include "core/merge/_robust_gram.h"

#include "core/base/err.h"
#include "core/merge/_robust.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

const char *const am_gram_scopes[] = {"tensor", "model", NULL};

enum part { DIAGONAL, PAIRS, COEFFICIENT, TRUST, SCORE, DROPPED, FULL };

static double *part(const void *acc, size_t p, enum part which)
{
    size_t pairs = p * (p - 1) / 2;
    const size_t at[] = {0, p, p + pairs, 2 * p + pairs, 3 * p + pairs, 4 * p + pairs, 5 * p + pairs};
    return (double *)((const struct am_gram *)acc)->v + at[which];
}

bool am_robust_unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "alpha") == 0;
}

int am_gram_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)sofar, (void)pass;
    struct am_gram *g = acc;
    g->inputs = w->inputs;
    double *diagonal = part(g, w->inputs, DIAGONAL), *pair = part(g, w->inputs, PAIRS);
    for (size_t j = 0; j < w->inputs; j++) {
        am_sub_f32(w->scratch[j], w->x[j], w->base, w->n);
        diagonal[j] += am_block_dot(w->scratch[j], w->scratch[j], w->n);
        for (size_t i = 0; i < j; i++)
            *pair++ += am_block_dot(w->scratch[i], w->scratch[j], w->n);
    }
    return 0;
}

int am_gram_merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    struct am_gram *g = into;
    const struct am_gram *h = from;
    size_t p = (size_t)h->inputs;
    if (p == 0)
        return 0;
    g->inputs = h->inputs;
    for (size_t i = 0; i < p + p * (p - 1) / 2; i++)
        g->v[i] += h->v[i];
    return 0;
}

static double entry(const struct am_gram *g, size_t i, size_t j)
{
    size_t p = (size_t)g->inputs, low = i < j ? i : j, high = i < j ? j : i;
    return i == j ? part(g, p, DIAGONAL)[i] : part(g, p, PAIRS)[high * (high - 1) / 2 + low];
}

/* Marks those that cannot be compared, lists the others. */
static size_t keep_finite(struct am_gram *g, size_t kept[AM_MAX_INPUTS])
{
    size_t n = 0, p = (size_t)g->inputs;
    for (size_t i = 0; i < p; i++) {
        bool finite = isfinite(entry(g, i, i));
        part(g, p, DROPPED)[i] = finite ? 0 : 1;
        if (finite)
            kept[n++] = i;
    }
    return n;
}

/* x[0..n) are the values of those kept; afterwards x[i] is contributor i's, 0 for one that was dropped. */
static void spread(double *x, size_t p, const size_t *kept, size_t n)
{
    for (size_t i = p; i-- > 0;)
        x[i] = n > 0 && kept[n - 1] == i ? x[--n] : 0;
}

int am_gram_between(void *acc, const struct am_scope_info *s, const void *local, am_gram_rule rule)
{
    struct am_gram *g = acc;
    size_t p = s->inputs, kept[AM_MAX_INPUTS];
    if (p == 0 || p > AM_MAX_INPUTS)
        return -AM_E_BAD_SPEC;
    if (s->elements == 0)
        return 0; /* nothing to judge by, and nothing to compute */
    g->inputs = p;
    g->elements = s->elements;
    size_t n = keep_finite(g, kept);
    if (n == 0)
        return -AM_E_NON_FINITE;
    double *k = part(g, p, FULL);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            k[i * n + j] = entry(g, kept[i], kept[j]);
    struct am_gram_task t = {.k = k,
                             .n = n,
                             .inputs = p,
                             .c = part(g, p, COEFFICIENT),
                             .trust = part(g, p, TRUST),
                             .score = part(g, p, SCORE),
                             .work = k + p * p,
                             .local = local};
    AM_TRY(rule(&t));
    spread(t.c, p, kept, n);
    spread(t.trust, p, kept, n);
    spread(t.score, p, kept, n);
    g->rounds = t.rounds;
    g->scored = t.scored;
    return 0;
}

/* NaN when one of them was dropped. */
static double distance2(const struct am_gram *g, size_t i, size_t j)
{
    double d = entry(g, i, i) + entry(g, j, j) - 2 * entry(g, i, j);
    return d < 0 ? 0 : d;
}

/* The contributor that alone makes up the result, or `p`. */
static size_t only_one(const double *c, size_t p)
{
    size_t one = p;
    for (size_t i = 0; i < p; i++) {
        if (c[i] == 0)
            continue;
        if (one < p || c[i] != 1)
            return p;
        one = i;
    }
    return one;
}

static void combine(const struct am_window *w, const double *c, float alpha)
{
    bool any = false;
    for (size_t i = 0; i < w->inputs; i++) {
        if (c[i] == 0)
            continue;
        if (any) {
            am_axpy_diff_f32(w->out, (float)c[i], w->x[i], w->base, w->n);
        } else {
            am_sub_f32(w->out, w->x[i], w->base, w->n);
            am_scale_f32(w->out, (float)c[i], w->out, w->n);
        }
        any = true;
    }
    if (!any) {
        am_copy_f32(w->out, w->base, w->n); /* b + 0 would turn -0 into +0 */
        return;
    }
    if (alpha != 1)
        am_scale_f32(w->out, alpha, w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
}

const double *am_gram_coefficients(const void *acc, size_t inputs)
{
    return part(acc, inputs, COEFFICIENT);
}

void am_gram_count(const struct am_window *w, const void *acc)
{
    const struct am_gram *g = acc;
    size_t p = w->inputs;
    double n = (double)w->n, *put = w->tally;
    const double *trust = part(g, p, TRUST), *dropped = part(g, p, DROPPED);
    *put++ += n;
    for (size_t i = 0; i < p; i++)
        *put++ += trust[i] * n;
    for (size_t i = 0; i < p; i++)
        *put++ += dropped[i] * n;
    for (size_t j = 1; j < p; j++)
        for (size_t i = 0; i < j; i++)
            *put++ += distance2(g, i, j) * (n / (double)g->elements);
}

int am_gram_apply(const struct am_window *w, const void *acc)
{
    size_t p = w->inputs;
    const struct am_gram_local *l = w->local;
    const double *c = part(acc, p, COEFFICIENT);
    size_t one = l->alpha == 1 ? only_one(c, p) : p;
    if (one < p)
        am_copy_f32(w->out, w->x[one], w->n);
    else
        combine(w, c, l->alpha);
    am_gram_count(w, acc);
    return 0;
}

static void put_lists(const struct am_gram *g, size_t p, struct am_report *r)
{
    double norm[AM_MAX_INPUTS];
    for (size_t i = 0; i < p; i++)
        norm[i] = sqrt(entry(g, i, i));
    am_report_put_list(r, "trust", part(g, p, TRUST), p);
    am_report_put_list(r, "coefficient", part(g, p, COEFFICIENT), p);
    am_report_put_list(r, "norm", norm, p);
    am_report_put_list(r, "dropped", part(g, p, DROPPED), p);
    if (g->scored)
        am_report_put_list(r, "score", part(g, p, SCORE), p);
    if (g->rounds)
        am_report_put(r, "rounds", (double)g->rounds);
}

static void warn_dropped(const double *dropped, size_t p, struct am_report *r)
{
    for (size_t i = 0; i < p; i++) {
        if (dropped[i] > 0) {
            am_report_warn(r, "contributor-dropped",
                           "a model has NaN or infinity and was left out; the list `dropped` of the report says which");
            return;
        }
    }
}

/* Over all tensors, whatever the scope. */
static void put_distances(const double *tally, size_t p, struct am_report *r)
{
    double distance[AM_MAX_INPUTS * (AM_MAX_INPUTS - 1) / 2] = {0};
    size_t pairs = p * (p - 1) / 2;
    bool identical = false;
    for (size_t i = 0; i < pairs; i++) {
        distance[i] = sqrt(tally[1 + 2 * p + i]);
        identical = identical || distance[i] == 0;
    }
    if (pairs > 0)
        am_report_put_list(r, "distance", distance, pairs);
    if (identical)
        am_report_warn(
            r, "identical-contributors",
            "two models are the same (distance 0) and count twice, as a copy made to win a vote would; leave "
            "one out");
}

/* With scope "tensor" each tensor has its own verdict, and the run has their mean, weighted by elements. */
static void put_means(const double *tally, size_t p, struct am_report *r)
{
    double trust[AM_MAX_INPUTS], dropped[AM_MAX_INPUTS];
    for (size_t i = 0; i < p; i++) {
        trust[i] = tally[1 + i] / tally[0];
        dropped[i] = tally[1 + p + i] / tally[0];
    }
    am_report_put_list(r, "trust", trust, p);
    am_report_put_list(r, "dropped", dropped, p);
}

void am_gram_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct am_gram *g = acc;
    size_t p = s->inputs;
    bool of_tensor = s->tensor.name != NULL, judged = g && g->inputs == p; /* not judged: alpha 0, or no elements */
    if (judged) {
        put_lists(g, p, r);
        warn_dropped(part(g, p, DROPPED), p, r);
    }
    if (of_tensor || !(tally[0] > 0))
        return;
    if (!g)
        put_means(tally, p, r);
    put_distances(tally, p, r);
}
