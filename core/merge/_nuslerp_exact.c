/*
 * _nuslerp_exact.c - nuslerp as compat "exact" computes it (merge.md B18), every step rounded: u_i = R(v_i / R(|v_i|)),
 * a = R(acos R(sum of R(u_1 u_2))), out = R(R(R(sin((1-t)a) v_1) + R(sin(t a) v_2)) / sin(a)), and R(b + out).
 */
#include "core/merge/_nuslerp.h"

#include "core/base/math.h"

struct arc {
    float s0, s1, sine; /* out = R(R(R(s0 v1) + R(s1 v2)) / sine); sine 0: without the division */
};

static float norm_exact(const struct am_exact *e, double square)
{
    float norm = am_exact_scalar(e, sqrt(square)), least = am_exact_scalar(e, AM_NUSLERP_TINY_NORM);
    return norm < least ? least : norm;
}

static struct arc arc_exact(const struct am_nuslerp *w, double product)
{
    const struct am_exact *e = &w->exact;
    double c = (double)am_exact_scalar(e, product);
    float t0 = am_exact_scalar(e, 1 - w->t), t1 = am_exact_scalar(e, w->t);
    float angle = am_exact_scalar(e, am_acos(c > 1 ? 1 : c < -1 ? -1 : c));
    float sine = am_exact_scalar(e, am_sin((double)angle));
    if ((double)fabsf(sine) < AM_NUSLERP_TINY_SINE)
        return (struct arc){t0, t1, 0};
    float a0 = am_exact_scalar(e, (double)(t0 * angle)), a1 = am_exact_scalar(e, (double)(t1 * angle));
    return (struct arc){am_exact_scalar(e, am_sin((double)a0)), am_exact_scalar(e, am_sin((double)a1)), sine};
}

/* Sum of R(u1 u2), u = R(v / norm), over a stretch. */
static double unit_product(const struct am_window *w, const struct am_exact *e, const float *norm, size_t first,
                           size_t n)
{
    float u[2][AM_TILE];
    double sum = 0;
    for (size_t i = 0; i < 2; i++) {
        am_vectors_exact(w, e, i, first, n, u[i]);
        am_exact_over(e, u[i], u[i], norm[i], n);
    }
    am_exact_mul(e, u[0], u[0], u[1], n);
    for (size_t k = 0; k < n; k++)
        sum += (double)u[0][k];
    return sum;
}

static void along_exact(const struct am_window *w, const struct am_exact *e, const struct arc *arc, size_t first,
                        size_t n)
{
    float v[2][AM_TILE], *out = w->out + first;
    for (size_t i = 0; i < 2; i++) {
        am_vectors_exact(w, e, i, first, n, v[i]);
        am_exact_scale(e, v[i], i == 0 ? arc->s0 : arc->s1, v[i], n);
    }
    am_exact_add(e, out, v[0], v[1], n);
    if (arc->sine != 0)
        am_exact_over(e, out, out, arc->sine, n);
    if (!w->base)
        return;
    am_exact_copy(e, v[0], w->base + first, n);
    am_exact_add(e, out, v[0], out, n);
}

/* A tile may be longer than AM_TILE (a row). */
static double tile_product(const struct am_window *w, const struct am_exact *e, double square1, double square2)
{
    const float norm[2] = {norm_exact(e, square1), norm_exact(e, square2)};
    double sum = 0;
    for (size_t at = 0; at < w->n; at += AM_TILE)
        sum += unit_product(w, e, norm, at, w->n - at < AM_TILE ? w->n - at : AM_TILE);
    return sum;
}

static void apply_exact(const struct am_window *w, const struct arc *arc)
{
    for (size_t at = 0; at < w->n; at += AM_TILE)
        along_exact(w, &((const struct am_nuslerp *)w->local)->exact, arc, at,
                    w->n - at < AM_TILE ? w->n - at : AM_TILE);
}

static void apply_exact_row(const struct am_window *w)
{
    const struct am_nuslerp *wish = w->local;
    double memory[8] = {0};
    struct am_vectors *row = (struct am_vectors *)(void *)memory;
    am_vectors_stat_exact(w, &wish->exact, row);
    struct arc arc =
        arc_exact(wish, tile_product(w, &wish->exact, am_vectors_dot(row, 0, 0), am_vectors_dot(row, 1, 1)));
    apply_exact(w, &arc);
}

