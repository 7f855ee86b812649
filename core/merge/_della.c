/*
 * _della.c - see _della.h.
 */
#include "core/merge/_della.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <string.h>

const struct am_rule am_della_rules[] = {
    {AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_MARGIN, "density", "epsilon"}, {AM_RULE_END, NULL, NULL}};

void am_della_prepare(const struct am_scope_info *s, void *local)
{
    struct am_della_local *l = local;
    am_frame_prepare(s, &l->frame);
    l->rescale = am_rescale_by(s->args);
    l->failed = !am_dare_keys(s, l->key);
    l->axis = s->tensor.rank > 1 ? (size_t)s->tensor.shape[1] : (size_t)s->elements;
    l->inner = 1;
    for (unsigned k = 2; k < s->tensor.rank; k++)
        l->inner *= (size_t)s->tensor.shape[k];
    for (size_t i = 0; i < s->inputs; i++) {
        l->density[i] = am_arg_input_real(s->args, "density", i);
        l->epsilon[i] = am_arg_input_real(s->args, "epsilon", i);
    }
}

static bool masked(const struct am_della_local *l, size_t i)
{
    return l->density[i] > 0 && l->density[i] < 1;
}

static bool counted(const struct am_della_local *l, size_t i)
{
    return l->rescale >= AM_RESCALE_L1 && masked(l, i);
}

size_t am_della_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)sofar, (void)pass;
    *ret_first = 0;
    for (size_t i = 0; i < w->inputs; i++)
        if (counted(w->local, i))
            return w->n;
    return 0;
}

/* What stays of d, the difference of input `input` in this tile. */
static size_t thin(const struct am_window *w, size_t input, float *d)
{
    const struct am_della_local *l = w->local;
    float *const *extra = w->scratch + w->inputs + 1;
    uint32_t *word = (uint32_t *)(void *)extra[0], *work[AM_RANKS_WORK];
    const struct am_rank_line line = {.low = l->axis > 1 ? l->density[input] - l->epsilon[input] : l->density[input],
                                      .rise = 2 * l->epsilon[input],
                                      .last = l->axis > 0 ? l->axis - 1 : 0};
    size_t kept = 0;
    for (size_t k = 0; k < AM_RANKS_WORK; k++)
        work[k] = (uint32_t *)(void *)extra[1 + k];
    am_random_words(word, w->n, l->key[input], w->first);
    for (size_t k = 0; k < l->inner; k++)
        kept += am_keep_ranked(d + k, word + k, l->axis, l->inner, &line, work);
    return kept;
}

int am_della_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)sofar, (void)pass;
    const struct am_della_local *l = w->local;
    float *d = w->scratch[0], *y = w->scratch[w->inputs];
    if (l->failed)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < w->inputs; i++) {
        if (!counted(l, i))
            continue;
        am_frame_delta(&l->frame, d, w->x[i], w->base, w->n);
        am_copy_f32(y, d, w->n);
        thin(w, i, y);
        am_rescale_count(acc, l->rescale, w->inputs, i, d, y, w->n);
    }
    return 0;
}

int am_della_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    am_rescale_settle(acc, ((const struct am_della_local *)local)->rescale, s->inputs);
    return 0;
}

static size_t drop(const struct am_window *w, const void *acc, size_t input, float *d)
{
    const struct am_della_local *l = w->local;
    if (l->density[input] >= 1)
        return w->n;
    if (!masked(l, input)) {
        memset(d, 0, w->n * sizeof(*d));
        return 0;
    }
    size_t kept = thin(w, input, d);
    am_rescale_apply(acc, l->rescale, input, l->density[input], d, w->n);
    return kept;
}

int am_della_apply(const struct am_window *w, const void *acc)
{
    if (((const struct am_della_local *)w->local)->failed)
        return -AM_E_OUT_OF_MEMORY;
    am_frame_apply(w, acc, drop);
    return 0;
}
