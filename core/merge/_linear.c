/*
 * _linear.c - see _linear.h. f32, one rounding per operation, sums from left to right in the order of the request.
 */
#include "core/merge/_linear.h"

#include "core/tensor/kernels.h"

#include <string.h>

void am_linear_weights(struct am_linear *l, const double *weight, size_t inputs)
{
    double sum = 0;
    for (size_t i = 0; i < inputs; i++) {
        l->weight[i] = (float)weight[i];
        sum += weight[i];
    }
    l->sum = (float)sum;
}

/* compat "exact" (merge.md B18): R(R(sum of R(R(w) * R(x))) / R(sum of R(w))). */
static void apply_exact(const struct am_window *w, const struct am_linear *l)
{
    const struct am_exact *e = &l->exact;
    float x[AM_TILE], sum = 0;
    memset(w->out, 0, w->n * sizeof(*w->out));
    for (size_t i = 0; i < w->inputs; i++) {
        float weight = am_exact_scalar(e, l->weight[i]);
        memcpy(x, w->x[i], w->n * sizeof(*x));
        am_exact_round(e, x, w->n);
        am_scale_f32(x, weight, x, w->n);
        am_exact_round(e, x, w->n);
        am_add_f32(w->out, w->out, x, w->n);
        sum += weight;
    }
    am_exact_round(e, w->out, w->n);
    if (!l->normalize)
        return;
    am_div_f32(w->out, am_exact_scalar(e, sum), w->n);
    am_exact_round(e, w->out, w->n);
}

int am_linear_apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct am_linear *l = w->local;
    if (l->exact.on) {
        apply_exact(w, l);
        return 0;
    }
    if (l->normalize && w->inputs == 1) {
        am_copy_f32(w->out, w->x[0], w->n); /* w * x / w would round twice */
        return 0;
    }
    if (w->inputs == 1)
        am_scale_f32(w->out, l->weight[0], w->x[0], w->n);
    else
        am_blend_f32(w->out, l->weight[0], w->x[0], l->weight[1], w->x[1], w->n);
    for (size_t i = 2; i < w->inputs; i++)
        am_axpy_f32(w->out, l->weight[i], w->x[i], w->n);
    if (l->normalize && l->sum != 1) /* x / 1 is x */
        am_div_f32(w->out, l->sum, w->n);
    return 0;
}
