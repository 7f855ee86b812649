/*
 * _vectors.c - the Gram matrix of a tensor's inputs, and the combination of them (_vectors.h).
 */
#include "core/merge/_vectors.h"

#include "core/tensor/kernels.h"

enum { DIAGONAL, FACTORS, PAIRS };

static size_t place(size_t inputs, size_t i, size_t j)
{
    size_t low = i < j ? i : j, high = i < j ? j : i;
    return i == j ? i : PAIRS * inputs + high * (high - 1) / 2 + low;
}

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t at = 0; at < n; at += AM_TILE)
        sum += am_block_dot(x + at, y + at, n - at < AM_TILE ? n - at : AM_TILE);
    return sum;
}

void am_vectors_stat(const struct am_window *w, struct am_vectors *acc)
{
    const float *v[AM_MAX_INPUTS];
    acc->inputs = w->inputs;
    for (size_t j = 0; j < w->inputs; j++) {
        v[j] = w->x[j];
        if (w->base) {
            am_sub_f32(w->scratch[j], w->x[j], w->base, w->n);
            v[j] = w->scratch[j];
        }
        for (size_t i = 0; i <= j; i++)
            acc->v[place(w->inputs, i, j)] += dot(v[i], v[j], w->n);
    }
}

void am_vectors_exact(const struct am_window *w, const struct am_exact *e, size_t i, size_t first, size_t n, float *v)
{
    if (w->base)
        am_exact_delta(e, v, w->x[i] + first, w->base + first, n);
    else
        am_exact_copy(e, v, w->x[i] + first, n);
}

static double dot_exact(const struct am_exact *e, const float *x, const float *y, size_t n)
{
    float product[AM_TILE];
    double sum = 0;
    for (size_t at = 0; at < n; at += AM_TILE) {
        size_t k = n - at < AM_TILE ? n - at : AM_TILE;
        am_exact_mul(e, product, x + at, y + at, k);
        for (size_t i = 0; i < k; i++)
            sum += (double)product[i];
    }
    return sum;
}

void am_vectors_stat_exact(const struct am_window *w, const struct am_exact *e, struct am_vectors *acc)
{
    acc->inputs = w->inputs;
    for (size_t j = 0; j < w->inputs; j++) {
        const float *v = w->scratch[j];
        am_vectors_exact(w, e, j, 0, w->n, w->scratch[j]);
        acc->v[place(w->inputs, j, j)] += dot(v, v, w->n);
        for (size_t i = 0; i < j; i++)
            acc->v[place(w->inputs, i, j)] += dot_exact(e, w->scratch[i], v, w->n);
    }
}

void am_vectors_merge(struct am_vectors *into, const struct am_vectors *from)
{
    size_t n = (size_t)from->inputs, all = PAIRS * n + n * (n - 1) / 2;
    if (n == 0)
        return;
    into->inputs = n;
    for (size_t i = 0; i < all; i++)
        into->v[i] += from->v[i];
}

double am_vectors_dot(const struct am_vectors *g, size_t i, size_t j)
{
    return g->v[place((size_t)g->inputs, i, j)];
}

double *am_vectors_factors(struct am_vectors *g)
{
    return g->v + FACTORS * g->inputs;
}

const double *am_vectors_factors_of(const struct am_vectors *g)
{
    return g->v + FACTORS * g->inputs;
}

/* The input that alone makes up the result, or `inputs`. */
static size_t only_one(const double *c, size_t inputs)
{
    size_t one = inputs;
    for (size_t i = 0; i < inputs; i++) {
        if (c[i] == 0)
            continue;
        if (one < inputs || c[i] != 1)
            return inputs;
        one = i;
    }
    return one;
}

static void add_plain(const struct am_window *w, const double *c)
{
    if (w->inputs == 1)
        am_scale_f32(w->out, (float)c[0], w->x[0], w->n);
    else
        am_blend_f32(w->out, (float)c[0], w->x[0], (float)c[1], w->x[1], w->n);
    for (size_t i = 2; i < w->inputs; i++)
        am_axpy_f32(w->out, (float)c[i], w->x[i], w->n);
}

static void add_differences(const struct am_window *w, const double *c)
{
    am_sub_f32(w->out, w->x[0], w->base, w->n);
    am_scale_f32(w->out, (float)c[0], w->out, w->n);
    for (size_t i = 1; i < w->inputs; i++)
        am_axpy_diff_f32(w->out, (float)c[i], w->x[i], w->base, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
}

void am_vectors_apply(const struct am_window *w, const double *c)
{
    size_t one = only_one(c, w->inputs);
    if (one < w->inputs)
        am_copy_f32(w->out, w->x[one], w->n);
    else if (w->base)
        add_differences(w, c);
    else
        add_plain(w, c);
}

void am_vectors_report(const struct am_vectors *g, size_t inputs, struct am_report *r)
{
    double norm[AM_MAX_INPUTS] = {0}, cosine[AM_MAX_INPUTS * (AM_MAX_INPUTS - 1) / 2] = {0};
    size_t pairs = 0;
    if (g->inputs != inputs) /* a tensor without elements */
        return;
    for (size_t j = 0; j < inputs; j++) {
        norm[j] = sqrt(am_vectors_dot(g, j, j));
        for (size_t i = 0; i < j; i++) {
            double product = norm[i] * norm[j];
            cosine[pairs++] = product > 0 ? am_vectors_dot(g, i, j) / product : 0;
        }
    }
    am_report_put_list(r, "norm", norm, inputs);
    if (pairs)
        am_report_put_list(r, "cosine", cosine, pairs);
    am_report_put_list(r, "factor", am_vectors_factors_of(g), inputs);
}
