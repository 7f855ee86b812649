/*
 * run_window.c - one window: read every input, look for values that are no numbers, compute, convert, write. Runs on
 * pool threads and touches its own slot only.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"
#include "core/tensor/kernels.h"

#include <errno.h>
#include <string.h>

static int fail(struct am_slot *slot, int rc, const char *label)
{
    slot->fault.rc = rc;
    slot->fault.errno_value = errno;
    slot->fault.label = label;
    return rc;
}

static int fail_value(struct am_slot *slot, const char *reason, const char *label, size_t at, size_t count)
{
    slot->fault = (struct am_slot_fault){
        .rc = -AM_E_NON_FINITE, .reason = reason, .label = label, .first = slot->first + at, .count = count};
    return -AM_E_NON_FINITE;
}

static int load(const struct am_run_state *s, struct am_slot *slot, const struct am_run_input *in, float *to)
{
    const struct am_tensor *t = am_model_find(in->model, slot->item->donor->name);
    size_t size = am_dtype_bits(t->dtype) / 8, count = 0;
    int rc = am_model_read(in->model, t, slot->raw, slot->n * size, slot->first * size);
    if (rc < 0)
        return fail(slot, rc, in->label);
    am_load_f32(t->dtype, slot->raw, to, slot->n);
    bool first_look = s->r->method->needs.passes == 0 || (slot->work == AM_SLOT_STAT && s->pass == 0 && s->round == 0);
    if (!first_look)
        return 0;
    size_t at = am_nonfinite_f32(to, slot->n, &count);
    if (count && !s->r->propagate_nonfinite) {
        fail_value(slot, "input-not-finite", in->label, at, count);
        slot->fault.f64 = t->dtype == AM_F64;
        return slot->fault.rc;
    }
    slot->nonfinite += count;
    return 0;
}

static int load_all(const struct am_run_state *s, struct am_slot *slot, struct am_window *w)
{
    const struct am_run *r = s->r;
    float *next = slot->values;
    if (r->base.model) {
        AM_TRY(load(s, slot, &r->base, next));
        w->base = next;
        next += s->stride;
    }
    for (size_t i = 0; i < r->inputs; i++, next += s->stride) {
        AM_TRY(load(s, slot, &r->x[i], next));
        slot->x[i] = next;
    }
    w->out = slot->work == AM_SLOT_APPLY ? next : NULL;
    return 0;
}

/* Where the inputs were finite, what is not finite now has left the range of F32; clamping is for the dtype of the
 * result. */
static int check_result(const struct am_run *r, struct am_slot *slot, const float *out)
{
    size_t count = 0;
    if (r->propagate_nonfinite)
        return 0;
    size_t at = am_nonfinite_f32(out, slot->n, &count);
    if (count && r->overflow != AM_OVERFLOW_INF)
        return fail_value(slot, "f32-overflow", NULL, at, count);
    slot->clamped += count;
    return 0;
}

static int store(const struct am_run_state *s, struct am_slot *slot, const float *out)
{
    const struct am_run *r = s->r;
    uint8_t dtype = slot->item->out_dtype;
    size_t size = am_dtype_bits(dtype) / 8, at = 0;
    AM_TRY(check_result(r, slot, out));
    size_t over = am_store_f32(dtype, out, slot->raw, slot->n, r->overflow, &at);
    if (over && r->overflow == AM_OVERFLOW_REFUSE)
        return fail_value(slot, dtype == AM_F16 ? "f16-overflow" : "overflow", NULL, at, over);
    slot->clamped += over;
    slot->bytes = slot->n * size;
    int rc = am_output_write(&s->out, slot->target, slot->raw, slot->bytes, slot->first * size);
    return rc < 0 ? fail(slot, rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc, NULL) : 0;
}

static int compute(const struct am_run_state *s, struct am_slot *slot)
{
    const struct am_method *m = s->r->method;
    struct am_window w = {
        .n = slot->n,
        .first = slot->first,
        .index = slot->index,
        .x = slot->x,
        .inputs = s->r->inputs,
        .args = s->r->args,
    };
    AM_TRY(load_all(s, slot, &w));
    if (slot->work == AM_SLOT_STAT) {
        memset(slot->acc, 0, m->needs.acc_bytes);
        int rc = m->stat(&w, s->sofar, slot->acc, s->pass);
        return rc < 0 ? fail(slot, rc, NULL) : 0;
    }
    int rc = m->apply(&w, s->acc);
    if (rc < 0)
        return fail(slot, rc, NULL);
    return store(s, slot, w.out);
}

static int compare(const struct am_run_state *s, struct am_slot *slot, const struct am_run_input *in)
{
    const struct am_tensor *t = slot->item->donor;
    if (!in->model || in->model == s->r->donor || am_dtype_computed(t->dtype))
        return 0;
    int rc = am_model_read(in->model, am_model_find(in->model, t->name), slot->values, slot->n, slot->first);
    if (rc < 0)
        return fail(slot, rc, in->label);
    slot->differs |= memcmp(slot->values, slot->raw, slot->n) != 0;
    return 0;
}

static int copy(const struct am_run_state *s, struct am_slot *slot)
{
    int rc = am_model_read(s->r->donor, slot->item->donor, slot->raw, slot->n, slot->first);
    if (rc < 0)
        return fail(slot, rc, "the donor");
    AM_TRY(compare(s, slot, &s->r->base));
    for (size_t i = 0; i < s->r->inputs; i++)
        AM_TRY(compare(s, slot, &s->r->x[i]));
    slot->bytes = slot->n;
    if (slot->work == AM_SLOT_COMPARE)
        return 0;
    rc = am_output_write(&s->out, slot->target, slot->raw, slot->n, slot->first);
    return rc < 0 ? fail(slot, rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc, NULL) : 0;
}

int am_slot_run(const struct am_run_state *s, struct am_slot *slot)
{
    slot->fault = (struct am_slot_fault){0};
    slot->nonfinite = slot->clamped = 0;
    slot->differs = false;
    slot->bytes = 0;
    bool copies = slot->work == AM_SLOT_COPY || slot->work == AM_SLOT_COMPARE;
    return copies ? copy(s, slot) : compute(s, slot);
}
