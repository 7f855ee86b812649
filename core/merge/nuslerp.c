/*
 * nuslerp.c - spherical interpolation of two models by their weights, or of their differences from a base; of whole
 * tensors, or of the rows or columns of a matrix.
 *
 * As in mergekit (merge.md A11). v_i = x_i, or x_i - b; t = w_2 / (w_1 + w_2), 0.5 where that sum is below 1e-6;
 * u_i = v_i / max(|v_i|, 1e-7), a = acos <u_1, u_2>, out = sin((1-t)a)/sin(a) v_1 + sin(t a)/sin(a) v_2 [+ b], and
 * (1-t) v_1 + t v_2 [+ b] where |sin a| < 1e-8. Unlike slerp it has no other threshold. Vectors are along the last axis
 * with nuslerp_row_wise false, and along the first one with true: the names are mergekit's. Sums are f64.
 */
#include "core/base/math.h"
#include "core/merge/_nuslerp.h"
#include "core/merge/_policies.h"
#include "core/tensor/kernels.h"

#define TINY_SUM 1e-6

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED | AM_PER_INPUT,
     .doc = "the second model's share of the sum of both is its place on the arc"},
    {.name = "nuslerp_flatten", .kind = AM_BOOL, .def = "true", .unit = "none", .doc = "a whole tensor is one vector"},
    {.name = "nuslerp_row_wise",
     .kind = AM_BOOL,
     .def = "false",
     .unit = "none",
     .doc = "without nuslerp_flatten: vectors along the last axis (false), or along the first one (true)"},
    {0},
};

/* The base must not be one of the models: its difference from itself has no direction. */
static const struct am_rule rules[] = {{AM_RULE_BASE_APART, "", ""}, {AM_RULE_END, NULL, NULL}};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct am_nuslerp *w = local;
    double first = am_arg_input_real(s->args, "weight", 0), second = am_arg_input_real(s->args, "weight", 1);
    w->t = fabs(first + second) < TINY_SUM ? 0.5 : second / (first + second);
    w->unit = AM_NUSLERP_TENSOR;
    if (!am_arg_bool(s->args, "nuslerp_flatten"))
        w->unit = am_arg_bool(s->args, "nuslerp_row_wise") ? AM_NUSLERP_COLUMNS : AM_NUSLERP_ROWS;
    w->exact = am_exact_of(s->args);
    w->columns = s->tensor.rank && s->elements ? s->elements / s->tensor.shape[0] : 1;
}

/* s0 and s1 of one vector. */
static void factors(double t, double product, double square1, double square2, double *s)
{
    double n1 = sqrt(square1), n2 = sqrt(square2);
    double c = product / ((n1 < AM_NUSLERP_TINY_NORM ? AM_NUSLERP_TINY_NORM : n1) *
                          (n2 < AM_NUSLERP_TINY_NORM ? AM_NUSLERP_TINY_NORM : n2));
    double angle = am_acos(c > 1 ? 1 : c < -1 ? -1 : c), sine = am_sin(angle);
    bool straight = fabs(sine) < AM_NUSLERP_TINY_SINE;
    s[0] = straight ? 1 - t : am_sin((1 - t) * angle) / sine;
    s[1] = straight ? t : am_sin(t * angle) / sine;
}

static void factors_of(const struct am_vectors *g, double t, double *s)
{
    factors(t, am_vectors_dot(g, 0, 1), am_vectors_dot(g, 0, 0), am_vectors_dot(g, 1, 1), s);
}

static size_t look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)sofar, (void)pass, (void)ret_first;
    return ((const struct am_nuslerp *)w->local)->unit == AM_NUSLERP_ROWS ? 0
                                                                          : w->n; /* a row is all there for apply() */
}

static const float *vector(const struct am_window *w, size_t i)
{
    if (!w->base)
        return w->x[i];
    am_sub_f32(w->scratch[i], w->x[i], w->base, w->n);
    return w->scratch[i];
}

