/*
 * run_stats.c - the statistics passes of a method over one scope (a tensor, or all selected tensors in the order of
 * their names).
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 16 /* a method that asks for more than this is broken */

static int one_round(struct am_run_state *s, struct am_run_item *const *item, size_t items)
{
    for (size_t i = 0; i < items; i++)
        for (uint64_t w = 0; item[i]->selected && !item[i]->pass && w < item[i]->windows; w++)
            AM_TRY(am_ring_give(s, AM_SLOT_STAT, item[i], NULL, w));
    uint64_t given = s->given;
    AM_TRY(am_later_half(s));
    return am_ring_settle(s, given);
}

/* The method refuses the scope: what fails in the results before it is told first, whatever is in flight by now. */
static int results_first(struct am_run_state *s, int rc)
{
    AM_TRY(am_later_but(s, 0));
    AM_TRY(am_ring_settle(s, s->given));
    return rc;
}

static int one_pass(struct am_run_state *s, struct am_run_item *const *item, size_t items,
                    const struct am_scope_info *scope, const void *local)
{
    const struct am_method *m = s->r->method;
    for (s->round = 0; s->round < ROUNDS_MAX; s->round++) {
        s->sofar = s->pass || s->round ? s->now->acc : NULL;
        AM_TRY(one_round(s, item, items));
        int rc = m->between(am_run_acc(s), scope, local, s->pass, s->round);
        if (rc < 0)
            return results_first(s, rc);
        if (rc != AM_AGAIN)
            return rc;
    }
    return -AM_E_INTERNAL;
}

void *am_run_acc(struct am_run_state *s)
{
    if (s->now->stale)
        memset(s->now->acc, 0, s->size.acc);
    s->now->stale = false;
    return s->now->acc;
}

/* The next turn. All windows of the scope that had it last are given here at the latest, and so settled before the
   first one of this scope, or before the round's end when it has none; only what windows themselves write to must be
   free before they are given. */
static int begin(struct am_run_state *s, struct am_run_item *const *item, size_t items)
{
    s->now = &s->turn[(size_t)(s->now - s->turn + 1) % s->turns];
    AM_TRY(am_later_but(s, s->turns - 1));
    s->now->stale = true;
    for (size_t i = 0; i < items; i++)
        item[i]->turn = s->now;
    if (s->size.rows || s->size.masks) {
        AM_TRY(am_later_half(s));
        AM_TRY(am_ring_settle(s, s->now->needed));
    }
    if (s->size.rows)
        memset(s->now->row, 0, s->size.rows);
    return 0;
}

int am_run_stats(struct am_run_state *s, struct am_run_item *const *item, size_t items)
{
    const struct am_method *m = s->r->method;
    struct am_scope_info scope = am_run_scope(s, s->model_scope ? NULL : item[0]);
    scope.elements = 0;
    for (size_t i = 0; i < items; i++)
        scope.elements += item[i]->selected && !item[i]->pass ? item[i]->donor->elements : 0;
    AM_TRY(begin(s, item, items));
    void *local = calloc(1, m->needs.local_bytes + 1);
    if (!local)
        return -AM_E_OUT_OF_MEMORY;
    if (m->prepare)
        m->prepare(&scope, local);
    int rc = 0;
    for (s->pass = 0; rc == 0 && s->pass < m->needs.passes; s->pass++)
        rc = one_pass(s, item, items, &scope, local);
    free(local);
    if (rc == -AM_E_BAD_INPUT && s->faults->total == 0 && m->refusal.reason)
        return am_run_refuse(s, scope.tensor.name);
    if (rc == -AM_E_NON_FINITE && s->faults->total == 0)
        return am_fault_add(s->faults, AM_E_NON_FINITE, (struct am_where){.tensor = scope.tensor.name},
                            "%s cannot go on: the base, or more of the models than it tolerates, hold NaN or infinity; "
                            "repair them, leave them out, or set nonfinite to \"refuse\" to be told where",
                            m->name);
    return rc;
}
