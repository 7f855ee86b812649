/*
 * _della.c - see _della.h.
 */
#include "core/merge/_della.h"

#include "core/tensor/kernels.h"

const struct am_rule am_della_rules[] = {
    {AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_MARGIN, "density", "epsilon"}, {AM_RULE_END, NULL, NULL}};

static size_t thin(const struct am_window *w, size_t input, const float *d, float *y)
{
    const struct am_della_local *l = w->local;
    double density = l->dare.density[input];
    float *const *extra = w->scratch + w->inputs + 1;
    uint32_t *word = (uint32_t *)(void *)extra[0], *work[AM_RANKS_WORK];
    const struct am_rank_line line = {.low = l->axis > 1 ? density - l->epsilon[input] : density,
                                      .rise = 2 * l->epsilon[input],
                                      .last = l->axis > 0 ? l->axis - 1 : 0};
    size_t kept = 0;
    for (size_t k = 0; k < AM_RANKS_WORK; k++)
        work[k] = (uint32_t *)(void *)extra[1 + k];
    if (y != d)
        am_copy_f32(y, d, w->n);
    am_random_words(word, w->n, l->dare.key[input], w->first);
    for (size_t k = 0; k < l->inner; k++)
        kept += am_keep_ranked(y + k, word + k, l->axis, l->inner, &line, work);
    return kept;
}

void am_della_prepare(const struct am_scope_info *s, void *local)
{
    struct am_della_local *l = local;
    am_dare_prepare_for(s, &l->dare, thin);
    l->axis = s->tensor.rank > 1 ? (size_t)s->tensor.shape[1] : (size_t)s->elements;
    l->inner = 1;
    for (unsigned k = 2; k < s->tensor.rank; k++)
        l->inner *= (size_t)s->tensor.shape[k];
    for (size_t i = 0; i < s->inputs; i++)
        l->epsilon[i] = am_arg_input_real(s->args, "epsilon", i);
}
