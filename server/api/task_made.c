/*
 * task_made.c - routes that answer with what their task makes: registering a folder, uploading a prediction set. The
 * connection sleeps until the task has ended, or gets the task when that takes longer (server/hold.c).
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/space.h"

#include <microhttpd.h>
#include <stdio.h>

#define WAIT_MS 20000

bool am_task_has_room(struct am_req *r, int *ret_queued)
{
    struct am_space space;
    if (am_space(r->srv, &space) < 0 || space.free >= space.min_free)
        return true;
    *ret_queued =
        am_reply_problem(r, AM_E_DISK, "%llu bytes are free and store.min_free keeps %llu; make room, then try again",
                         (unsigned long long)space.free, (unsigned long long)space.min_free);
    return false;
}

/* A task that ended in the service's own trouble answers nobody again. */
static bool is_spent(struct am_req *r, const char *uid)
{
    struct am_db *db = am_store_read(r->srv->store);
    json_t *job = db ? am_job_load(r, db, uid, NULL) : NULL;
    const char *code = json_string_value(json_object_get(json_object_get(job, "error"), "code"));
    bool spent = code && am_err_status(am_err_from_slug(code)) >= 500;
    json_decref(job);
    return spent;
}

int am_task_make(struct am_req *r, am_task_begin *begin, am_after_wait *then)
{
    char uid[64];
    int queued = MHD_NO;
    struct am_idem idem;
    int rc = am_idem_begin(&idem, r, &queued);
    if (rc == 1) {
        snprintf(uid, sizeof uid, "%s", json_string_value(json_object_get(idem.stored, "id")));
        rc = 0;
        r->replayed = !is_spent(r, uid);
    }
    if (rc == 0 && !r->replayed)
        rc = begin(r, &idem, uid, &queued);
    am_idem_end(&idem);
    if (rc < 0)
        return queued;
    am_engine_wake(r->srv->engine);
    return am_req_wait_job(r, uid, am_req_prefer_ms(r, WAIT_MS), then);
}

static int reply_failed(struct am_req *r, const json_t *job)
{
    json_t *error = json_object_get(job, "error");
    const char *slug = json_string_value(json_object_get(error, "code")),
               *detail = json_string_value(json_object_get(error, "detail"));
    int code = slug ? am_err_from_slug(slug) : AM_E_CANCELLED;
    return am_reply_problem_full(r, code > 0 ? code : AM_E_INTERNAL, detail ? detail : "the task was cancelled",
                                 json_incref(json_object_get(error, "errors")), NULL);
}

int am_task_made(struct am_req *r, const char *uid, bool ended, am_task_answer *made)
{
    int queued = MHD_NO;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, uid, NULL);
    if (!job)
        return am_reply_problem(r, AM_E_INTERNAL, "the task %s cannot be read", uid);
    if (!ended)
        return am_reply_accepted(r, job);
    bool good = am_streq(json_string_value(json_object_get(job, "status")), "succeeded");
    queued = good ? made(r, db, job) : reply_failed(r, job);
    json_decref(job);
    return queued;
}