static void add_columns(const struct am_window *w, struct am_nuslerp_sums *s, uint64_t columns)
{
    const float *v1 = vector(w, 0), *v2 = vector(w, 1);
    struct am_nuslerp_column *all = am_nuslerp_columns(s);
    uint64_t at = w->first % columns;
    s->columns = columns;
    for (size_t i = 0; i < w->n; i++) {
        double a = (double)v1[i], b = (double)v2[i], *sum = all[at].v;
        sum[0] += a * b;
        sum[1] += a * a;
        sum[2] += b * b;
        at = at + 1 == columns ? 0 : at + 1;
    }
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    const struct am_nuslerp *wish = w->local;
    struct am_nuslerp_sums *s = acc;
    (void)pass;
    if (wish->exact.on)
        am_nuslerp_stat_exact(w, sofar, s);
    else if (wish->unit == AM_NUSLERP_COLUMNS)
        add_columns(w, s, wish->columns);
    else
        am_vectors_stat(w, &s->g);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    struct am_nuslerp_sums *s = into;
    const struct am_nuslerp_sums *t = from;
    (void)pass;
    struct am_nuslerp_column *all = am_nuslerp_columns(s);
    const struct am_nuslerp_column *more = am_nuslerp_columns_in(t);
    s->product += t->product;
    if (t->columns == 0) {
        am_vectors_merge(&s->g, &t->g);
        return 0;
    }
    s->columns = t->columns;
    for (uint64_t c = 0; c < t->columns; c++)
        for (size_t k = 0; k < 3; k++)
            all[c].v[k] += more[c].v[k];
    return 0;
}

static int between(void *acc, const struct am_scope_info *info, const void *local, unsigned pass, unsigned round)
{
    const struct am_nuslerp *w = local;
    struct am_nuslerp_sums *s = acc;
    struct am_nuslerp_column *all = am_nuslerp_columns(s);
    (void)pass, (void)round;
    if (w->exact.on) {
        int rc = am_nuslerp_between_exact(s, info, w);
        if (rc == 0 && info->elements > 0 && w->unit == AM_NUSLERP_TENSOR)
            factors_of(&s->g, w->t, am_vectors_factors(&s->g)); /* for the report */
        return rc;
    }
    for (uint64_t c = 0; c < s->columns; c++)
        factors(w->t, all[c].v[0], all[c].v[1], all[c].v[2], all[c].v);
    if (w->unit == AM_NUSLERP_TENSOR && info->elements > 0)
        factors_of(&s->g, w->t, am_vectors_factors(&s->g));
    return 0;
}

static void apply_columns(const struct am_window *w, const struct am_nuslerp_sums *s, uint64_t columns)
{
    const float *v1 = vector(w, 0), *v2 = vector(w, 1);
    const struct am_nuslerp_column *all = am_nuslerp_columns_in(s);
    uint64_t at = w->first % columns;
    for (size_t i = 0; i < w->n; i++) {
        const double *f = all[at].v;
        float a = (float)f[0] * v1[i], b = (float)f[1] * v2[i];
        w->out[i] = a + b;
        at = at + 1 == columns ? 0 : at + 1;
    }
    if (w->base)
        am_add_f32(w->out, w->base, w->out, w->n);
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct am_nuslerp *wish = w->local;
    const struct am_nuslerp_sums *s = acc;
    double memory[8] = {0}, f[2];
    struct am_vectors *row = (struct am_vectors *)(void *)memory;
    if (wish->exact.on) {
        am_nuslerp_apply_exact(w, s);
        return 0;
    }
    switch (wish->unit) {
    case AM_NUSLERP_TENSOR:
        am_vectors_apply(w, am_vectors_factors_of(&s->g));
        break;
    case AM_NUSLERP_ROWS:
        am_vectors_stat(w, row);
        factors_of(row, wish->t, f);
        am_vectors_apply(w, f);
        break;
    case AM_NUSLERP_COLUMNS:
        apply_columns(w, s, wish->columns);
        break;
    }
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct am_nuslerp_sums *a = acc;
    (void)tally;
    if (s->tensor.name && a && am_arg_bool(s->args, "nuslerp_flatten"))
        am_vectors_report(&a->g, s->inputs, r);
}

const struct am_method am_method_merge_nuslerp = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "nuslerp",
    .since = "0.1",
    .paper = "",
    .summary = "spherical interpolation of two models by weights, of tensors, rows or columns",
    .needs = {.min_inputs = 2,
              .max_inputs = 2,
              .base = AM_OPTIONAL,
              .passes = 1,
              .acc = AM_VECTORS_ACC(struct am_nuslerp_sums),
              .report = {AM_VECTORS_REPORT},
              .scratch = AM_VECTORS_SCRATCH,
              .local_bytes = sizeof(struct am_nuslerp),
              .rows_when = {{"nuslerp_flatten", "false"}, {"nuslerp_row_wise", "false"}},
              .columns_when = {{"nuslerp_flatten", "false"}, {"nuslerp_row_wise", "true"}},
              .column_bytes = sizeof(struct am_nuslerp_column),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
