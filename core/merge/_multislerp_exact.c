/*
 * _multislerp_exact.c - multislerp as compat "exact" computes it (merge.md B18): the direct form, every step rounded.
 * u_i = R(v_i / R(|v_i| + eps)), m = R(sum of R(W_i u_i)), mu = R(m / |m|), q = R(sum of R(W_i R(u_i - R(<u_i, mu>
 * mu)))), a = R(|q| + eps), out = R(R(R(mu cos a) + R(q R(sin a / a))) * sum(W_i |v_i|)), and R(b + out).
 */
#include "core/merge/_multislerp.h"

#include "core/base/err.h"
#include "core/base/math.h"
#include "core/tensor/kernels.h"

#include <string.h>

static float rounded(const struct am_exact *e, float v)
{
    am_exact_round(e, &v, 1);
    return v;
}

void am_multislerp_weights_exact(struct am_multislerp *w, size_t inputs, bool normalize)
{
    float sum = 0;
    for (size_t i = 0; i < inputs; i++) {
        float weight = am_exact_scalar(&w->exact, w->weight[i]);
        w->weight[i] = (double)weight;
        sum += weight;
    }
    sum = rounded(&w->exact, sum);
    for (size_t i = 0; normalize && i < inputs; i++)
        w->weight[i] = (double)rounded(&w->exact, (float)w->weight[i] / sum);
}

static void unit(const struct am_window *w, const struct am_exact *e, const struct am_multislerp_exact *x, size_t i,
                 float *u)
{
    am_vectors_exact(w, e, i, 0, w->n, u);
    am_exact_over(e, u, u, x->unit[i], w->n);
}

/* sum of R(W_i u_i), rounded; from MEAN on divided by its norm. */
static void mean(const struct am_window *w, const struct am_multislerp *l, const struct am_multislerp_exact *x,
                 float *mu)
{
    float u[AM_TILE];
    memset(mu, 0, w->n * sizeof(*mu));
    for (size_t i = 0; i < w->inputs; i++) {
        unit(w, &l->exact, x, i, u);
        am_exact_scale(&l->exact, u, (float)l->weight[i], u, w->n);
        am_add_f32(mu, mu, u, w->n);
    }
    am_exact_round(&l->exact, mu, w->n);
    if (x->stage > AM_MS_MEAN)
        am_exact_over(&l->exact, mu, mu, x->mean, w->n);
}

static void tangent(const struct am_window *w, const struct am_multislerp *l, const struct am_multislerp_exact *x,
                    const float *mu, float *q)
{
    float u[AM_TILE], along[AM_TILE];
    memset(q, 0, w->n * sizeof(*q));
    for (size_t i = 0; i < w->inputs; i++) {
        unit(w, &l->exact, x, i, u);
        am_exact_scale(&l->exact, along, x->dot[i], mu, w->n);
        am_exact_sub(&l->exact, u, u, along, w->n);
        am_exact_scale(&l->exact, u, (float)l->weight[i], u, w->n);
        am_add_f32(q, q, u, w->n);
    }
    am_exact_round(&l->exact, q, w->n);
}

static void add_dots(const struct am_window *w, const struct am_multislerp *l, const struct am_multislerp_exact *x,
                     const float *mu, double *sum)
{
    float u[AM_TILE];
    for (size_t i = 0; i < w->inputs; i++) {
        unit(w, &l->exact, x, i, u);
        am_exact_mul(&l->exact, u, u, mu, w->n);
        for (size_t k = 0; k < w->n; k++)
            sum[i] += (double)u[k];
    }
}

void am_multislerp_stat_exact(const struct am_window *w, const struct am_multislerp_sums *sofar,
                              struct am_multislerp_sums *s)
{
    const struct am_multislerp *l = w->local;
    float mu[AM_TILE], q[AM_TILE];
    if (!sofar) {
        am_vectors_stat_exact(w, &l->exact, &s->g);
        return;
    }
    const struct am_multislerp_exact *x = &sofar->exact;
    mean(w, l, x, mu);
    if (x->stage == AM_MS_MEAN) {
        s->exact.sum[0] += am_block_dot(mu, mu, w->n);
    } else if (x->stage == AM_MS_DOTS) {
        add_dots(w, l, x, mu, s->exact.sum);
    } else {
        tangent(w, l, x, mu, q);
        s->exact.sum[0] += am_block_dot(q, q, w->n);
    }
}

