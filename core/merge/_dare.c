/*
 * _dare.c - see _dare.h.
 */
#include "core/merge/_dare.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <string.h>

#define FEW 10 /* entries that are expected to stay: fewer carry the size of all */

/* A density that rounds to 1 keeps everything. */
static void set_limit(struct am_dare_local *l, size_t i)
{
    double limit = floor(l->density[i] * 0x1p32 + 0.5);
    if (limit >= 0x1p32)
        l->density[i] = 1;
    else
        l->limit[i] = (uint32_t)limit;
}

void am_dare_prepare_for(const struct am_scope_info *s, struct am_dare_local *l, am_dare_thin *thin)
{
    am_frame_prepare(s, &l->frame);
    l->rescale = am_rescale_by(s->args);
    l->thin = thin;
    for (size_t i = 0; i < s->inputs; i++) {
        l->density[i] = am_arg_input_real(s->args, "density", i);
        set_limit(l, i);
        l->failed |= s->tensor.name && am_random_key("mask", s->seed, (unsigned)i, s->tensor.name, l->key[i]) < 0;
    }
}

void am_dare_evenly(const struct am_window *w, size_t input, const float *d, uint32_t *mask)
{
    const struct am_dare_local *l = w->local;
    (void)d;
    am_random_mask(mask, w->n, l->key[input], w->first, l->limit[input]);
}

void am_dare_prepare(const struct am_scope_info *s, void *local)
{
    am_dare_prepare_for(s, local, am_dare_evenly);
}

static bool counted(const struct am_dare_local *l, size_t i)
{
    return l->rescale >= AM_RESCALE_L1 && l->density[i] > 0 && l->density[i] < 1;
}

size_t am_dare_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)sofar, (void)pass;
    *ret_first = 0;
    for (size_t i = 0; i < w->inputs; i++)
        if (counted(w->local, i))
            return w->n;
    return 0;
}

/* Where the mask of an input is kept, or made. */
static uint32_t *mask_of(const struct am_window *w, size_t input)
{
    return w->mask ? w->mask + input * w->mask_words : (uint32_t *)(void *)w->scratch[w->inputs];
}

int am_dare_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)sofar, (void)pass;
    const struct am_dare_local *l = w->local;
    float *d = w->scratch[0];
    if (l->failed)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < w->inputs; i++) {
        if (!counted(l, i))
            continue;
        uint32_t *mask = mask_of(w, i);
        am_frame_delta(w, i, 0, w->n, d);
        l->thin(w, i, d, mask);
        am_rescale_count(acc, l->rescale, w->inputs, i, d, mask, w->n);
    }
    return 0;
}

int am_dare_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    am_rescale_settle(acc, ((const struct am_dare_local *)local)->rescale, s->inputs);
    return 0;
}

static size_t drop(const struct am_window *w, const void *acc, size_t input, float *d)
{
    const struct am_dare_local *l = w->local;
    if (l->density[input] >= 1)
        return w->n;
    if (l->density[input] <= 0) {
        memset(d, 0, w->n * sizeof(*d));
        return 0;
    }
    uint32_t *mask = mask_of(w, input);
    if (!w->mask || !counted(l, input)) /* it is not there from the statistics */
        l->thin(w, input, d, mask);
    size_t kept = am_keep_mask(d, d, w->n, mask);
    am_rescale_apply(acc, l->rescale, input, l->density[input], d, w->n);
    return kept;
}

int am_dare_apply(const struct am_window *w, const void *acc)
{
    if (((const struct am_dare_local *)w->local)->failed)
        return -AM_E_OUT_OF_MEMORY;
    static const struct am_sparsifier sparsifier = {.keep = drop};
    am_frame_apply(w, acc, &sparsifier);
    return 0;
}

static void warn_of_tensor(const struct am_scope_info *s, const double *tally, struct am_report *r)
{
    bool empty = false, few = false, sized = am_rescale_by(s->args) >= AM_RESCALE_L1;
    for (size_t i = 0; i < s->inputs; i++) {
        double density = am_arg_input_real(s->args, "density", i);
        if (density <= 0 || density >= 1 || s->elements == 0)
            continue;
        empty |= am_frame_of(tally, i, AM_FRAME_KEPT) == 0;
        few |= sized && density * (double)s->elements < FEW;
    }
    if (empty)
        am_report_warn(r, "empty-mask",
                       "chance kept nothing of a model in this tensor, which is so small that a model may add nothing; "
                       "raise its density or give another seed");
    if (few)
        am_report_warn(r, "few-survivors",
                       "fewer than 10 entries of this tensor are expected to stay, and rescale gives them the size of "
                       "all; raise the density or set rescale to \"inverse_density\" or \"none\"");
}

static void report_masks(const struct am_scope_info *s, const struct am_rescale *acc, const double *tally,
                         struct am_report *r)
{
    double factor[AM_MAX_INPUTS];
    bool zero = false;
    enum am_rescale_by by = am_rescale_by(s->args);
    for (size_t i = 0; i < s->inputs; i++) {
        double density = am_arg_input_real(s->args, "density", i);
        zero |= density == 0;
        factor[i] = acc && acc->of[i].factor > 0 ? acc->of[i].factor : 1;
        if (by == AM_RESCALE_INVERSE && density > 0)
            factor[i] = 1 / density;
    }
    if (s->tensor.name) {
        am_report_put_list(r, "rescale", factor, s->inputs);
        warn_of_tensor(s, tally, r);
    } else if (zero) {
        am_report_warn(r, "density-zero", "a model with density 0 adds nothing; leave it out or raise its density");
    }
}

void am_dare_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    am_frame_report(s, tally, r);
    report_masks(s, acc, tally, r);
}
