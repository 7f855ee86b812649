/*
 * predictions_push.c - POST /v1/predictions: the upload becomes a blob that a task of the queue holds, and a worker in
 * mode pack makes the set of it; the answer waits a while for its end. From the moment that the task is in the queue a
 * crash loses nothing; before, nothing is left of it.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/api/api.h"
#include "server/api/predictions.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/upload.h"
#include "storage/blobs.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

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
    char why[300] = "";
    if (!am_accepts_jobs(r, ret_queued))
        return -AM_E_STORE_DAMAGED;
    if (r->upload->bytes == 0) {
        *ret_queued = am_reply_fault(r, AM_E_MALFORMED_PREDICTIONS, "#/1",
                                     "line 1: the body is empty; the first line is the header");
        return -AM_E_MALFORMED_PREDICTIONS;
    }
    if (!am_task_has_room(r, ret_queued))
        return -AM_E_DISK;
    int rc = store_upload(r, idem, uid, why, sizeof why);
    am_upload_drop(r);
    if (rc < 0)
        *ret_queued = am_reply_error(r, rc, why[0] ? why : "the upload could not be queued");
    return rc;
}

static int reply_created(struct am_req *r, struct am_db *db, const json_t *job)
{
    (void)db;
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

static int reply_task(struct am_req *r, const char *uid, bool ended)
{
    return am_task_made(r, uid, ended, reply_created);
}

int am_api_prediction_push(struct am_req *r)
{
    return am_task_make(r, begin, reply_task);
}
