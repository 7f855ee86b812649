/*
 * submit.c - POST /v1/jobs: what prepare.c lets pass is made durable, and only then answered. The answer to a request
 * with an Idempotency-Key is stored in the same transaction.
 */
#include "server/api/submit.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct added { /* a row, and the answer that shows it */
    char uid[64];
    struct am_job_new job;
    const struct am_idem *idem;
    json_t *answer; /* of a request with a key */
};

/* On the writer. */
static int insert(struct am_db *db, void *arg)
{
    struct added *a = arg;
    AM_TRY(am_job_insert(db, &a->job));
    return am_idem_keep_job(db, a->idem, a->uid, &a->answer);
}

static char *dump(json_t *stolen)
{
    char *text = stolen ? json_dumps(stolen, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(stolen);
    return text;
}

static int insert_job(struct am_submit *s, struct added *a)
{
    const struct am_config *cfg = s->r->srv->cfg;
    char *text[5] = {json_dumps(s->r->json, JSON_COMPACT | JSON_REAL_PRECISION(17)), dump(am_submit_resolved(s)),
                     dump(am_submit_plan(s)), dump(json_copy(s->body.metadata)), dump(am_submit_publish(s))};
    int rc = 0;
    for (size_t i = 0; i < 5; i++)
        rc = text[i] ? rc : -AM_E_OUT_OF_MEMORY;
    int64_t now = am_now_ms();
    am_id_new("job_", now, a->uid);
    a->job =
        (struct am_job_new){.uid = a->uid,
                            .type = s->body.type,
                            .method = s->body.method,
                            .created_by = "local",
                            .spec = text[0],
                            .resolved = text[1],
                            .plan = text[2],
                            .metadata = text[3],
                            .publish = text[4],
                            .warnings = "[]",
                            .spec_sha256 = s->spec_sha256,
                            .priority = s->body.priority,
                            .ageing_ms = (int64_t)cfg->ageing_seconds * 1000,
                            .now = now,
                            .not_before = s->body.not_before,
                            .time_limit = s->body.time_limit_seconds,
                            .max_attempts = s->body.max_attempts ? s->body.max_attempts : (int)cfg->jobs_max_attempts,
                            .planned_seconds = am_plan_seconds(&s->plan),
                            .short_seconds = (double)cfg->short_seconds,
                            .queue_limit = (int64_t)cfg->queue_max};
    if (rc == 0)
        rc = am_store_write(s->r->srv->store, insert, a);
    for (size_t i = 0; i < 5; i++)
        free(text[i]);
    return rc;
}

static int submit(struct am_submit *s, const struct am_idem *idem)
{
    struct added a = {.idem = idem};
    int rc = am_submit_prepare(s);
    if (rc == 0 && s->faults.n)
        return am_reply_faults(s->r, &s->faults);
    if (rc == 0)
        rc = insert_job(s, &a);
    if (rc < 0) {
        json_decref(a.answer);
        if (rc == -AM_E_CONFLICT) /* of the triggers on job */
            return am_reply_problem(s->r, AM_E_CONFLICT,
                                    "an input or the model of the result was deleted just now; nothing was submitted");
        return rc == -AM_E_QUEUE_FULL
                   ? am_reply_problem(s->r, AM_E_QUEUE_FULL, "the queue holds limits.queue entries; try again later")
                   : am_reply_error(s->r, rc, "the job could not be stored");
    }
    am_engine_wake(s->r->srv->engine);
    json_t *job = a.answer ? a.answer : am_job_load(s->r, s->db, a.uid, NULL);
    return job ? am_reply_accepted(s->r, job)
               : am_reply_problem(s->r, AM_E_INTERNAL, "the job %s was stored and cannot be read back", a.uid);
}

int am_api_job_submit(struct am_req *r)
{
    int queued = MHD_NO;
    bool dry;
    if (!am_plan_is_asked(r, &dry, &queued))
        return queued;
    if (dry)
        return am_api_plan(r);
    struct am_idem idem;
    int rc = am_idem_begin(&idem, r, &queued);
    if (rc == 1) {
        queued = am_reply_accepted(r, json_incref(idem.stored));
    } else if (rc == 0) {
        struct am_submit s = {.r = r, .db = am_reader(r, &queued)};
        if (s.db && am_accepts_jobs(r, &queued))
            queued = submit(&s, &idem);
        am_submit_done(&s);
    }
    am_idem_end(&idem);
    return queued;
}
