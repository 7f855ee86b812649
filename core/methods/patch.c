/*
 * patch.c - see patch.h.
 */
#include "core/methods/patch.h"

#include "core/base/err.h"
#include "core/methods/patch_parts.h"
#include "core/methods/run_check.h"

#include <math.h>
#include <stdlib.h>

static void warn(const struct am_patch_state *s, const char *code, const char *detail)
{
    if (s->r->warning)
        s->r->warning(s->r->ctx, code, detail);
}

static void warn_all(const struct am_patch_state *s)
{
    if (s->read_f64)
        warn(s, "f64-computed-in-f32", "F64 tensors were rounded to F32 for the computation");
    if (s->dropped)
        warn(
            s, "change-dropped",
            "tensors beside the factors differ (norms, biases, embeddings) and are not in the adapter, as others asks: "
            "with it the base is not all that the fine-tune is");
}

static void report_total(const struct am_patch_state *s)
{
    struct am_report *r = s->r->report;
    const struct am_patch *p = &s->patch;
    size_t tensors = 0;
    for (size_t i = 0; i < s->items; i++)
        tensors += s->item[i].saved;
    if (!r)
        return;
    am_report_tensor(r, NULL);
    am_report_put(r, "modules", (double)p->targets);
    am_report_put(r, "max_rank", (double)p->rank);
    am_report_put(r, "parameters", (double)s->parameters);
    am_report_put(r, "saved", (double)tensors);
    am_report_put(r, "dropped", (double)s->dropped);
    am_report_put(r, "norm_delta", sqrt(s->squares));
    am_report_put(r, "residual", s->squares > 0 ? sqrt(s->rest / s->squares) : 0);
}

static int work(struct am_patch_state *s)
{
    AM_TRY(am_run_vary(&s->run));
    AM_TRY(am_patch_choose(s));
    s->value = malloc(AM_CHUNK * sizeof(*s->value));
    s->raw = malloc(AM_CHUNK * sizeof(double));
    if (!s->value || !s->raw)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_patch_compare(s)); /* what cannot be is told before the long part */
    AM_TRY(am_patch_factors(s));
    AM_TRY(am_patch_write(s));
    warn_all(s);
    report_total(s);
    return 0;
}

int am_run_patch(const struct am_run *r, struct am_output *ret_out, struct am_patch *ret_patch,
                 struct am_faults *faults)
{
    AM_TRY(am_run_check(r, faults));
    struct am_patch_state s = {.r = r,
                               .run = {.r = r, .faults = faults, .depth = am_depth_of(r->donor)},
                               .faults = faults,
                               .items = r->donor->tensors,
                               .dtype = r->out_dtype < 0 ? AM_F32 : (uint8_t)r->out_dtype,
                               .spool = -1};
    s.item = calloc(s.items + 1, sizeof(*s.item));
    int rc = s.item ? work(&s) : -AM_E_OUT_OF_MEMORY;
    am_patch_factors_done(&s);
    if (rc < 0) {
        if (rc != -AM_E_CANCELLED && faults->total == 0)
            am_fault_add(faults, -rc, (struct am_where){0}, "%s", am_err_title(rc));
        am_output_done(&s.out);
        am_patch_done(&s.patch);
    } else {
        *ret_out = s.out;
        *ret_patch = s.patch;
    }
    free(s.item);
    free(s.value);
    free(s.raw);
    free(s.run.args);
    free(s.run.rows);
    return rc;
}

void am_patch_done(struct am_patch *p)
{
    for (size_t i = 0; i < p->names; i++)
        free(p->name[i]);
    free(p->name);
    free(p->shape);
    free(p->target);
    free(p->saved);
    *p = (struct am_patch){0};
}
