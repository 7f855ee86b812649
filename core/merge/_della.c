/*
 * _della.c - see _della.h.
 */
#include "core/merge/_della.h"

#include "core/tensor/kernels.h"

#include <string.h>

#define WORK AM_RANKS_WORK

const struct am_rule am_della_rules[] = {
    {AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_MARGIN, "density", "epsilon"}, {AM_RULE_END, NULL, NULL}};

/* The entries of a vector that are not neighbours are worked on in a copy: arrays have room for two vectors and more.
 */
static void thin_apart(const struct am_della_local *l, const float *d, const uint32_t *word,
                       const struct am_rank_line *line, uint32_t *const *work, uint32_t *mask)
{
    float *close = (float *)(void *)(work[0] + l->axis);
    uint32_t *close_word = work[1] + l->axis, *bits = work[2] + l->axis;
    memset(mask, 0, (l->axis * l->inner + 31) / 32 * sizeof(*mask));
    for (size_t k = 0; k < l->inner; k++) {
        for (size_t i = 0; i < l->axis; i++) {
            close[i] = d[k + i * l->inner];
            close_word[i] = word[k + i * l->inner];
        }
        am_rank_mask(bits, close, close_word, l->axis, line, work);
        for (size_t i = 0; i < l->axis; i++)
            mask[(k + i * l->inner) / 32] |= (bits[i / 32] >> i % 32 & 1) << (k + i * l->inner) % 32;
    }
}

static void thin(const struct am_window *w, size_t input, const float *d, uint32_t *mask)
{
    const struct am_della_local *l = w->local;
    double density = l->dare.density[input];
    float *const *extra = w->scratch + w->inputs + AM_DARE_SCRATCH;
    uint32_t *word = (uint32_t *)(void *)extra[0], *work[WORK];
    const struct am_rank_line line = {.low = l->axis > 1 ? density - l->epsilon[input] : density,
                                      .rise = 2 * l->epsilon[input],
                                      .last = l->axis > 0 ? l->axis - 1 : 0};
    for (size_t k = 0; k < WORK; k++)
        work[k] = (uint32_t *)(void *)extra[1 + k];
    am_random_words(word, w->n, l->dare.key[input], w->first);
    if (l->inner == 1)
        am_rank_mask(mask, d, word, l->axis, &line, work);
    else
        thin_apart(l, d, word, &line, work, mask);
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
