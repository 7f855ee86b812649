/*
 * run_later.c - while a tensor is counted, the crew stands still at the end of each round until the last window is
 * settled and the method has looked at it. So the result of the tensor before is not given at once: half of what is
 * left of it goes behind the windows of each round. What is given when depends on sizes alone, not on threads.
 */
#include "core/methods/run_parts.h"

#include <string.h>

static struct am_run_item *item_of(const struct am_run_later *later)
{
    return later->target->user;
}

static int give_next(struct am_run_state *s)
{
    struct am_run_later *first = &s->later[0];
    struct am_run_item *item = item_of(first);
    AM_TRY(am_ring_give(s, AM_SLOT_APPLY, item, first->target, first->next++));
    if (first->next < item->windows)
        return 0;
    item->turn->needed = s->given;
    memmove(first, first + 1, --s->laters * sizeof(*first));
    return 0;
}

void am_later_add(struct am_run_state *s, const struct am_out_tensor *target)
{
    s->later[s->laters++] = (struct am_run_later){.target = target};
}

int am_later_half(struct am_run_state *s)
{
    uint64_t left = 0;
    for (size_t i = 0; i < s->laters; i++)
        left += item_of(&s->later[i])->windows - s->later[i].next;
    for (uint64_t w = 0; w < left - left / 2; w++)
        AM_TRY(give_next(s));
    return 0;
}

int am_later_but(struct am_run_state *s, size_t tensors)
{
    while (s->laters > tensors)
        AM_TRY(give_next(s));
    return 0;
}
