/*
 * _della.c - see _della.h.
 */
#include "core/merge/_della.h"

#include "core/tensor/kernels.h"

#include <string.h>

const struct am_rule am_della_rules[] = {
    {AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_MARGIN, "density", "epsilon"}, {AM_RULE_END, NULL, NULL}};

/* The entries of a vector that are not neighbours are looked at in a copy; there are two of them at least. */
static void thin_apart(const struct am_della_local *l, const float *d, const uint32_t *word,
                       const struct am_rank_odds *odds, float *const *room, uint32_t *mask)
{
    float *close = room[0];
    uint32_t *close_word = (uint32_t *)(void *)(room[0] + l->axis), *bits = (uint32_t *)(void *)room[1];
    memset(mask, 0, (l->axis * l->inner + 31) / 32 * sizeof(*mask));
    for (size_t k = 0; k < l->inner; k++) {
        for (size_t i = 0; i < l->axis; i++) {
            close[i] = d[k + i * l->inner];
            close_word[i] = word[k + i * l->inner];
        }
        am_rank_mask(bits, close, close_word, l->axis, odds);
        for (size_t i = 0; i < l->axis; i++)
            mask[(k + i * l->inner) / 32] |= (bits[i / 32] >> i % 32 & 1) << (k + i * l->inner) % 32;
    }
}

static void thin(const struct am_window *w, size_t input, const float *d, uint32_t *mask)
{
    const struct am_della_local *l = w->local;
    const struct am_rank_odds *odds = &l->odds[input];
    float *const *room = w->scratch + w->inputs + AM_DARE_SCRATCH;
    uint32_t *word = (uint32_t *)(void *)room[0];
    if (odds->span == 0) { /* ranks have no say */
        am_dare_evenly(w, input, d, mask);
        return;
    }
    am_random_words(word, w->n, l->dare.key[input], w->first);
    if (l->inner == 1)
        am_rank_mask(mask, d, word, l->axis, odds);
    else
        thin_apart(l, d, word, odds, room + 1, mask);
}

void am_della_prepare(const struct am_scope_info *s, void *local)
{
    struct am_della_local *l = local;
    am_dare_prepare_for(s, &l->dare, thin);
    l->axis = s->tensor.rank > 1 ? (size_t)s->tensor.shape[1] : (size_t)s->elements;
    l->inner = 1;
    for (unsigned k = 2; k < s->tensor.rank; k++)
        l->inner *= (size_t)s->tensor.shape[k];
    for (size_t i = 0; i < s->inputs; i++) {
        double density = l->dare.density[i], epsilon = am_arg_input_real(s->args, "epsilon", i);
        if (density > 0 && density < 1)
            l->odds[i] = am_rank_odds_of(density - epsilon, 2 * epsilon, l->axis);
    }
}
