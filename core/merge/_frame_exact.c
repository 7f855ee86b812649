/*
 * _frame_exact.c - the frame of task arithmetic as compat "exact" computes it (merge.md B18): d = R(x - b), sparsified;
 * e = R(d * R(w)); the sums of e and of R(w) over those that take part in f32, each rounded once; R after the division,
 * the factor lambda (itself in f32) and the addition to the base.
 */
#include "core/merge/_frame.h"

#include "core/tensor/kernels.h"

#include <string.h>

/* Whether the elected sign of an element is +. */
static bool elects_plus(const struct am_frame *f, float *const *e, size_t inputs, size_t at)
{
    float sum = 0;
    int votes = 0;
    for (size_t i = 0; i < inputs; i++) {
        sum += e[i][at];
        votes += (e[i][at] > 0) - (e[i][at] < 0);
    }
    return f->consensus == AM_CONSENSUS_COUNT ? votes >= 0 : sum >= 0;
}

/* num into out, div into `div`: of those with the elected sign, or of all. */
static void add_up(const struct am_window *w, const struct am_frame *f, const float *weight, size_t at, size_t n,
                   float *div)
{
    bool all = f->consensus == AM_CONSENSUS_NONE;
    for (size_t k = at; k < at + n; k++) {
        bool plus = !all && elects_plus(f, w->scratch, w->inputs, k), conflict = false;
        float num = 0, sum = 0;
        for (size_t i = 0; i < w->inputs; i++) {
            float e = w->scratch[i][k];
            bool takes_part = all || (plus ? e > 0 : e < 0);
            num += takes_part ? e : 0;
            sum += takes_part ? weight[i] : 0;
            conflict |= !takes_part && e != 0;
        }
        w->out[k] = num;
        div[k - at] = sum;
        w->tally[AM_FRAME_CONFLICTS] += conflict;
    }
}

static void finish(const struct am_window *w, const struct am_frame *f, const float *div, size_t at, size_t n)
{
    float *out = w->out + at, base[AM_TILE];
    am_exact_round(&f->exact, out, n);
    for (size_t k = 0; f->normalize && k < n; k++)
        out[k] /= fabsf(div[k]) < 1e-8f ? 1 : div[k];
    if (f->normalize)
        am_exact_round(&f->exact, out, n);
    if (f->lambda != 1) {
        am_scale_f32(out, f->lambda, out, n);
        am_exact_round(&f->exact, out, n);
    }
    w->tally[AM_FRAME_OUT] += am_block_dot(out, out, n);
    memcpy(base, w->base + at, n * sizeof *base);
    am_exact_round(&f->exact, base, n);
    am_add_f32(out, base, out, n);
    am_exact_round(&f->exact, out, n);
}

void am_frame_apply_exact(const struct am_window *w, const void *acc, const struct am_sparsifier *s)
{
    const struct am_frame *f = w->local;
    float weight[AM_MAX_INPUTS], div[AM_TILE];
    for (size_t i = 0; i < w->inputs; i++) {
        float *d = w->scratch[i];
        double *tally = w->tally + AM_FRAME_FIXED + i * AM_FRAME_EACH;
        weight[i] = am_exact_scalar(&f->exact, f->weight[i]);
        am_exact_delta(&f->exact, d, w->x[i], w->base, w->n);
        for (size_t at = 0; at < w->n; at += AM_TILE)
            tally[AM_FRAME_DELTA] += am_block_dot(d + at, d + at, w->n - at < AM_TILE ? w->n - at : AM_TILE);
        tally[AM_FRAME_KEPT] += (double)am_frame_keep(w, acc, s, i, d);
        am_scale_f32(d, weight[i], d, w->n);
        am_exact_round(&f->exact, d, w->n);
    }
    for (size_t at = 0; at < w->n; at += AM_TILE) {
        size_t n = w->n - at < AM_TILE ? w->n - at : AM_TILE;
        add_up(w, f, weight, at, n, div);
        am_exact_round(&f->exact, div, n);
        finish(w, f, div, at, n);
    }
}
