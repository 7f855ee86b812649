/*
 * plan_memory.c - the peak of a job's resident memory, from what the walk over the tables counted (am_plan_need).
 */
#include "core/table/plan_parts.h"

#include <math.h>

/* Resident bytes of the worker, measured from outside and fitted; tests/service/test_plans.py holds peak <= plan
 * <= 1.25 x peak. Itself with its libraries; a tensor of an input, beside its name; of the donor, and of what is
 * written, to the end and while it is laid out; a span of an input, as the spec tells it; a changed tensor of an
 * assembled file. */
#define BASE_BYTES ((uint64_t)63 << 17)
#define ENTRY_BYTES 128
#define ITEM_BYTES 64
#define OUT_BYTES 64
#define WANT_BYTES 40
#define HEADER_BYTES 123
#define SPAN_BYTES 640
#define CHANGE_BYTES 88
#define PAGE 4096 /* what a sample touches of a tile that nothing is widened into */
#define HASH_BYTES ((uint64_t)1 << 20)

#define BLAS_BYTES ((uint64_t)3 << 20) /* OpenBLAS with its LAPACK, as loaded */

/* What stays to the end: every input's table, and the layout of the result. */
static uint64_t tables(const struct am_plan_need *need)
{
    uint64_t inputs = am_plan_plus(am_plan_times(need->entries, ENTRY_BYTES), need->text);
    uint64_t output =
        am_plan_plus(am_plan_times(need->tensors, ITEM_BYTES), am_plan_times(need->out_entries, OUT_BYTES));
    output = am_plan_plus(output, am_plan_times(need->tensors, need->varied));
    inputs = am_plan_plus(inputs, need->vocab);
    return am_plan_plus(am_plan_plus(am_plan_plus(inputs, need->held), output), am_plan_times(need->spans, SPAN_BYTES));
}

/* While the result is laid out: its tensors in order, and the header as text. */
static uint64_t header(const struct am_plan_need *need)
{
    uint64_t order = am_plan_plus(am_plan_times(need->tensors, WANT_BYTES), need->out_text);
    return am_plan_plus(order, am_plan_times(need->out_entries, HEADER_BYTES));
}

/* A list behind the accumulator of a scope: am_list_scope() of core/methods/method.h. */
static uint64_t list(uint64_t elements)
{
    double entries = 36 * sqrt((double)elements) + 1024;
    uint64_t n = entries < 196608 ? (uint64_t)entries / 8 * 8 : 196608;
    return am_plan_plus(8 * n, am_plan_times(4, elements / AM_PLAN_TILE / 16 * 16 + 64));
}

/* With so many f32 tiles. */
static uint64_t slot_of(const struct am_plan_need *need, uint64_t tiles)
{
    uint64_t work = am_plan_plus(need->in, am_plan_times(need->tile, tiles));
    return am_plan_plus(am_plan_plus(need->out, am_plan_larger(work, need->other)), need->fixed);
}

/* While windows are at work: the slots (core/methods/run_slots.c has as many), and what they share. */
static uint64_t slots(const struct am_plan_need *need, unsigned threads)
{
    uint64_t used = slot_of(need, need->tiles - need->idle), slot = slot_of(need, need->tiles);
    uint64_t fit = slot ? am_plan_larger(AM_PLAN_SLOTS / slot, 1) : 1;
    used = am_plan_plus(used, am_plan_times(need->idle, am_plan_smaller(need->tile, PAGE)));
    uint64_t busy = am_plan_smaller(am_plan_smaller((threads ? threads : 1) + AM_PLAN_AHEAD, fit),
                                    am_plan_plus(need->windows, need->copies));
    uint64_t shared =
        am_plan_plus(am_plan_times(need->accs, need->acc), am_plan_times(need->lists, list(need->elements)));
    uint64_t whole = am_plan_plus(need->whole, need->whole_read);
    return am_plan_plus(am_plan_plus(am_plan_times(am_plan_larger(busy, 1), used), shared), whole);
}

/* While files are assembled: the spans of the result, and the donor's header or the buffer that hashes. */
static uint64_t spans(const struct am_plan_need *need)
{
    if (!need->hashes)
        return 0;
    return am_plan_plus(am_plan_times(need->out_entries, CHANGE_BYTES), am_plan_larger(need->header, HASH_BYTES));
}

/* The phases come one after the other, and each gives back what it took. */
uint64_t am_plan_memory(const struct am_plan_need *need, unsigned threads)
{
    uint64_t work = am_plan_larger(am_plan_larger(header(need), slots(need, threads)), spans(need));
    uint64_t own = need->blas ? BASE_BYTES + BLAS_BYTES : BASE_BYTES;
    return am_plan_plus(own, am_plan_plus(tables(need), work));
}
