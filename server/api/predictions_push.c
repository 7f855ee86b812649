/*
 * predictions_push.c - POST /v1/predictions: the upload becomes a blob that a task of the queue holds, and a worker in
 * mode pack makes the set of it; the answer waits a while for its end. From the moment that the task is in the queue a
 * crash loses nothing; before, nothing is left of it.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/api/predictions.h"
#include "server/reply.h"
#include "server/space.h"
#include "server/upload.h"
#include "storage/blobs.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 20000

struct added { /* a task, what it holds, and whose key it is kept under */
    struct am_job_new job;
    struct am_prediction_file upload;
    const char *set;
    const struct am_idem *idem;
};

static int insert(struct am_db *db, void *arg)
{
    struct added *a = arg;
    json_t *task = NULL;
    AM_TRY(am_prediction_hold(db, a->set, &a->upload, a->job.now));
    AM_TRY(am_job_insert(db, &a->job));
    int rc = am_idem_keep_job(db, a->idem, a->job.uid, &task);
    json_decref(task);
    return rc;
}

static int queue_task(struct am_req *r, const struct am_idem *idem, char uid[64])
{
    const struct am_upload *u = r->upload;
    char digest[65], set[64];
    int64_t now = am_now_ms();
    am_id_new("job_", now, uid);
    am_id_new("prd_", now, set);
    json_t *spec = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "type", "task", "method", "pack", "prediction_set", set,
                             "sha256", u->sha256, "bytes", (json_int_t)u->bytes, "gzip", u->gzip);
    char *text = spec ? am_canon(spec) : NULL;
    int rc = text ? am_canon_sha256(spec, digest) : -AM_E_OUT_OF_MEMORY;
    struct added a = {.idem = idem, .set = set, .upload = {"upload", u->sha256, (int64_t)u->bytes, u->gzip}};
    a.job = (struct am_job_new){.uid = uid,
                                .type = "task",
                                .method = "pack",
                                .created_by = "local",
                                .spec = text,
                                .resolved = text,
                                .plan = "null",
                                .metadata = "{}",
                                .publish = "{}",
                                .warnings = "[]",
                                .spec_sha256 = digest,
                                .priority = 50,
                                .now = now,
                                .max_attempts = (int)r->srv->cfg->jobs_max_attempts,
                                .queue_limit = (int64_t)r->srv->cfg->queue_max};
    if (rc == 0)
        rc = am_store_write(r->srv->store, insert, &a);
    free(text);
    json_decref(spec);
    return rc;
}

/* File first, then the row that holds it. */
static int store_upload(struct am_req *r, const struct am_idem *idem, char uid[64], char *why, size_t why_cap)
{
    struct am_upload *u = r->upload;
    struct am_blob_move move = {.staged = AM_UPLOAD_FILE, .sha256 = u->sha256, .bytes = (int64_t)u->bytes};
    int rc = am_blobs_publish(r->srv->store, u->dir, &move, 1, why, why_cap);
    if (rc == 0) {
        why[0] = 0;
        rc = queue_task(r, idem, uid);
    }
    am_blobs_unpin(r->srv->store, u->dir);
    if (rc < 0)
        am_prediction_forget(r->srv->store, u->sha256); /* what stays goes with the next gc */
    return rc;
}

static int begin(struct am_req *r, const struct am_idem *idem, char uid[64], int *ret_queued)
{
    struct am_space space;
    char why[300] = "";
    if (!am_accepts_jobs(r, ret_queued))
        return -AM_E_STORE_DAMAGED;
    if (r->upload->bytes == 0) {
        *ret_queued = am_reply_fault(r, AM_E_MALFORMED_PREDICTIONS, "#/1",
                                     "line 1: the body is empty; the first line is the header");
        return -AM_E_MALFORMED_PREDICTIONS;
    }
    if (am_space(r->srv, &space) == 0 && space.free < space.min_free) {
        *ret_queued = am_reply_problem(r, AM_E_DISK,
                                       "%llu bytes are free and store.min_free keeps %llu; make room, then try again",
                                       (unsigned long long)space.free, (unsigned long long)space.min_free);
        return -AM_E_DISK;
    }
    int rc = store_upload(r, idem, uid, why, sizeof why);
    if (rc == -AM_E_QUEUE_FULL)
        *ret_queued = am_reply_problem(r, AM_E_QUEUE_FULL, "the queue holds limits.queue entries; try again later");
    else if (rc < 0)
        *ret_queued = am_reply_error(r, rc, why[0] ? why : "the upload could not be queued");
    return rc;
}

static int reply_created(struct am_req *r, json_t *job)
{
    char location[120];
    int queued = MHD_NO;
    const char *uid = json_string_value(json_object_get(json_object_get(job, "result"), "prediction_set"));
    json_t *set = uid ? am_prediction_load(r, uid, &queued) : NULL;
    if (!set)
        return uid ? queued : am_reply_problem(r, AM_E_INTERNAL, "the task does not say what it made");
    snprintf(location, sizeof location, "/v1/predictions/%s", uid);
    const char *headers[] = {"Location", location, NULL};
    return am_reply_json(r, 201, set, headers);
}

static int reply_failed(struct am_req *r, json_t *job)
{
    json_t *error = json_object_get(job, "error");
    const char *slug = json_string_value(json_object_get(error, "code")),
               *detail = json_string_value(json_object_get(error, "detail"));
    int code = slug ? am_err_from_slug(slug) : AM_E_CANCELLED;
    return am_reply_problem_full(r, code > 0 ? code : AM_E_INTERNAL, detail ? detail : "the task was cancelled",
                                 json_incref(json_object_get(error, "errors")), NULL);
}

static int reply_task(struct am_req *r, const char *uid, bool ended)
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
    queued = good ? reply_created(r, job) : reply_failed(r, job);
    json_decref(job);
    return queued;
}

/* A task that did not succeed answers nobody again: nothing came of it. */
static bool is_spent(struct am_req *r, const char *uid)
{
    struct am_db *db = am_store_read(r->srv->store);
    json_t *job = db ? am_job_load(r, db, uid, NULL) : NULL;
    const char *status = json_string_value(json_object_get(job, "status"));
    bool spent = am_streq(status, "failed") || am_streq(status, "cancelled");
    json_decref(job);
    return spent;
}

int am_api_prediction_push(struct am_req *r)
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
    am_upload_drop(r);
    if (rc < 0)
        return queued;
    am_engine_wake(r->srv->engine);
    return am_req_wait_job(r, uid, am_req_prefer_ms(r, WAIT_MS), reply_task);
}
