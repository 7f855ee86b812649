/*
 * run_stats.c - the statistics passes of a method over one scope (a tensor, or all selected tensors in the order of
 * their names).
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"

#include <string.h>

#define ROUNDS_MAX 16 /* a method that asks for more than this is broken */

static int one_round(struct am_run_state *s, const struct am_run_item *const *item, size_t items)
{
    for (size_t i = 0; i < items; i++)
        for (uint64_t w = 0; item[i]->selected && w < item[i]->windows; w++)
            AM_TRY(am_slots_add(s, AM_SLOT_STAT, item[i], NULL, w));
    return am_slots_flush(s);
}

static int one_pass(struct am_run_state *s, const struct am_run_item *const *item, size_t items, uint64_t elements)
{
    const struct am_method *m = s->r->method;
    for (s->round = 0; s->round < ROUNDS_MAX; s->round++) {
        s->sofar = s->pass || s->round ? s->acc : NULL;
        AM_TRY(one_round(s, item, items));
        int rc = m->between(s->acc, elements, s->r->args, s->pass, s->round);
        if (rc != AM_AGAIN)
            return rc;
    }
    return -AM_E_INTERNAL;
}

int am_run_stats(struct am_run_state *s, const struct am_run_item *const *item, size_t items)
{
    uint64_t elements = 0;
    for (size_t i = 0; i < items; i++)
        elements += item[i]->selected ? item[i]->donor->elements : 0;
    memset(s->acc, 0, s->r->method->needs.acc_bytes);
    for (s->pass = 0; s->pass < s->r->method->needs.passes; s->pass++)
        AM_TRY(one_pass(s, item, items, elements));
    return 0;
}
