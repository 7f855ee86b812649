/*
 * _robust_columns.c - sorting, choosing, finishing and the report of the rules by coordinate (_robust_columns.h;
 * merge.md A27).
 *
 * The tally: elements, then for each contributor the elements where it was inside, then for each pair the elements of
 * tiles that are the same in both.
 */
#include "core/merge/_robust_columns.h"

#include "core/base/err.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#include <string.h>

#define STRIDE 64 /* of the counting loop: a constant length is what the compiler vectorises at -O2 */

const struct am_rule am_columns_rules[] = {{AM_RULE_INPUTS_2A_1, "f", ""}, {AM_RULE_END, NULL, NULL}};

void am_columns_prepare(const struct am_scope_info *s, void *local)
{
    struct am_columns_local *l = local;
    l->alpha = (float)am_arg_real(s->args, "alpha");
    if (am_arg_has(s->args, "f"))
        l->f = (unsigned)am_arg_int(s->args, "f");
    l->propagate = strcmp(am_arg_text(s->args, "nonfinite"), "propagate") == 0;
}

int am_columns_sort(const struct am_window *w)
{
    if (2 * ((const struct am_columns_local *)w->local)->f >= w->inputs)
        return -AM_E_BAD_SPEC;
    for (size_t i = 0; i < w->inputs; i++)
        am_sub_f32(w->scratch[i], w->x[i], w->base, w->n);
    am_sort_columns(w->scratch, w->inputs, w->n);
    return 0;
}

void am_columns_median(float *const *x, size_t p, float *out, size_t n)
{
    if (p % 2) {
        am_copy_f32(out, x[p / 2], n);
    } else {
        am_add_f32(out, x[p / 2 - 1], x[p / 2], n);
        am_scale_f32(out, 0.5f, out, n);
    }
}

void am_columns_trimmed(float *const *x, size_t p, size_t f, float *out, size_t n)
{
    am_copy_f32(out, x[f], n);
    for (size_t i = f + 1; i < p - f; i++)
        am_add_f32(out, out, x[i], n);
    if (p - 2 * f > 1)
        am_div_f32(out, (float)(p - 2 * f), n);
}

/* far[k]: the value number j is farther from the centre than the one number j + keep, so that it is not among the
   nearest. That is so for the first few j, and then for none. */
static void farther(const float *low, const float *high, const float *center, int far[STRIDE])
{
    for (size_t k = 0; k < STRIDE; k++)
        far[k] = fabsf(low[k] - center[k]) > fabsf(high[k] - center[k]);
}

static void add_chosen(float sum[STRIDE], float low[STRIDE], float high[STRIDE], const float *x, const int out[STRIDE],
                       const int in[STRIDE])
{
    for (size_t k = 0; k < STRIDE; k++) {
        int chosen = in[k] & (out[k] == 0);
        sum[k] += chosen ? x[k] : 0.0f;
        low[k] = chosen && x[k] < low[k] ? x[k] : low[k];
        high[k] = chosen ? x[k] : high[k];
    }
}

/* Value number j is chosen when it is not farther than number j + keep, and number j - keep is farther than it. */
static void nearest_block(float *const x[], size_t p, size_t keep, float center[STRIDE])
{
    static const int never[STRIDE] = {0};
    int out[STRIDE], in[STRIDE];
    float sum[STRIDE] = {0}, low[STRIDE], high[STRIDE];
    memcpy(low, x[p - 1], sizeof(low));
    memcpy(high, x[0], sizeof(high));
    for (size_t j = 0; j < p; j++) {
        for (size_t k = 0; k < STRIDE; k++)
            in[k] = 1;
        if (j + keep < p)
            farther(x[j], x[j + keep], center, out);
        if (j >= keep)
            farther(x[j - keep], x[j], center, in);
        add_chosen(sum, low, high, x[j], j + keep < p ? out : never, in);
    }
    memcpy(x[0], low, sizeof(low));
    memcpy(x[p - 1], high, sizeof(high));
    for (size_t k = 0; k < STRIDE; k++)
        center[k] = sum[k] / (float)keep;
}

