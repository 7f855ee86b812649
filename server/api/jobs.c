/*
 * jobs.c - jobs as clients see them: list, get, cancel. Submitting is submit.c, the log job_log.c.
 */
#include "storage/jobs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/log.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

json_t *am_progress_json(const struct am_progress *p)
{
    return json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:o, s:o, s:o}", "phase", p->phase, "done", (json_int_t)p->done,
                     "total", (json_int_t)p->total, "unit", p->unit, "bytes_done", (json_int_t)p->bytes_done,
                     "bytes_total", (json_int_t)p->bytes_total, "bytes_per_second",
                     p->bytes_per_second > 0 ? json_integer((json_int_t)p->bytes_per_second) : json_null(),
                     "eta_seconds", am_json_count(p->eta_seconds), "updated_at", am_json_time(p->updated_at));
}

static json_t *progress_json(const struct am_job_row *j, struct am_engine *engine, int64_t *ret_updated)
{
    struct am_progress p;
    *ret_updated = 0;
    if ((j->state != AM_RUNNING && j->state != AM_CANCELLING) || !am_engine_progress(engine, j->uid, &p) ||
        p.updated_at == 0)
        return json_null();
    *ret_updated = p.updated_at;
    return am_progress_json(&p);
}

static json_t *links_json(const char *uid)
{
    char self[80], log[100], cancel[100], events[100], stream[100];
    snprintf(self, sizeof self, "/v1/jobs/%s", uid);
    snprintf(events, sizeof events, "/v1/jobs/%s/events", uid);
    snprintf(stream, sizeof stream, "/v1/jobs/%s/events/stream", uid);
    snprintf(log, sizeof log, "/v1/jobs/%s/log", uid);
    snprintf(cancel, sizeof cancel, "/v1/jobs/%s/cancel", uid);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "self", self, "events", events, "stream", stream, "log", log,
                     "cancel", cancel);
}

/* Why a queued job does not run: {"code"} with the job or the time it waits for, and of a job that ran before what
   ended it then. */
static json_t *reason_json(const struct am_job_row *j)
{
    json_t *before = j->requeued ? am_json_stored(j->requeued) : NULL;
    if (j->state != AM_QUEUED)
        return json_null();
    json_t *o = json_pack("{s:s}", "code",
                          j->waits_for    ? "waiting_for_job"
                          : before        ? "requeued"
                          : j->not_before ? "not_before"
                                          : "waiting_for_slot");
    if (j->waits_for)
        json_object_set_new(o, "job", json_string(j->waits_for));
    if (j->not_before)
        json_object_set_new(o, "not_before", am_json_time(j->not_before));
    if (json_object_get(before, "code")) { /* a failure of the worker; a restart has none */
        json_object_set(o, "cause", json_object_get(before, "code"));
        json_object_set(o, "detail", json_object_get(before, "detail"));
    }
    json_decref(before);
    return o;
}

static json_t *job_json(const struct am_job_row *j, struct am_engine *engine, int64_t *ret_updated)
{
    char trace[33];
    json_t *progress = progress_json(j, engine, ret_updated);
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "object", "job", "id", j->uid, "type", j->type,
                  "method", j->method, "status", am_state_name(j->state), "status_reason", reason_json(j), "created_at",
                  am_json_time(j->created_at), "queued_at", am_json_time(j->created_at), "started_at",
                  am_json_time(j->started_at), "finished_at", am_json_time(j->finished_at));
    json_object_set_new(o, "queue_position", j->queue_position > 0 ? json_integer(j->queue_position) : json_null());
    json_object_set_new(o, "priority", json_integer(j->priority));
    json_object_set_new(o, "attempt", json_integer(j->failures + 1));
    json_object_set_new(o, "max_attempts", json_integer(j->max_attempts));
    json_object_set_new(o, "restarts", json_integer(j->restarts));
    json_object_set_new(o, "executor", json_string("local"));
    json_object_set_new(o, "progress", progress);
    json_object_set_new(o, "spec", am_json_stored(j->spec));
    json_object_set_new(o, "resolved", am_json_stored(j->resolved));
    json_object_set_new(o, "plan", am_json_stored(j->plan));
    json_object_set_new(o, "result", am_json_stored(j->result));
    json_object_set_new(o, "error", am_json_stored(j->error));
    json_object_set_new(o, "warnings", j->warnings ? am_json_stored(j->warnings) : json_array());
    json_object_set_new(o, "retry_of", j->retry_of ? json_string(j->retry_of) : json_null());
    json_object_set_new(o, "rerun_of", j->rerun_of ? json_string(j->rerun_of) : json_null());
    json_object_set_new(o, "archived", json_boolean(j->archived));
    json_object_set_new(o, "created_by", json_string(j->created_by));
    json_object_set_new(o, "metadata", am_json_stored(j->metadata));
    am_trace_id(j->traceparent, j->uid, trace);
    json_object_set_new(o, "trace_id", json_string(trace));
    json_object_set_new(o, "links", links_json(j->uid));
    return o;
}

struct collect {
    json_t *data;
    struct am_engine *engine;
    char etag[64];
};

