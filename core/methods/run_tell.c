/*
 * run_tell.c - the fault of a window that failed, in words.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"

#include <string.h>

static int tell_value(const struct am_run_state *s, const struct am_slot *slot)
{
    const struct am_slot_fault *f = &slot->fault;
    const char *name = slot->item->donor->name;
    struct am_where where = {.reason = f->reason, .tensor = name};
    unsigned long long count = f->count, first = f->first;
    if (f->label)
        return am_fault_add(
            s->faults, AM_E_NON_FINITE, where,
            "%.300s of %.300s holds NaN or infinity%s, first at flat index %llu (%llu in its block); repair the "
            "model, or set nonfinite to \"propagate\"",
            name, f->label, f->f64 ? " (or an F64 beyond the range of F32)" : "", first, count);
    if (strcmp(f->reason, "f32-overflow") == 0)
        return am_fault_add(
            s->faults, AM_E_NON_FINITE, where,
            "%.300s: the result at flat index %llu is beyond the range of F32 (%llu in its block); use smaller "
            "factors, or set overflow to \"inf\"",
            name, first, count);
    return am_fault_add(
        s->faults, AM_E_NON_FINITE, where,
        "%.300s: the result at flat index %llu is too large for %s (%llu in its block); use smaller factors or "
        "another out_dtype, or set overflow to \"clamp\" or \"inf\"",
        name, first, am_dtype_name(slot->item->out_dtype), count);
}

int am_run_refuse(const struct am_run_state *s, const char *tensor)
{
    const struct am_method *m = s->r->method;
    struct am_where where = {.reason = m->refusal.reason, .tensor = tensor};
    return am_fault_add(s->faults, AM_E_BAD_INPUT, where, "%s cannot merge %.300s: %s", m->name,
                        tensor ? tensor : "these models", m->refusal.text);
}

int am_slot_tell(const struct am_run_state *s, const struct am_slot *slot)
{
    const struct am_slot_fault *f = &slot->fault;
    const char *name = slot->item->donor->name;
    struct am_where where = {.tensor = name};
    if (f->rc == -AM_E_NON_FINITE && f->reason)
        return tell_value(s, slot);
    if (f->rc == -AM_E_BAD_INPUT && !f->label && s->r->method->refusal.reason)
        return am_run_refuse(s, name);
    if (f->label)
        return am_fault_add(s->faults, -f->rc, where, "%.300s of %.300s cannot be read: %s", name, f->label,
                            f->rc == -AM_E_STORE_DAMAGED ? "its file is shorter than its version says"
                                                         : strerror(f->errno_value));
    if (f->rc == -AM_E_CANNOT_WRITE || f->rc == -AM_E_DISK)
        return am_fault_add(s->faults, -f->rc, where, "the result cannot be written (%s)%s", strerror(f->errno_value),
                            f->rc == -AM_E_DISK ? "; make room and retry the job" : "");
    return am_fault_add(s->faults, -f->rc, where, "%s failed on %.300s", s->r->method->name, name);
}
