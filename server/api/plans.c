/*
 * plans.c - POST /v1/plans and POST /v1/jobs?dry_run=true: what a job would need and every reason to refuse it, found
 * by the same checks as a submit (submit.h). Stores nothing.
 */
#include "core/base/text.h"
#include "core/table/fault_json.h"
#include "server/api/api.h"
#include "server/api/submit.h"
#include "server/reply.h"

#include <microhttpd.h>

bool am_plan_is_asked(struct am_req *r, bool *ret, int *ret_queued)
{
    const char *dry = am_req_query(r, "dry_run");
    *ret = am_streq(dry, "true");
    if (!dry || *ret || am_streq(dry, "false"))
        return true;
    *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, "?dry_run", "dry_run must be true or false");
    return false;
}

static json_t *plan_json(const struct am_submit *s)
{
    bool ok = s->faults.n == 0;
    json_t *o =
        json_pack("{s:s, s:b, s:o, s:o, s:n, s:o, s:[]}", "object", "plan", "ok", ok, "spec_sha256",
                  ok ? json_string(s->spec_sha256) : json_null(), "resolved", ok ? am_submit_resolved(s) : json_null(),
                  "cached", "refusals", am_faults_to_json(&s->faults), "warnings");
    json_t *numbers = am_submit_plan(s);
    int rc = o && numbers ? json_object_update(o, numbers) : -1;
    json_decref(numbers);
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

int am_api_plan(struct am_req *r)
{
    int queued = MHD_NO;
    struct am_submit s = {.r = r, .db = am_reader(r, &queued)};
    if (!s.db || !am_accepts_jobs(r, &queued))
        return queued;
    int rc = am_submit_prepare(&s);
    queued =
        rc < 0 ? am_reply_error(r, rc, "the job could not be planned") : am_reply_json(r, 200, plan_json(&s), NULL);
    am_submit_done(&s);
    return queued;
}