/* Columns: the squares in the first round, the products of unit vectors in the second. */
static void add_columns_exact(const struct am_window *w, const struct am_nuslerp_sums *sofar, struct am_nuslerp_sums *s)
{
    const struct am_nuslerp *wish = w->local;
    const struct am_exact *e = &wish->exact;
    struct am_nuslerp_column *all = am_nuslerp_columns(s);
    uint64_t at = w->first % wish->columns;
    float *v[2] = {w->scratch[0], w->scratch[1]};
    for (size_t i = 0; i < 2; i++)
        am_vectors_exact(w, e, i, 0, w->n, v[i]);
    s->columns = wish->columns;
    for (size_t k = 0; k < w->n; k++) {
        double *sum = all[at].v;
        if (sofar) {
            const double *known = am_nuslerp_columns_in(sofar)[at].v;
            float u[2] = {v[0][k] / norm_exact(e, known[1]), v[1][k] / norm_exact(e, known[2])};
            am_exact_round(e, u, 2);
            sum[0] += (double)am_exact_scalar(e, (double)(u[0] * u[1]));
        } else {
            sum[1] += (double)v[0][k] * (double)v[0][k];
            sum[2] += (double)v[1][k] * (double)v[1][k];
        }
        at = at + 1 == wish->columns ? 0 : at + 1;
    }
}

/* One column of a row after the other: neighbouring elements have different arcs. */
static void apply_columns_exact(const struct am_window *w, const struct am_nuslerp_sums *s)
{
    const struct am_nuslerp *wish = w->local;
    const struct am_exact *e = &wish->exact;
    uint64_t at = w->first % wish->columns;
    float *v[2] = {w->scratch[0], w->scratch[1]};
    for (size_t i = 0; i < 2; i++)
        am_vectors_exact(w, e, i, 0, w->n, v[i]);
    for (size_t k = 0; k < w->n; k++) {
        const double *f = am_nuslerp_columns_in(s)[at].v;
        float part[2] = {(float)f[0] * v[0][k], (float)f[1] * v[1][k]}, sum;
        am_exact_round(e, part, 2);
        sum = am_exact_scalar(e, (double)(part[0] + part[1]));
        w->out[k] = f[2] == 0 ? sum : am_exact_scalar(e, (double)(sum / (float)f[2]));
        at = at + 1 == wish->columns ? 0 : at + 1;
    }
    if (!w->base)
        return;
    am_exact_copy(e, v[0], w->base, w->n);
    am_exact_add(e, w->out, v[0], w->out, w->n);
}

void am_nuslerp_stat_exact(const struct am_window *w, const struct am_nuslerp_sums *sofar, struct am_nuslerp_sums *s)
{
    const struct am_nuslerp *wish = w->local;
    if (wish->unit == AM_NUSLERP_COLUMNS)
        add_columns_exact(w, sofar, s);
    else if (!sofar)
        am_vectors_stat_exact(w, &wish->exact, &s->g);
    else
        s->product += tile_product(w, &wish->exact, am_vectors_dot(&sofar->g, 0, 0), am_vectors_dot(&sofar->g, 1, 1));
}

int am_nuslerp_between_exact(struct am_nuslerp_sums *s, const struct am_scope_info *info, const struct am_nuslerp *w)
{
    struct am_nuslerp_column *all = am_nuslerp_columns(s);
    if (info->elements == 0 || w->unit == AM_NUSLERP_ROWS)
        return 0;
    if (!s->normed) {
        s->normed = true;
        return AM_AGAIN;
    }
    for (uint64_t c = 0; c < s->columns; c++) {
        struct arc arc = arc_exact(w, all[c].v[0]);
        all[c] = (struct am_nuslerp_column){{(double)arc.s0, (double)arc.s1, (double)arc.sine}};
    }
    return 0;
}

void am_nuslerp_apply_exact(const struct am_window *w, const struct am_nuslerp_sums *s)
{
    const struct am_nuslerp *wish = w->local;
    if (wish->unit == AM_NUSLERP_COLUMNS) {
        apply_columns_exact(w, s);
    } else if (wish->unit == AM_NUSLERP_ROWS) {
        apply_exact_row(w);
    } else {
        struct arc arc = arc_exact(wish, s->product);
        apply_exact(w, &arc);
    }
}
