/*
 * run_ring.c - the windows in flight: given in order, settled in order by the calling thread, and hashed in order,
 * which does not wait for that. Of several windows that fail the lowest is told.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"

#include <errno.h>
#include <string.h>

#define SMALL 16384                /* elements, or bytes of copies: waking a thread costs more */
#define AT_ONCE 3                  /* a third of the slots is filled again at once, so that the caller wakes seldom */
#define BEHIND ((uint64_t)8 << 20) /* bytes that are sent on their way to the disk together */

static void warn_differs(struct am_run_state *s, const struct am_slot *slot)
{
    struct am_run_item *item = slot->item;
    if (!slot->differs || item->differs)
        return;
    item->differs = true;
    struct am_buf text;
    am_buf_init(&text, 4096);
    if (s->r->warning &&
        am_buf_printf(&text, "%s (%s) is not computed with and differs between the inputs; the donor's is kept",
                      item->donor->name, am_dtype_name(item->donor->dtype)) == 0)
        s->r->warning(s->r->ctx, "integer-differs", text.data);
    am_buf_done(&text);
}

/* Numbers of the inputs, from 0, that the lists of this tensor are of. */
static void tell_inputs(const struct am_run_state *s, const struct am_run_some *some)
{
    double list[2 * AM_MAX_INPUTS + 2];
    size_t n = 0;
    for (size_t i = 0; i < s->r->inputs; i++)
        if (some->keep[i])
            list[n++] = (double)i;
    am_report_put_list(s->r->report, "merged_from", list, n);
}

static void add_tally(struct am_run_state *s, const struct am_slot *slot, bool last)
{
    struct am_scope_info scope = am_run_scope(s, slot->item);
    const struct am_run_some *some = am_run_some_of(s, slot->item->donor);
    size_t n = am_amount(s->r->method->needs.tally, scope.inputs);
    for (size_t i = 0; i < n; i++)
        s->tally[i] += slot->tally[i];
    if (!last)
        return;
    if (s->r->report && s->r->method->report) {
        am_report_tensor(s->r->report, slot->item->donor->name);
        if (some)
            tell_inputs(s, some);
        s->r->method->report(&scope, s->model_scope ? NULL : slot->item->turn->acc, s->tally, s->r->report);
    }
    for (size_t i = 0; !some && i < n; i++) /* those of fewer inputs have other places */
        s->total[i] += s->tally[i];
    if (n)
        memset(s->tally, 0, n * sizeof(*s->tally));
}

static int settle_written(struct am_run_state *s, const struct am_slot *slot)
{
    warn_differs(s, slot);
    s->bytes_done += slot->bytes;
    bool computed = slot->work == AM_SLOT_APPLY;
    bool last = slot->first + slot->n == (computed ? slot->item->donor->elements : slot->item->donor->bytes);
    if (computed && !slot->item->pass)
        add_tally(s, slot, last);
    s->tensors_done += last;
    return 0;
}

static int settle(struct am_run_state *s, const struct am_slot *slot)
{
    if (slot->fault.rc < 0)
        return am_slot_tell(s, slot);
    s->nonfinite += slot->nonfinite;
    s->clamped += slot->clamped;
    if (slot->work != AM_SLOT_STAT)
        return settle_written(s, slot);
    if (s->round == 0) /* later rounds look at the same bytes again; how many rounds there are is not known before */
        s->bytes_done += slot->n * (am_dtype_bits(slot->item->donor->dtype) / 8);
    return s->r->method->merge(am_run_acc(s), slot->acc, s->pass);
}

void am_slot_hash(struct am_run_state *s, struct am_slot *slot)
{
    slot->hashed = 0;
    if (!slot->target || slot->fault.rc < 0)
        return;
    slot->hashed = am_output_hash(&s->out, slot->target, slot->out, slot->bytes);
    s->behind += slot->bytes;
    if (s->behind < BEHIND)
        return;
    am_output_behind(&s->out, slot->target, s->behind);
    s->behind = 0;
}

static size_t slot_of(const struct am_run_state *s, uint64_t window)
{
    return (size_t)(window % s->slots);
}

int am_ring_settle(struct am_run_state *s, uint64_t windows)
{
    const struct am_run *r = s->r;
    if (s->settled < windows) /* first for the last one, so as to wake once; others may take longer */
        am_crew_wait(s->crew, slot_of(s, windows - 1), AM_CREW_WORKED);
    while (s->settled < windows) {
        size_t i = slot_of(s, s->settled);
        am_crew_wait(s->crew, i, AM_CREW_WORKED);
        AM_TRY(settle(s, &s->slot[i]));
        s->settled++;
        if (r->progress)
            AM_TRY(r->progress(r->ctx, s->bytes_done, s->bytes_total, s->tensors_done, s->items));
    }
    return 0;
}

/* Until so many windows are settled and hashed: their slots may be used again. */
static int free_slots(struct am_run_state *s, uint64_t windows)
{
    if (s->freed == windows)
        return 0;
    am_crew_wait(s->crew, slot_of(s, windows - 1), AM_CREW_FOLLOWED);
    AM_TRY(am_ring_settle(s, windows));
    for (; s->freed < windows; s->freed++) {
        struct am_slot *slot = &s->slot[slot_of(s, s->freed)];
        if (slot->hashed < 0) {
            slot->fault.rc = slot->hashed;
            return am_slot_tell(s, slot);
        }
    }
    return 0;
}

int am_ring_written(struct am_run_state *s)
{
    return free_slots(s, s->given);
}

void am_ring_drop(struct am_run_state *s)
{
    if (s->crew && s->given > 0)
        am_crew_wait(s->crew, slot_of(s, s->given - 1), AM_CREW_FOLLOWED);
}

int am_ring_give(struct am_run_state *s, enum am_slot_work work, struct am_run_item *item,
                 const struct am_out_tensor *target, uint64_t number)
{
    if (s->given - s->freed == s->slots)
        AM_TRY(free_slots(s, s->freed + (s->slots < AT_ONCE ? 1 : s->slots / AT_ONCE)));
    size_t i = slot_of(s, s->given);
    struct am_slot *slot = &s->slot[i];
    bool copies = work == AM_SLOT_COPY || work == AM_SLOT_COMPARE;
    uint64_t all = copies ? item->donor->bytes : item->donor->elements;
    uint64_t span = copies ? AM_COPY_BYTES : item->window;
    slot->work = work;
    slot->item = item;
    slot->target = target;
    slot->first = number * span;
    slot->n = (size_t)(all - slot->first < span ? all - slot->first : span);
    slot->index = s->model_scope ? item->first_window + number : number;
    if (slot->n <= SMALL)
        am_crew_do(s->crew, i);
    else
        am_crew_give(s->crew, i);
    s->given++;
    return 0;
}
