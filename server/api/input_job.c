/*
 * input_job.c - an input that names a job in place of a version: what it made, or that it is waited for. See submit.h.
 */
#include "core/base/text.h"
#include "server/api/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fault(struct am_submit *s, const struct am_body_input *in, int code, const char *what)
{
    am_fault_add(&s->faults, code, (struct am_where){.pointer = in->pointer, .reason = "job"}, "%s %s", in->job, what);
    return 0;
}

static int take(struct am_submit *s, const struct am_body_input *in, struct am_pinned *p, const struct am_made *m)
{
    if (m->state == AM_FAILED || m->state == AM_CANCELLED_)
        return fault(s, in, AM_E_DEPENDENCY,
                     m->state == AM_FAILED ? "has failed; retry it and name the new job"
                                           : "was cancelled; retry it and name the new job");
    bool ended = m->state == AM_SUCCEEDED;
    if (ended ? !m->commit[0] : !m->to_model[0])
        return fault(s, in, AM_E_INVALID_PARAMS, "publishes nothing, so there is no version to take");
    p->model = strdup(ended ? m->model : m->to_model);
    p->rev = ended ? strdup(m->commit) : NULL;
    snprintf(p->label, sizeof p->label, "%s", in->job);
    s->waits |= !ended;
    return p->model && (p->rev || !ended) ? !ended : -AM_E_OUT_OF_MEMORY;
}

int am_submit_input_job(struct am_submit *s, const struct am_body_input *in, struct am_pinned *p)
{
    struct am_made m = {0};
    const char *model = am_chain_model(s, in->job);
    if (model) {
        p->model = strdup(model);
        snprintf(p->label, sizeof p->label, "%s", model);
        s->waits = true;
        return p->model ? 1 : -AM_E_OUT_OF_MEMORY;
    }
    int rc = am_made_get(s->db, in->job, &m);
    if (rc == -AM_E_NOT_FOUND)
        return fault(s, in, AM_E_NOT_FOUND, "is no job here; GET /v1/jobs lists them");
    AM_TRY(rc);
    rc = take(s, in, p, &m);
    am_made_done(&m);
    return rc;
}
