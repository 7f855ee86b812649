/*
 * karcher.c - the Riemannian mean of the models' directions, tensor by tensor, with the mean of their norms.
 *
 * As in mergekit (merge.md A13). n_i = |x_i|, u_i = x_i / n_i; u starts as the normalised mean of the u_i, then
 * T = mean((theta_i / sin theta_i) (u_i - c_i u)) over theta_i = acos(c_i = <u, u_i>) >= tol; until |T| < tol, u goes
 * along T on the sphere. out = mean(n_i) * u. All of it lies in the span of the inputs, so it is done on their Gram
 * matrix in f64, and the inputs are read twice whatever the number of iterations. A tensor that is zero has no
 * direction and counts in the norm only. An input opposite to u gives no direction to go to and is passed over.
 */
#include "core/base/math.h"
#include "core/merge/_policies.h"
#include "core/merge/_vectors.h"

#define OPPOSITE 1e-7 /* sine of the angle, below which c < 0 counts as antipodal */

static const struct am_param params[] = {
    {.name = "max_iter",
     .kind = AM_INT,
     .min = 1,
     .max = 1000,
     .def = "10",
     .unit = "iterations",
     .doc = "iterations at most"},
    {.name = "tol",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "1e-05",
     .unit = "radians",
     .flags = AM_OPEN_MIN,
     .doc = "a step, or an angle, below this counts as none"},
    {0},
};

struct wish { /* local */
    int64_t most;
    double tol, least;
};

struct sums { /* accumulator */
    double iterations, opposite;
    struct am_vectors g;
};

struct sphere { /* the unit vectors of those that have a direction */
    const struct am_vectors *g;
    size_t n, input[AM_MAX_INPUTS];
    double norm[AM_MAX_INPUTS]; /* of each of them */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct wish *w = local;
    w->most = am_arg_int(s->args, "max_iter");
    w->tol = am_arg_real(s->args, "tol");
    w->least = am_compat(s->args) != AM_COMPAT_NONE ? w->tol : 0;
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    struct sums *s = acc;
    (void)sofar, (void)pass;
    am_vectors_stat(w, &s->g);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    am_vectors_merge(&((struct sums *)into)->g, &((const struct sums *)from)->g);
    return 0;
}

static double cosine(const struct sphere *s, size_t i, size_t j)
{
    if (i == j)
        return 1;
    return am_vectors_dot(s->g, s->input[i], s->input[j]) / (s->norm[i] * s->norm[j]);
}

/* Row i of K' times c. */
static double along(const struct sphere *s, size_t i, const double *c)
{
    double sum = 0;
    for (size_t j = 0; j < s->n; j++)
        sum += cosine(s, i, j) * c[j];
    return sum;
}

static double length(const struct sphere *s, const double *c)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += c[i] * along(s, i, c);
    return sum < 0 ? 0 : sqrt(sum);
}

static void divide(const struct sphere *s, double *c, double by)
{
    for (size_t i = 0; by > 0 && i < s->n; i++)
        c[i] /= by;
}

static void start(const struct sphere *s, double tol, double *c)
{
    for (size_t i = 0; i < s->n; i++)
        c[i] = 1 / (double)s->n;
    double norm = length(s, c);
    for (size_t i = 0; norm < tol && i < s->n; i++)
        c[i] = i == 0;
    if (!(norm < tol))
        divide(s, c, norm);
}

/* The tangent at c; counts those opposite to it. */
static void tangent(const struct sphere *s, double tol, const double *c, double *t, double *opposite)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        double dot = along(s, i, c), clamped = dot > 1 ? 1 : dot < -1 ? -1 : dot;
        double theta = am_acos(clamped), sine = am_sin(theta);
        bool against = clamped < 0 && sine < OPPOSITE;
        *opposite += against;
        t[i] = theta < tol || against ? 0 : theta / sine / (double)s->n;
        sum += t[i] * dot;
    }
    for (size_t i = 0; i < s->n; i++)
        t[i] -= sum * c[i];
}

static void mean_direction(const struct sphere *s, const struct wish *w, double *c, struct sums *told)
{
    double t[AM_MAX_INPUTS] = {0};
    start(s, w->tol, c);
    for (int64_t k = 0; k < w->most; k++) {
        told->opposite = 0;
        told->iterations = (double)(k + 1);
        tangent(s, w->tol, c, t, &told->opposite);
        double step = length(s, t);
        if (!(step >= w->tol)) /* NaN, too */
            return;
        double cosine_step = am_cos(step), sine_step = am_sin(step) / step;
        for (size_t i = 0; i < s->n; i++)
            c[i] = c[i] * cosine_step + t[i] * sine_step;
        divide(s, c, length(s, c));
    }
}

static int between(void *acc, const struct am_scope_info *info, const void *local, unsigned pass, unsigned round)
{
    struct sums *told = acc;
    const struct wish *w = local;
    struct sphere s = {.g = &told->g};
    double c[AM_MAX_INPUTS] = {0}, norm = 0;
    (void)pass, (void)round;
    told->g.inputs = info->inputs; /* also where there is no element */
    for (size_t i = 0; i < info->inputs; i++) {
        double n = sqrt(am_vectors_dot(&told->g, i, i));
        am_vectors_factors(&told->g)[i] = 0;
        norm += n / (double)info->inputs;
        if (n <= w->least)
            continue;
        s.norm[s.n] = n;
        s.input[s.n++] = i;
    }
    mean_direction(&s, w, c, told);
    for (size_t i = 0; i < s.n; i++)
        am_vectors_factors(&told->g)[s.input[i]] = norm * c[i] / s.norm[i];
    return 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    am_vectors_apply(w, am_vectors_factors_of(&((const struct sums *)acc)->g));
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct sums *told = acc;
    (void)tally;
    if (!s->tensor.name || !told)
        return;
    am_report_put(r, "iterations", told->iterations);
    am_vectors_report(&told->g, s->inputs, r);
    if (told->opposite > 0)
        am_report_warn(r, "antipodal",
                       "a model's direction is opposite to the mean, so it has no say in it; check that the models "
                       "come from the same training");
}

const struct am_method am_method_merge_karcher = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "karcher",
    .since = "0.1",
    .paper = "",
    .summary = "Riemannian mean of the directions, mean of the norms, tensor by tensor",
    .needs = {.min_inputs = 2,
              .base = AM_NO,
              .passes = 1,
              .acc = AM_VECTORS_ACC(struct sums),
              .report = {.fixed = 1, AM_VECTORS_REPORT},
              .scratch = AM_VECTORS_SCRATCH,
              .local_bytes = sizeof(struct wish),
              .symmetric = true},
    .params = params,
    .common = am_policies_rules,
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
