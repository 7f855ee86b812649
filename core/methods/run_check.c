/*
 * run_check.c - do the inputs of a run line up? The plan has asked before, but a worker believes the bytes that it has
 * in hand.
 */
#include "core/methods/run_check.h"
#include "core/base/err.h"
#include "core/methods/run_parts.h"
#include "core/table/families.h"

#include <string.h>

static int check_needs(const struct am_run *r, struct am_faults *faults)
{
    const struct am_needs *n = &r->method->needs;
    struct am_where none = {0};
    if ((n->base == AM_YES || n->task == AM_YES) && !r->base.model)
        return am_fault_add(faults, AM_E_MISSING_INPUT, none, "%s needs a base", r->method->name);
    size_t most = n->max_inputs ? n->max_inputs : AM_MAX_INPUTS, least = n->min_inputs;
    for (size_t i = 0; i < r->inputs; i++)
        if (r->x[i].modules) /* as many for each module: the plan has counted them */
            most = AM_MAX_INPUTS;
    bool pairs = n->task == AM_YES && r->method->type == AM_MERGE; /* each model with its base */
    least = pairs ? 2 * least : least + (n->task == AM_YES);
    most = pairs ? 2 * most : most + (n->task == AM_YES);
    if (r->inputs < least || r->inputs > most || (pairs && r->inputs % 2))
        return am_fault_add(faults, AM_E_MISSING_INPUT, none, "%s takes %zu to %zu models, not %zu", r->method->name,
                            least, most, r->inputs);
    if (r->out_dtype >= 0 && !am_dtype_computed((enum am_dtype)r->out_dtype))
        return am_fault_add(faults, AM_E_DTYPE_UNSUPPORTED, none, "out_dtype must be F16, BF16, F32 or F64");
    if (r->threads < 1)
        return am_fault_add(faults, AM_E_BAD_SPEC, none, "threads must be at least 1");
    return 0;
}

/* must: the input must have it. */
static void check_tensor(const struct am_tensor *t, const struct am_run_input *in, bool must, struct am_faults *faults)
{
    const struct am_tensor *o = am_model_find(in->model, t->name);
    struct am_where where = {.tensor = t->name};
    if (!o && !must)
        return;
    if (!o) {
        where.reason = "tensor-missing";
        am_fault_add(faults, AM_E_SHAPE_MISMATCH, where, "%.300s is not in %.300s", t->name, in->label);
        return;
    }
    if (o->rank != t->rank || memcmp(o->shape, t->shape, t->rank * sizeof(*t->shape)) != 0) {
        where.reason = "shape";
        am_fault_add(faults, AM_E_SHAPE_MISMATCH, where, "%.300s has another shape in %.300s", t->name, in->label);
        return;
    }
    bool computed = am_dtype_computed(t->dtype);
    if (computed != am_dtype_computed(o->dtype) || (!computed && o->dtype != t->dtype)) {
        where.reason = "dtype";
        am_fault_add(faults, AM_E_DTYPE_UNSUPPORTED, where, "%.300s is %s in %.300s and %s in the donor", t->name,
                     am_dtype_name(o->dtype), in->label, am_dtype_name(t->dtype));
    }
}

static void check_extra(const struct am_model *donor, const struct am_run_input *in, struct am_faults *faults)
{
    for (size_t i = 0; i < in->model->tensors; i++) {
        const char *name = in->model->tensor[i].name;
        if (am_run_takes(in, name) && !am_family_is_buffer(name) && !am_model_find(donor, name))
            am_fault_add(faults, AM_E_SHAPE_MISMATCH, (struct am_where){.reason = "tensor-extra", .tensor = name},
                         "%.300s is in %.300s and not in the donor", name, in->label);
    }
}

static void check_input(const struct am_run *r, const struct am_run_input *in, struct am_faults *faults)
{
    if (!in->model || in->model == r->donor)
        return;
    for (size_t i = 0; i < r->donor->tensors; i++) {
        const struct am_tensor *t = &r->donor->tensor[i];
        bool buffer = r->method->type == AM_MERGE && am_family_is_buffer(t->name);
        bool must = !r->missing && !buffer && (!r->real || am_model_find(r->real, t->name));
        if (am_run_takes(in, t->name))
            check_tensor(t, in, must, faults);
    }
    if (!r->drop)
        check_extra(r->donor, in, faults);
}

int am_run_check(const struct am_run *r, struct am_faults *faults)
{
    size_t before = faults->total;
    AM_TRY(check_needs(r, faults));
    for (size_t i = 0; i < r->donor->tensors; i++) {
        const struct am_tensor *t = &r->donor->tensor[i];
        if (am_dtype_quantised(t->dtype))
            am_fault_add(faults, AM_E_DTYPE_UNSUPPORTED, (struct am_where){.reason = "quantised", .tensor = t->name},
                         "%.300s is %s, which amend does not compute with; start from the unquantised model", t->name,
                         am_dtype_name(t->dtype));
    }
    check_input(r, &r->base, faults);
    for (size_t i = 0; i < r->inputs; i++)
        check_input(r, &r->x[i], faults);
    return faults->total > before ? am_faults_worst(faults) : 0;
}