void am_columns_nearest(float *const *x, size_t p, size_t keep, float *center, size_t n)
{
    float *at[AM_MAX_INPUTS], block[AM_MAX_INPUTS][STRIDE], middle[STRIDE];
    size_t k = 0;
    for (; k + STRIDE <= n; k += STRIDE) {
        for (size_t j = 0; j < p; j++)
            at[j] = x[j] + k;
        nearest_block(at, p, keep, center + k);
    }
    if (k == n)
        return;
    size_t rest = (n - k) * sizeof(float);
    memset(middle, 0, sizeof(middle));
    memcpy(middle, center + k, rest);
    for (size_t j = 0; j < p; j++) {
        memset(block[j], 0, sizeof(block[j]));
        memcpy(block[j], x[j] + k, rest);
        at[j] = block[j];
    }
    nearest_block(at, p, keep, middle);
    memcpy(center + k, middle, rest);
    memcpy(x[0] + k, block[0], rest);
    memcpy(x[p - 1] + k, block[p - 1], rest);
}

/* A NaN has no place in an order: where one contributor has it, the result has it. */
static void put_nan(const struct am_window *w)
{
    for (size_t i = 0; i < w->inputs; i++)
        for (size_t k = 0; k < w->n; k++)
            if (isnan(w->x[i][k] - w->base[k]))
                w->out[k] = NAN;
}

static size_t count_inside(const float *x, const float *b, const float *low, const float *high, size_t n)
{
    int lane[STRIDE] = {0};
    size_t k = 0, count = 0;
    for (; k + STRIDE <= n; k += STRIDE) {
        for (size_t j = 0; j < STRIDE; j++) {
            float d = x[k + j] - b[k + j];
            lane[j] += (d >= low[k + j]) & (d <= high[k + j]);
        }
    }
    for (; k < n; k++) {
        float d = x[k] - b[k];
        count += (d >= low[k]) & (d <= high[k]);
    }
    for (size_t j = 0; j < STRIDE; j++)
        count += (size_t)lane[j];
    return count;
}

static void count(const struct am_window *w, size_t f)
{
    size_t p = w->inputs;
    double *inside = w->tally + 1, *same = inside + p;
    w->tally[0] += (double)w->n;
    for (size_t i = 0; i < p; i++)
        inside[i] += 2 * f < p ? (double)count_inside(w->x[i], w->base, w->scratch[f], w->scratch[p - 1 - f], w->n)
                               : (double)w->n;
    for (size_t j = 1; j < p; j++)
        for (size_t i = 0; i < j; i++)
            *same++ += memcmp(w->x[i], w->x[j], w->n * sizeof(float)) == 0 ? (double)w->n : 0;
}

void am_columns_finish(const struct am_window *w, size_t f)
{
    const struct am_columns_local *l = w->local;
    if (l->alpha != 1)
        am_scale_f32(w->out, l->alpha, w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    if (l->propagate)
        put_nan(w);
    count(w, f);
}

int am_columns_apply_nearest(const struct am_window *w, am_columns_center *center)
{
    size_t f = ((const struct am_columns_local *)w->local)->f;
    AM_TRY(am_columns_sort(w));
    center(w, f);
    am_columns_nearest(w->scratch, w->inputs, w->inputs - f, w->out, w->n);
    am_columns_finish(w, 0); /* their range is in the first and the last of scratch */
    return 0;
}

/* For a rule that keeps `kept` values of each element. */
static void report_kept(const struct am_scope_info *s, const double *tally, size_t kept, struct am_report *r)
{
    size_t p = s->inputs, pairs = p * (p - 1) / 2;
    double inside[AM_MAX_INPUTS] = {0}, trust[AM_MAX_INPUTS] = {0};
    double expected = (double)kept / (double)p;
    if (!(tally[0] > 0))
        return;
    for (size_t i = 0; i < p; i++) {
        inside[i] = tally[1 + i] / tally[0];
        trust[i] = inside[i] < expected ? inside[i] / expected : 1;
    }
    am_report_put_list(r, "inside", inside, p);
    if (s->tensor.name)
        return;
    am_report_put_list(r, "trust", trust, p);
    for (size_t i = 0; i < pairs; i++) {
        if (tally[1 + p + i] == tally[0]) {
            am_report_warn(
                r, "identical-contributors",
                "two models are the same and count twice, as a copy made to win a vote would; leave one out");
            return;
        }
    }
}

void am_columns_report(const struct am_scope_info *s, const double *tally, size_t f, struct am_report *r)
{
    report_kept(s, tally, 2 * f < s->inputs ? s->inputs - 2 * f : s->inputs, r);
}

void am_columns_report_nearest(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    report_kept(s, tally, s->inputs - (size_t)am_arg_int(s->args, "f"), r);
}
