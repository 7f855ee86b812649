/*
 * run_slots.c - batches of windows: filled in order, run in parallel, merged or hashed in order again. So the answer is
 * the same for any number of threads, and of several failures the one in the lowest window is told.
 */
#include "core/base/err.h"
#include "core/base/pool.h"
#include "core/methods/run_parts.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 16384 /* elements, or bytes of copies */

static size_t least(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

static void grow(size_t *at, size_t value)
{
    *at = value > *at ? value : *at;
}

static size_t stored(const struct am_model *m, const char *name, size_t window)
{
    const struct am_tensor *t = m ? am_model_find(m, name) : NULL;
    return t ? window * (am_dtype_bits(t->dtype) / 8) : 0;
}

static void measure_copy(struct am_run_state *s, const struct am_run_item *item, uint64_t *copies)
{
    bool compared = am_run_compares(s, item);
    size_t window = least(item->donor->bytes, AM_COPY_BYTES);
    if (!item->stored && !compared)
        return;
    *copies += item->windows;
    grow(&s->raw, window);
    grow(&s->other, compared ? window : 0);
}

/* The largest windows that there are: a model of small tensors needs little. */
static void measure(struct am_run_state *s)
{
    const struct am_run *r = s->r;
    uint64_t windows = 0, copies = 0, most = 0;
    for (size_t i = 0; i < s->items; i++) {
        const struct am_run_item *item = &s->item[i];
        if (!item->selected) {
            measure_copy(s, item, &copies);
            continue;
        }
        size_t window = least(item->donor->elements, AM_WINDOW);
        grow(&s->stride, window);
        grow(&s->raw, window * (am_dtype_bits(item->out_dtype) / 8));
        grow(&s->raw, stored(r->base.model, item->donor->name, window));
        for (size_t k = 0; k < r->inputs; k++)
            grow(&s->raw, stored(r->x[k].model, item->donor->name, window));
        windows += item->windows;
        most = item->windows > most ? item->windows : most;
    }
    bool by_tensor = r->method->needs.passes && !s->model_scope;
    s->blocks = r->inputs + (r->base.model ? 1 : 0) + 1;
    s->stride = (s->stride + 15) / 16 * 16;
    s->slots = least(r->threads, by_tensor ? (most > copies ? most : copies) : windows + copies);
    s->slots = s->slots ? s->slots : 1;
}

int am_slots_open(struct am_run_state *s)
{
    measure(s);
    s->slot = calloc(s->slots, sizeof(*s->slot));
    if (!s->slot)
        return -AM_E_OUT_OF_MEMORY;
    size_t acc = s->r->method->needs.acc_bytes, values = s->blocks * s->stride * sizeof(float);
    for (size_t i = 0; i < s->slots; i++) {
        struct am_slot *slot = &s->slot[i];
        slot->raw = malloc(s->raw + 1);
        slot->values = malloc((values > s->other ? values : s->other) + 1);
        slot->x = calloc(s->r->inputs, sizeof(*slot->x));
        slot->acc = acc ? malloc(acc) : NULL;
        if (!slot->raw || !slot->values || !slot->x || (acc && !slot->acc))
            return -AM_E_OUT_OF_MEMORY;
    }
    s->acc = acc ? calloc(1, acc) : NULL;
    return acc && !s->acc ? -AM_E_OUT_OF_MEMORY : 0;
}

void am_slots_done(struct am_run_state *s)
{
    for (size_t i = 0; s->slot && i < s->slots; i++) {
        free(s->slot[i].raw);
        free(s->slot[i].values);
        free(s->slot[i].x);
        free(s->slot[i].acc);
    }
    free(s->slot);
    free(s->acc);
    s->slot = NULL;
    s->acc = NULL;
}

int am_slots_add(struct am_run_state *s, enum am_slot_work work, const struct am_run_item *item,
                 const struct am_out_tensor *target, uint64_t number)
{
    struct am_slot *slot = &s->slot[s->filled++];
    bool copies = work == AM_SLOT_COPY || work == AM_SLOT_COMPARE;
    uint64_t all = copies ? item->donor->bytes : item->donor->elements;
    uint64_t span = copies ? AM_COPY_BYTES : AM_WINDOW;
    slot->work = work;
    slot->item = item;
    slot->target = target;
    slot->first = number * span;
    slot->n = (size_t)(all - slot->first < span ? all - slot->first : span);
    slot->index = s->model_scope ? item->first_window + number : number;
    return s->filled == s->slots ? am_slots_flush(s) : 0;
}

static int task(void *arg, size_t i)
{
    struct am_run_state *s = arg;
    return am_slot_run(s, &s->slot[i]);
}

static void warn_differs(struct am_run_state *s, const struct am_slot *slot)
{
    struct am_run_item *item = s->item + (slot->item - s->item); /* the slot's own, to be written to */
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

static int settle_written(struct am_run_state *s, const struct am_slot *slot)
{
    if (slot->target)
        AM_TRY(am_output_hash(&s->out, slot->target, slot->raw, slot->bytes));
    warn_differs(s, slot);
    s->bytes_done += slot->bytes;
    uint64_t end = slot->first + slot->n;
    s->tensors_done += end == (slot->work == AM_SLOT_APPLY ? slot->item->donor->elements : slot->item->donor->bytes);
    return 0;
}

static int settle(struct am_run_state *s, const struct am_slot *slot)
{
    s->nonfinite += slot->nonfinite;
    s->clamped += slot->clamped;
    if (slot->work != AM_SLOT_STAT)
        return settle_written(s, slot);
    if (s->round == 0) /* later rounds look at the same bytes again; how many rounds there are is not known before */
        s->bytes_done += slot->n * (am_dtype_bits(slot->item->donor->dtype) / 8);
    return s->r->method->merge(s->acc, slot->acc, s->pass);
}

/* Waking the pool costs more than the work of a few small tensors. */
static int run_batch(struct am_run_state *s, size_t n)
{
    size_t amount = 0;
    int first = 0;
    for (size_t i = 0; i < n; i++)
        amount += s->slot[i].n;
    if (amount >= SMALL)
        return am_pool_run(n, task, s);
    for (size_t i = 0; i < n && first == 0; i++)
        first = task(s, i);
    return first;
}

int am_slots_flush(struct am_run_state *s)
{
    size_t n = s->filled;
    s->filled = 0;
    if (n == 0)
        return 0;
    int rc = run_batch(s, n);
    for (size_t i = 0; rc < 0 && i < n; i++)
        if (s->slot[i].fault.rc < 0)
            return am_slot_tell(s, &s->slot[i]);
    AM_TRY(rc);
    for (size_t i = 0; i < n; i++)
        AM_TRY(settle(s, &s->slot[i]));
    const struct am_run *r = s->r;
    return r->progress ? r->progress(r->ctx, s->bytes_done, s->bytes_total, s->tensors_done, s->items) : 0;
}

static int tell_value(const struct am_run_state *s, const struct am_slot *slot)
{
    const struct am_slot_fault *f = &slot->fault;
    const char *name = slot->item->donor->name;
    struct am_where where = {.reason = f->reason, .tensor = name};
    unsigned long long count = f->count, first = f->first;
    if (f->label)
        return am_fault_add(
            s->faults, AM_E_NON_FINITE, where,
            "%.300s of %.300s holds NaN or infinity%s, first at flat index %llu (%llu in its window); repair the "
            "model, or set nonfinite to \"propagate\"",
            name, f->label, f->f64 ? " (or an F64 beyond the range of F32)" : "", first, count);
    if (strcmp(f->reason, "f32-overflow") == 0)
        return am_fault_add(
            s->faults, AM_E_NON_FINITE, where,
            "%.300s: the result at flat index %llu is beyond the range of F32 (%llu in its window); use smaller "
            "factors, or set overflow to \"inf\"",
            name, first, count);
    return am_fault_add(
        s->faults, AM_E_NON_FINITE, where,
        "%.300s: the result at flat index %llu is too large for %s (%llu in its window); use smaller factors or "
        "another out_dtype, or set overflow to \"clamp\" or \"inf\"",
        name, first, am_dtype_name(slot->item->out_dtype), count);
}

int am_slot_tell(const struct am_run_state *s, const struct am_slot *slot)
{
    const struct am_slot_fault *f = &slot->fault;
    const char *name = slot->item->donor->name;
    struct am_where where = {.tensor = name};
    if (f->rc == -AM_E_NON_FINITE && f->reason)
        return tell_value(s, slot);
    if (f->label)
        return am_fault_add(s->faults, -f->rc, where, "%.300s of %.300s cannot be read: %s", name, f->label,
                            f->rc == -AM_E_STORE_DAMAGED ? "its file is shorter than its version says"
                                                         : strerror(f->errno_value));
    if (f->rc == -AM_E_CANNOT_WRITE || f->rc == -AM_E_DISK)
        return am_fault_add(s->faults, -f->rc, where, "the result cannot be written (%s)%s", strerror(f->errno_value),
                            f->rc == -AM_E_DISK ? "; make room and retry the job" : "");
    return am_fault_add(s->faults, -f->rc, where, "%s failed on %.300s", s->r->method->name, name);
}