static int take_norms(struct am_multislerp_sums *s, size_t inputs, const struct am_multislerp *w)
{
    struct am_multislerp_exact *x = &s->exact;
    float norm = 0;
    x->zero = true;
    for (size_t i = 0; i < inputs; i++) {
        float n = am_exact_scalar(&w->exact, sqrt(am_vectors_dot(&s->g, i, i)));
        x->unit[i] = rounded(&w->exact, n + am_exact_scalar(&w->exact, w->eps));
        norm += rounded(&w->exact, n * (float)w->weight[i]);
        x->zero &= n == 0;
    }
    x->norm = rounded(&w->exact, norm);
    x->stage = x->zero ? AM_MS_DONE : AM_MS_MEAN;
    return x->zero ? 0 : AM_AGAIN;
}

static int take_mean(struct am_multislerp_exact *x, size_t inputs, const struct am_multislerp *w)
{
    x->mean = am_exact_scalar(&w->exact, sqrt(x->sum[0]));
    x->stage = AM_MS_DOTS;
    if ((double)x->mean >= w->eps)
        return AM_AGAIN;
    x->straight = inputs == 2;
    x->stage = AM_MS_DONE;
    return x->straight ? 0 : -AM_E_BAD_INPUT;
}

int am_multislerp_between_exact(struct am_multislerp_sums *s, const struct am_scope_info *info,
                                const struct am_multislerp *w)
{
    struct am_multislerp_exact *x = &s->exact;
    int rc = AM_AGAIN;
    if (x->stage == AM_MS_NORMS) {
        rc = take_norms(s, info->inputs, w);
    } else if (x->stage == AM_MS_MEAN) {
        rc = take_mean(x, info->inputs, w);
    } else if (x->stage == AM_MS_DOTS) {
        for (size_t i = 0; i < info->inputs; i++)
            x->dot[i] = am_exact_scalar(&w->exact, x->sum[i]);
        x->stage = AM_MS_TANGENT;
    } else {
        x->tangent =
            rounded(&w->exact, am_exact_scalar(&w->exact, sqrt(x->sum[0])) + am_exact_scalar(&w->exact, w->eps));
        x->stage = AM_MS_DONE;
        rc = 0;
    }
    memset(x->sum, 0, sizeof(x->sum));
    return rc;
}

/* Two directions that cancel, or no direction at all: the weighted sum. */
static void straight(const struct am_window *w, const struct am_multislerp *l)
{
    float v[AM_TILE];
    am_vectors_exact(w, &l->exact, 0, 0, w->n, w->out);
    am_exact_scale(&l->exact, w->out, (float)l->weight[0], w->out, w->n);
    for (size_t i = 1; i < w->inputs; i++) {
        am_vectors_exact(w, &l->exact, i, 0, w->n, v);
        am_exact_scale(&l->exact, v, (float)l->weight[i], v, w->n);
        am_exact_add(&l->exact, w->out, w->out, v, w->n);
    }
}

void am_multislerp_apply_exact(const struct am_window *w, const struct am_multislerp_sums *s)
{
    const struct am_multislerp *l = w->local;
    const struct am_multislerp_exact *x = &s->exact;
    const struct am_exact *e = &l->exact;
    float mu[AM_TILE], q[AM_TILE], base[AM_TILE];
    if (x->straight || x->zero) {
        straight(w, l);
    } else {
        float cosine = am_exact_scalar(e, am_cos((double)x->tangent));
        float sine = rounded(e, am_exact_scalar(e, am_sin((double)x->tangent)) / x->tangent);
        mean(w, l, x, mu);
        tangent(w, l, x, mu, q);
        am_exact_scale(e, mu, cosine, mu, w->n);
        am_exact_scale(e, q, sine, q, w->n);
        am_exact_add(e, w->out, mu, q, w->n);
        am_exact_scale(e, w->out, x->norm, w->out, w->n);
    }
    if (!w->base)
        return;
    am_exact_copy(e, base, w->base, w->n);
    am_exact_add(e, w->out, base, w->out, w->n);
}
