/*
 * _frame.c - the frame of task arithmetic; formulas and order in _frame.h (merge.md A14).
 */
#include "core/merge/_frame.h"

#include "core/tensor/kernels.h"

#include <string.h>

#define STEP 16 /* elements whose signs are gathered at a time, in registers */
#define THIN 1e-3f

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
    f->div = (float)sum;
    f->mixed = plus && minus;
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

/* A row may be longer than one block of a deterministic sum. */
static double square_sum(const float *x, size_t n)
{
    double sum = 0;
    for (size_t at = 0; at < n; at += AM_TILE)
        sum += am_block_dot(x + at, x + at, n - at < AM_TILE ? n - at : AM_TILE);
    return sum;
}

/* e = fl(w_i * sparsified delta). */
static void entry(const struct am_window *w, const struct am_frame *f, const void *acc, am_sparsifier *sparsify,
                  size_t i, float *e)
{
    double *tally = w->tally + AM_FRAME_FIXED + i * AM_FRAME_EACH;
    am_sub_f32(e, w->x[i], w->base, w->n);
    tally[AM_FRAME_DELTA] += square_sum(e, w->n);
    tally[AM_FRAME_KEPT] += (double)sparsify(w, acc, i, e);
    am_scale_f32(e, f->weight[i], e, w->n);
}

/* How many of STEP elements from `at` on have entries of both signs. */
static unsigned conflicts_in(float *const *e, size_t inputs, size_t at)
{
    float high[STEP] = {0}, low[STEP] = {0};
    unsigned count = 0;
    for (size_t i = 0; i < inputs; i++) {
        const float *x = e[i] + at;
        for (size_t j = 0; j < STEP; j++) {
            high[j] = x[j] > high[j] ? x[j] : high[j];
            low[j] = x[j] < low[j] ? x[j] : low[j];
        }
    }
    for (size_t j = 0; j < STEP; j++)
        count += (high[j] > 0) & (low[j] < 0);
    return count;
}

static size_t conflicts(float *const *e, size_t inputs, size_t n)
{
    size_t at = 0, count = 0;
    for (; at + STEP <= n; at += STEP)
        count += conflicts_in(e, inputs, at);
    for (; at < n; at++) {
        bool plus = false, minus = false;
        for (size_t i = 0; i < inputs; i++) {
            plus |= e[i][at] > 0;
            minus |= e[i][at] < 0;
        }
        count += plus && minus;
    }
    return count;
}

static size_t thin(const float *div, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += div[i] != 0 && fabsf(div[i]) < THIN;
    return count;
}

/* num into w->out: all entries together. */
static void add_all(const struct am_window *w, const struct am_frame *f, const void *acc, am_sparsifier *sparsify)
{
    for (size_t i = 0; i < w->inputs; i++) {
        float *e = i == 0 ? w->out : w->scratch[0];
        entry(w, f, acc, sparsify, i, e);
        if (i > 0)
            am_add_f32(w->out, w->out, e, w->n);
    }
    if (f->normalize)
        am_div_f32(w->out, f->div, w->n);
}

/* num into w->out: the entries of the elected sign. */
static void add_elected(const struct am_window *w, const struct am_frame *f, const void *acc, am_sparsifier *sparsify)
{
    size_t bytes = w->n * sizeof(float);
    float *const *e = w->scratch, *sum = w->scratch[w->inputs], *div = w->scratch[w->inputs + 1];
    memset(sum, 0, bytes);
    memset(div, 0, bytes);
    memset(w->out, 0, bytes);
    for (size_t i = 0; i < w->inputs; i++) {
        entry(w, f, acc, sparsify, i, e[i]);
        if (f->consensus == AM_CONSENSUS_COUNT)
            am_add_sign(sum, e[i], w->n);
        else
            am_add_f32(sum, sum, e[i], w->n);
    }
    for (size_t i = 0; i < w->inputs; i++)
        am_elect_add(w->out, div, e[i], f->weight[i], sum, w->n);
    if (w->inputs > 1)
        w->tally[AM_FRAME_CONFLICTS] += (double)conflicts(e, w->inputs, w->n);
    if (!f->normalize)
        return;
    am_div_each(w->out, div, w->n);
    if (f->mixed)
        w->tally[AM_FRAME_THIN] += (double)thin(div, w->n);
}

void am_frame_apply(const struct am_window *w, const void *acc, am_sparsifier *sparsify)
{
    const struct am_frame *f = w->local;
    w->tally[AM_FRAME_ELEMENTS] += (double)w->n;
    if (f->consensus == AM_CONSENSUS_NONE)
        add_all(w, f, acc, sparsify);
    else
        add_elected(w, f, acc, sparsify);
    if (f->lambda == 0) {
        am_copy_f32(w->out, w->base, w->n); /* b + 0 would turn -0 into +0 */
        return;
    }
    if (f->lambda != 1)
        am_scale_f32(w->out, f->lambda, w->out, w->n);
    w->tally[AM_FRAME_OUT] += square_sum(w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
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
            r, "divisor-thin",
            "weights of both signs nearly cancel in some elements (sum below 0.001), which makes them large; "
            "change the weights or set normalize to false");
    if (same && !s->tensor.name)
        am_report_warn(r, "same-as-base",
                       "a model is equal to the base in every merged tensor, so it adds nothing; check which version "
                       "was meant");
}
