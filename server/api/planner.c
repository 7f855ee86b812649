/*
 * planner.c - see planner.h. The checks are those of a submit, with what was submitted and the names as they are now.
 */
#include "server/api/planner.h"

#include "core/base/text.h"
#include "server/api/evaluate.h"
#include "server/api/submit.h"
#include "server/engine_claim.h"
#include "server/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stored {
    json_t *spec, *warnings; /* what was said when it was submitted stays */
};

static int take_stored(void *ctx, const struct am_job_row *j)
{
    struct stored *s = ctx;
    s->spec = json_loads(j->spec, 0, NULL);
    s->warnings = j->warnings ? json_loads(j->warnings, 0, NULL) : json_array();
    return s->spec && s->warnings ? 0 : -AM_E_STORE_DAMAGED;
}

struct write {
    struct am_job_planned row;
    struct am_submit *s;
    bool reuse; /* what the same job made before will do, if it is there */
};

/* 1: it is, and the job has ended with it. */
static int write_row(struct am_db *db, void *arg)
{
    struct write *w = arg;
    char before[64], why[512];
    int64_t version;
    AM_TRY(am_job_plan(db, &w->row));
    int found = w->reuse ? am_reuse_find(w->s, db, before, &version) : 0;
    if (found > 0)
        AM_TRY(am_publish_reused(db, w->row.uid, before, version, why, sizeof why));
    return found;
}

/* When it cannot be published as it is, it is computed. */
static int store(struct am_submit *s, const struct am_job_planned *p)
{
    struct write w = {.row = *p, .s = s, .reuse = !am_submit_evaluates(s)};
    int rc = am_store_write(s->r->srv->store, write_row, &w);
    w.reuse = false;
    return rc < 0 && !am_submit_evaluates(s) ? am_store_write(s->r->srv->store, write_row, &w) : rc;
}

static char *text_of(json_t *stolen)
{
    char *text = stolen ? json_dumps(stolen, JSON_COMPACT | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY) : NULL;
    json_decref(stolen);
    return text;
}

static void give(char **to, char **from)
{
    free(*to);
    *to = *from;
    *from = NULL;
}

static int keep(struct am_submit *s, struct am_claim *job)
{
    char *resolved = text_of(am_submit_resolved(s)), *plan = text_of(am_submit_plan(s)),
         *publish = text_of(am_submit_publish(s)), *warnings = s->warnings ? text_of(json_incref(s->warnings)) : NULL;
    struct am_job_planned p = {.uid = job->uid,
                               .resolved = resolved,
                               .plan = plan,
                               .publish = publish,
                               .warnings = warnings ? warnings : "[]",
                               .spec_sha256 = s->spec_sha256,
                               .planned_seconds = am_plan_seconds(&s->plan)};
    int rc = resolved && plan && publish ? store(s, &p) : -AM_E_OUT_OF_MEMORY;
    if (rc >= 0) {
        give(&job->resolved_text, &resolved);
        give(&job->plan_text, &plan);
        give(&job->publish_text, &publish);
        if (warnings)
            give(&job->warnings_text, &warnings);
    }
    free(resolved);
    free(plan);
    free(publish);
    free(warnings);
    return rc;
}

int am_plan_waited(void *arg, struct am_claim *job, struct am_faults *faults, char *why, size_t why_cap)
{
    struct am_req r = {.srv = arg}; /* what the checks of a submit read of a request: the server and the body */
    struct am_submit s = {.r = &r, .db = am_store_read(r.srv->store)};
    struct stored stored = {0};
    int rc = s.db ? am_job_get(s.db, job->uid, take_stored, &stored) : -AM_E_INTERNAL;
    r.json = stored.spec;
    s.warnings = stored.warnings;
    if (rc == 0)
        rc = am_submit_prepare(&s);
    if (rc == 0 && s.waits) { /* cannot be: it is claimed when all of them have succeeded */
        snprintf(why, why_cap, "an input has not ended");
        rc = -AM_E_INTERNAL;
    } else if (rc == 0 && s.faults.n) {
        rc = am_faults_worst(&s.faults);
        *faults = s.faults;
        s.faults = (struct am_faults){0};
    } else if (rc == 0) {
        rc = keep(&s, job);
    }
    am_submit_done(&s);
    json_decref(r.json);
    return rc;
}
