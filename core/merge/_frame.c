/*
 * _frame.c - the frame of task arithmetic; formulas and order in _frame.h (merge.md A14).
 */
#include "core/merge/_frame.h"

#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

#include <string.h>

void am_frame_prepare(const struct am_scope_info *s, struct am_frame *f)
{
    const char *consensus = am_arg_text(s->args, "consensus");
    double sum = 0;
    bool plus = false, minus = false;
    f->inputs = s->inputs;
    f->lambda = (float)am_arg_real(s->args, "lambda");
    f->normalize = am_arg_bool(s->args, "normalize");
    for (size_t i = 0; i < s->inputs; i++) {
        double w = am_arg_input_real(s->args, "weight", i);
        f->weight[i] = (float)w;
        sum += w;
        plus |= w > 0;
        minus |= w < 0;
    }
    f->div = fabs(sum) < 1e-8 && am_compat(s->args) ? 1 : (float)sum; /* as mergekit; else it is refused */
    f->mixed = plus && minus;
    f->exact = am_exact_of(s->args);
    f->consensus = AM_CONSENSUS_NONE;
    if (strcmp(consensus, "sum") == 0)
        f->consensus = AM_CONSENSUS_SUM;
    else if (strcmp(consensus, "count") == 0)
        f->consensus = AM_CONSENSUS_COUNT;
}

bool am_frame_unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "lambda") == 0;
}

_Static_assert(AM_MAX_INPUTS <= AM_KERNEL_ARRAYS, "am_elect()");

size_t am_frame_keep(const struct am_window *w, const void *acc, const struct am_sparsifier *s, size_t input, float *d)
{
    struct am_edge edge[2];
    if (s->edges && s->edges(w, acc, input, edge))
        return am_select_band(d, d, w->n, &edge[0], &edge[1]);
    return s->keep(w, acc, input, d);
}

/* A row may be longer than one block of a deterministic sum. */
static size_t block(size_t n, size_t at)
{
    return n - at < AM_TILE ? n - at : AM_TILE;
}

/* d = the sparsified delta. */
static void delta(const struct am_window *w, const void *acc, const struct am_sparsifier *s, size_t i, float *d)
{
    double *tally = w->tally + AM_FRAME_FIXED + i * AM_FRAME_EACH, squares = 0;
    for (size_t at = 0; at < w->n; at += AM_TILE)
        squares += w->x16 ? am_delta_square_bf16(d + at, w->x16[i] + at, w->base16 + at, block(w->n, at))
                          : am_delta_square(d + at, w->x[i] + at, w->base + at, block(w->n, at));
    tally[AM_FRAME_DELTA] += squares;
    tally[AM_FRAME_KEPT] += (double)am_frame_keep(w, acc, s, i, d);
}

/* num into w->out: all entries together. */
static void add_all(const struct am_window *w, const struct am_frame *f, const void *acc, const struct am_sparsifier *s)
{
    float *num = w->out, *d = w->scratch[0];
    delta(w, acc, s, 0, num);
    if (w->inputs == 1)
        am_scale_f32(num, f->weight[0], num, w->n);
    for (size_t i = 1; i < w->inputs; i++) {
        delta(w, acc, s, i, d);
        if (i == 1)
            am_blend_f32(num, f->weight[0], num, f->weight[1], d, w->n);
        else
            am_axpy_f32(num, f->weight[i], d, w->n);
    }
    if (f->normalize)
        am_div_f32(num, f->div, w->n);
}

/* num into w->out: the entries of the elected sign. */
static void add_elected(const struct am_window *w, const struct am_frame *f, const void *acc,
                        const struct am_sparsifier *s)
{
    struct am_election how = {.weight = f->weight,
                              .inputs = w->inputs,
                              .by_count = f->consensus == AM_CONSENSUS_COUNT,
                              .normalize = f->normalize};
    const float *d[AM_MAX_INPUTS];
    size_t thin;
    for (size_t i = 0; i < w->inputs; i++) {
        delta(w, acc, s, i, w->scratch[i]);
        d[i] = w->scratch[i];
    }
    w->tally[AM_FRAME_CONFLICTS] += (double)am_elect(&how, w->out, d, w->n, &thin);
    if (f->mixed)
        w->tally[AM_FRAME_THIN] += (double)thin;
}

void am_frame_apply(const struct am_window *w, const void *acc, const struct am_sparsifier *s)
{
    const struct am_frame *f = w->local;
    double squares = 0;
    w->tally[AM_FRAME_ELEMENTS] += (double)w->n;
    if (f->exact.on) {
        am_frame_apply_exact(w, acc, s);
        return;
    }
    if (f->consensus == AM_CONSENSUS_NONE)
        add_all(w, f, acc, s);
    else
        add_elected(w, f, acc, s);
    if (f->lambda == 0) {
        if (w->base16) /* b + 0 would turn -0 into +0 */
            am_load_f32(AM_BF16, w->base16, w->out, w->n);
        else
            am_copy_f32(w->out, w->base, w->n);
        return;
    }
    for (size_t at = 0; at < w->n; at += AM_TILE)
        squares += w->base16 ? am_add_square_bf16(w->out + at, f->lambda, w->out + at, w->base16 + at, block(w->n, at))
                             : am_add_square(w->out + at, f->lambda, w->out + at, w->base + at, block(w->n, at));
    w->tally[AM_FRAME_OUT] += squares;
}

void am_frame_report(const struct am_scope_info *s, const double *tally, struct am_report *r)
{
    double kept[AM_MAX_INPUTS], norm[AM_MAX_INPUTS], elements = tally[AM_FRAME_ELEMENTS];
    bool same = false;
    for (size_t i = 0; i < s->inputs; i++) {
        kept[i] = am_frame_of(tally, i, AM_FRAME_KEPT);
        norm[i] = sqrt(am_frame_of(tally, i, AM_FRAME_DELTA));
        same |= elements > 0 && norm[i] == 0;
    }
    am_report_put_list(r, "kept", kept, s->inputs);
    am_report_put_list(r, "delta_norm", norm, s->inputs);
    am_report_put(r, "merged_norm", sqrt(tally[AM_FRAME_OUT]));
    if (strcmp(am_arg_text(s->args, "consensus"), "none") != 0)
        am_report_put(r, "sign_conflict", elements > 0 ? tally[AM_FRAME_CONFLICTS] / elements : 0);
    if (tally[AM_FRAME_THIN] > 0)
        am_report_warn(
            r, "small-divisor",
            "weights of both signs nearly cancel in some elements (sum below 0.001), which makes them large; "
            "change the weights or set normalize to false");
    if (same && !s->tensor.name)
        am_report_warn(r, "input-equals-base",
                       "a model is equal to the base in every merged tensor, so it adds nothing; check which version "
                       "was meant");
}
