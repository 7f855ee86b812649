/*
 * multislerp.c - the barycentre of several tensors on the sphere, through one tangent space, with the mean of their
 * norms.
 *
 * As in mergekit (merge.md A12). v_i = x_i, or x_i - b with a base; n_i = |v_i|, u_i = v_i / (n_i + eps), W = weights,
 * mu = sum(W_i u_i) normalised, q = sum(W_i (u_i - <u_i, mu> mu)), a = |q| + eps,
 * out = (mu cos(a) + q sin(a)/a) * sum(W_i n_i) [+ b]. All of it lies in the span of the v_i, so it is done on their
 * Gram matrix, in f64. Where the directions cancel there is no barycentre: two inputs give sum(W_i v_i), more than two
 * fail the job. Tensors that are all zero stay zero.
 */
#include "core/base/err.h"
#include "core/base/math.h"
#include "core/merge/_multislerp.h"
#include "core/merge/_policies.h"

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED | AM_PER_INPUT,
     .doc = "weight of each model's direction and norm"},
    {.name = "normalize_weights",
     .kind = AM_BOOL,
     .def = "true",
     .unit = "none",
     .doc = "divide the weights by their sum"},
    {.name = "eps",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "1e-08",
     .unit = "none",
     .flags = AM_OPEN_MIN | AM_ADVANCED,
     .doc = "added to norms and to the angle; below it the mean direction counts as zero"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize_weights"},
                                       {AM_RULE_END, NULL, NULL}};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct am_multislerp *w = local;
    double sum = 0;
    for (size_t i = 0; i < s->inputs; i++) {
        w->weight[i] = am_arg_input_real(s->args, "weight", i);
        sum += w->weight[i];
    }
    w->exact = am_exact_of(s->args);
    if (w->exact.on)
        am_multislerp_weights_exact(w, s->inputs, am_arg_bool(s->args, "normalize_weights"));
    for (size_t i = 0; !w->exact.on && am_arg_bool(s->args, "normalize_weights") && i < s->inputs; i++)
        w->weight[i] /= sum;
    w->eps = am_arg_real(s->args, "eps");
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    struct am_multislerp_sums *s = acc;
    const struct am_multislerp *wish = w->local;
    (void)pass;
    if (wish->exact.on)
        am_multislerp_stat_exact(w, sofar, s);
    else
        am_vectors_stat(w, &s->g);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    struct am_multislerp_sums *s = into;
    const struct am_multislerp_sums *t = from;
    (void)pass;
    am_vectors_merge(&s->g, &t->g);
    for (size_t i = 0; i < AM_MAX_INPUTS; i++)
        s->exact.sum[i] += t->exact.sum[i];
    return 0;
}

/* a'K'b over the unit vectors. */
static double product(const struct am_vectors *g, const double *d, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < g->inputs; i++)
        for (size_t j = 0; j < g->inputs; j++)
            sum += a[i] * d[i] * am_vectors_dot(g, i, j) * d[j] * b[j];
    return sum;
}

static double root(double square)
{
    return square < 0 ? 0 : sqrt(square); /* rounding; NaN stays */
}

/* c: coefficients of the unit vectors, W at first, those of the barycentre at last. */
static void barycentre(const struct am_vectors *g, const double *d, double length, double eps, double *c)
{
    double mu[AM_MAX_INPUTS] = {0}, q[AM_MAX_INPUTS] = {0};
    size_t n = (size_t)g->inputs;
    for (size_t i = 0; i < n; i++)
        mu[i] = c[i] / length;
    double along = product(g, d, c, mu);
    for (size_t i = 0; i < n; i++)
        q[i] = c[i] - along * mu[i];
    double a = root(product(g, d, q, q)) + eps, cosine = am_cos(a), sine = am_sin(a) / a;
    for (size_t i = 0; i < n; i++)
        c[i] = mu[i] * cosine + q[i] * sine;
}

static int coefficients(struct am_vectors *g, const struct am_scope_info *s, const struct am_multislerp *w)
{
    double d[AM_MAX_INPUTS] = {0}, norm = 0, all = 0;
    g->inputs = s->inputs; /* also where there is no element */
    double *c = am_vectors_factors(g);
    for (size_t i = 0; i < s->inputs; i++) {
        double n = sqrt(am_vectors_dot(g, i, i));
        d[i] = 1 / (n + w->eps);
        norm += w->weight[i] * n;
        all += n;
        c[i] = w->weight[i];
    }
    double length = root(product(g, d, c, c));
    if (all == 0)
        return 0;
    if (length < w->eps)
        return s->inputs == 2 ? 0 : -AM_E_BAD_INPUT;
    barycentre(g, d, length, w->eps, c);
    for (size_t i = 0; i < s->inputs; i++)
        c[i] *= d[i] * norm;
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    struct am_multislerp_sums *sums = acc;
    const struct am_multislerp *w = local;
    (void)pass, (void)round;
    if (!w->exact.on || s->elements == 0)
        return coefficients(&sums->g, s, w);
    int rc = am_multislerp_between_exact(sums, s, w);
    if (rc == 0)
        (void)coefficients(&sums->g, s, w); /* for the report */
    return rc;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct am_multislerp *wish = w->local;
    if (wish->exact.on && w->n > 0) {
        am_multislerp_apply_exact(w, acc);
        return 0;
    }
    am_vectors_apply(w, am_vectors_factors_of(&((const struct am_multislerp_sums *)acc)->g));
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)tally;
    if (s->tensor.name && acc)
        am_vectors_report(&((const struct am_multislerp_sums *)acc)->g, s->inputs, r);
}

const struct am_method am_method_merge_multislerp = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "multislerp",
    .since = "0.1",
    .paper = "",
    .summary = "barycentre of several models on the sphere, tensor by tensor",
    .needs = {.min_inputs = 2,
              .base = AM_OPTIONAL,
              .passes = 1,
              .acc = AM_VECTORS_ACC(struct am_multislerp_sums),
              .report = {AM_VECTORS_REPORT},
              .scratch = AM_VECTORS_SCRATCH,
              .local_bytes = sizeof(struct am_multislerp),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .refusal = {"antipodal-inputs", "the weighted directions of the models cancel, so that they have no mean; leave "
                                    "one of them out, or change the weights"},
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