static int add_job(void *ctx, const struct am_job_row *j)
{
    struct collect *c = ctx;
    int64_t updated;
    json_t *o = job_json(j, c->engine, &updated);
    /* progress enters the ETag at most once a second (api.md 6) */
    snprintf(c->etag, sizeof c->etag, "%lld-%lld-%lld", (long long)j->rev, (long long)(updated / 1000),
             (long long)j->queue_position);
    return am_json_add(c->data, o);
}

json_t *am_job_load(struct am_req *r, struct am_db *db, const char *uid, char *ret_etag)
{
    struct collect c = {.data = json_array(), .engine = r->srv->engine};
    int rc = am_job_get(db, uid, add_job, &c);
    json_t *job = rc < 0 ? NULL : json_incref(json_array_get(c.data, 0));
    if (ret_etag)
        snprintf(ret_etag, 64, "%s", c.etag);
    json_decref(c.data);
    return job;
}

int am_reply_no_job(struct am_req *r, int rc)
{
    return rc == -AM_E_NOT_FOUND
               ? am_reply_problem(r, AM_E_NOT_FOUND, "no job %.60s; GET /v1/jobs lists them", r->arg[0])
               : am_reply_error(r, rc, "the job could not be read");
}

static int no_job(struct am_req *r)
{
    return am_reply_no_job(r, -AM_E_NOT_FOUND);
}

static int reply_job(struct am_req *r, const char *uid, bool over)
{
    char etag[64];
    int queued = MHD_NO;
    (void)over;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, uid, etag);
    return job ? am_reply_resource(r, job, etag) : no_job(r);
}

static int take_revision(void *ctx, const struct am_job_row *j)
{
    *(int64_t *)ctx = am_state_terminal(j->state) ? -1 : j->rev;
    return 0;
}

static bool has_changed(struct am_db *db, const struct am_wait *w)
{
    int64_t now = -1;
    return am_job_get(db, w->subject, take_revision, &now) < 0 || now < 0 || now != w->revision;
}

/* Prefer: wait=n waits for the end; of a client that has the job as it is (If-None-Match) for any change. */
int am_api_job(struct am_req *r)
{
    char etag[64];
    int queued = MHD_NO;
    int64_t ms = am_req_prefer_ms(r, 0);
    struct am_db *db = ms > 0 ? am_reader(r, &queued) : NULL;
    if (ms <= 0)
        return reply_job(r, r->arg[0], false);
    if (!db)
        return queued;
    if (!am_req_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH))
        return am_req_wait_job(r, r->arg[0], ms, reply_job);
    struct am_wait w = {.subject = r->arg[0], .ms = ms, .over = has_changed};
    if (am_job_get(db, r->arg[0], take_revision, &w.revision) < 0)
        return no_job(r);
    json_decref(am_job_load(r, db, r->arg[0], etag));
    if (!am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, etag))
        return reply_job(r, r->arg[0], true);
    return am_req_wait(r, &w, reply_job);
}

int am_api_jobs(struct am_req *r)
{
    int64_t limit;
    int queued = MHD_NO;
    if (!am_req_int(r, "limit", 1, 100, 20, &limit, &queued))
        return queued;
    struct am_job_filter f = {.limit = (int)limit + 1};
    if (!am_job_filter_read(r, &f, &queued))
        return queued;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    struct collect c = {.data = json_array(), .engine = r->srv->engine};
    int rc = am_job_list(db, &f, add_job, &c);
    if (rc != -AM_E_NOT_FOUND)
        return am_reply_page(r, rc, c.data, limit, "id", "jobs");
    json_decref(c.data);
    return am_reply_fault(r, AM_E_INVALID_REQUEST, "?after", "after names no job; it is `next` of the page before");
}

struct cancel {
    const char *uid;
    enum am_job_state state;
};

static int cancel_job(struct am_db *db, void *arg)
{
    struct cancel *c = arg;
    return am_job_cancel(db, c->uid, am_now_ms(), "local", &c->state);
}

int am_api_job_cancel(struct am_req *r)
{
    int queued = MHD_NO;
    struct cancel c = {.uid = r->arg[0]};
    int rc = am_store_write(r->srv->store, cancel_job, &c);
    if (rc == -AM_E_NOT_FOUND)
        return no_job(r);
    if (rc == -AM_E_JOB_TERMINAL)
        return am_reply_problem(r, AM_E_JOB_TERMINAL, "job %.60s has already ended", r->arg[0]);
    if (rc < 0)
        return am_reply_error(r, rc, "the job could not be cancelled");
    if (c.state == AM_CANCELLING)
        am_engine_cancel(r->srv->engine, r->arg[0]);
    am_log(AM_LOG_INFO, "job asked to stop job=%s request=%s state=%s", r->arg[0], r->id, am_state_name(c.state));
    am_engine_wake(r->srv->engine);
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, r->arg[0], NULL);
    if (job && c.state == AM_CANCELLED_) /* the engine never saw it */
        am_metrics_ended(am_engine_metrics(r->srv->engine), json_string_value(json_object_get(job, "type")),
                         AM_ENDED_CANCELLED, 0);
    return job ? am_reply_json(r, 202, job, NULL) : no_job(r);
}
