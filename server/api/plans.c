/*
 * plans.c - POST /v1/plans and POST /v1/jobs?dry_run=true: what a job would need and every reason to refuse it, found
 * by the same checks as a submit (submit.h). Stores nothing.
 */
#include "core/base/text.h"
#include "core/table/fault_json.h"
#include "server/api/api.h"
#include "server/api/evaluate.h"
#include "server/api/submit.h"
#include "server/reply.h"

#include <microhttpd.h>

struct cached {
    const char *job;
    json_t *ret;
};

static int take_cached(void *ctx, const struct am_version_row *v)
{
    struct cached *c = ctx;
    c->ret = json_pack("{s:s, s:{s:s, s:s}}", "job", c->job, "version", "model", v->model_name, "commit", v->commit);
    return c->ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* The job that did the same before, whose version would be the result at once; or null. */
static json_t *cached_json(struct am_submit *s)
{
    char job[64], report[64];
    int64_t version;
    struct cached c = {.job = job};
    if (s->faults.n == 0 && am_evaluate_reuse(s, s->db, job, report) > 0)
        return json_pack("{s:s, s:s}", "job", job, "report", report);
    if (s->faults.n == 0 && am_reuse_find(s, s->db, job, &version) > 0)
        am_version_brief(s->db, version, take_cached, &c);
    return c.ret ? c.ret : json_null();
}

static json_t *plan_json(struct am_submit *s)
{
    bool ok = s->faults.n == 0, known = ok && !s->waits;
    json_t *o =
        json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "object", "plan", "ok", ok, "spec_sha256",
                  known ? json_string(s->spec_sha256) : json_null(), "resolved",
                  known ? am_submit_resolved(s) : json_null(), "cached", cached_json(s), "refusals",
                  am_faults_to_json(&s->faults), "warnings", s->warnings ? json_incref(s->warnings) : json_array());
    json_t *numbers = am_submit_plan(s);
    int rc = o && numbers ? json_object_update(o, numbers) : -1;
    json_decref(numbers);
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

int am_plan_answer(struct am_submit *s)
{
    return am_reply_json(s->r, 200, plan_json(s), NULL);
}

int am_api_plan(struct am_req *r)
{
    int queued = MHD_NO;
    struct am_recipe recipe;
    struct am_submit s = {.r = r, .db = am_reader(r, &queued), .recipe = &recipe};
    if (!s.db || !am_accepts_jobs(r, &queued))
        return queued;
    bool taken = am_recipe_take(&recipe, r, &queued);
    if (taken && recipe.chain) {
        queued = am_chain_plan(r, s.db, &recipe);
    } else if (taken) {
        int rc = am_submit_prepare(&s);
        queued = rc < 0 ? am_reply_error(r, rc, "the job could not be planned") : am_plan_answer(&s);
        am_submit_done(&s);
    }
    am_recipe_done(&recipe);
    return queued;
}
