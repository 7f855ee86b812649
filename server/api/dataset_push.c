/*
 * dataset_push.c - POST D/versions: the upload becomes a blob that a task of the queue holds, and a worker in mode
 * index makes a version of it; the answer waits a while for its end. From the moment that the task is in the queue a
 * crash loses nothing; before, nothing is left of it.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/api/api.h"
#include "server/api/datasets.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/upload.h"
#include "storage/blobs.h"
#include "storage/predictions.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 100 };

struct added { /* a task, what it holds, and whose key it is kept under */
    struct am_job_new job;
    const struct am_upload *upload;
    const char *version;
    const struct am_idem *idem;
};

static int insert(struct am_db *db, void *arg)
{
    struct added *a = arg;
    json_t *task = NULL;
    AM_TRY(am_dataset_hold(db, a->version, "upload", a->upload->sha256, (int64_t)a->upload->bytes, a->job.now));
    AM_TRY(am_job_insert(db, &a->job));
    int rc = am_idem_keep_job(db, a->idem, a->job.uid, &task);
    json_decref(task);
    return rc;
}

static int queue_task(struct am_req *r, const struct am_idem *idem, char uid[64])
{
    const struct am_upload *u = r->upload;
    const char *ids = am_req_query(r, "ids");
    char digest[65], version[64], dataset[200];
    int64_t now = am_now_ms();
    am_id_new("job_", now, uid);
    am_id_new("dsv_", now, version);
    am_model_id(r, dataset);
    json_t *spec = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:I, s:b}", "type", "task", "method", "index",
                             "dataset", dataset, "dataset_version", version, "label", am_req_query(r, "label"), "ids",
                             ids ? ids : "own", "format", am_upload_is_lines(r) ? "jsonl" : "safetensors", "sha256",
                             u->sha256, "bytes", (json_int_t)u->bytes, "gzip", u->gzip);
    char *text = spec ? am_canon(spec) : NULL;
    int rc = text ? am_canon_sha256(spec, digest) : -AM_E_OUT_OF_MEMORY;
    struct added a = {.idem = idem, .version = version, .upload = u};
    a.job = (struct am_job_new){.uid = uid,
                                .type = "task",
                                .method = "index",
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
        *ret_queued = am_reply_fault(r, AM_E_MALFORMED_DATASET, "#", "the body is empty");
        return -AM_E_MALFORMED_DATASET;
    }
    if (!am_task_has_room(r, ret_queued))
        return -AM_E_DISK;
    int rc = store_upload(r, idem, uid, why, sizeof why);
    am_upload_drop(r);
    if (rc < 0)
        *ret_queued = am_reply_error(r, rc, why[0] ? why : "the upload could not be queued");
    return rc;
}

/* 201 with the version; 200 when these bytes were there already. */
static int reply_made(struct am_req *r, struct am_db *db, const json_t *job)
{
    int queued = MHD_NO;
    char location[300];
    int64_t version = 0;
    const json_t *result = json_object_get(job, "result");
    const char *dataset = json_string_value(json_object_get(result, "dataset")),
               *sha256 = json_string_value(json_object_get(result, "sha256"));
    int rc = dataset && sha256 ? am_dataset_version_find(db, dataset, sha256, &version) : -AM_E_INTERNAL;
    if (rc <= 0)
        return rc < 0 ? am_reply_error(r, rc, "the task does not say what it made")
                      : am_reply_problem(r, AM_E_NOT_FOUND, "the version was deleted meanwhile");
    json_t *o = am_dataset_version_load(r, version, &queued);
    if (!o)
        return queued;
    bool created = json_is_true(json_object_get(result, "created"));
    snprintf(location, sizeof location, "%s", json_string_value(json_object_get(json_object_get(o, "links"), "self")));
    const char *headers[] = {"Location", location, NULL};
    return am_reply_json(r, created ? 201 : 200, o, headers);
}

static int reply_task(struct am_req *r, const char *uid, bool ended)
{
    return am_task_made(r, uid, ended, reply_made);
}

/* A label is no name that a version has anyway. */
static bool label_ok(const char *label)
{
    size_t n = strlen(label);
    return n <= LABEL_MAX && am_plain_name_ok(label) && !am_rev_is_number(label, NULL) && !am_streq(label, "latest") &&
           !(n >= 8 && am_is_hex(label, n)) && !strpbrk(label, "@?#% ");
}

static int take_id(void *ctx, const struct am_dataset_row *d)
{
    *(int64_t *)ctx = d->id;
    return 0;
}

int am_api_dataset_push(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t id;
    char name[200];
    const char *ids = am_req_query(r, "ids"), *label = am_req_query(r, "label");
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    if (ids && !am_streq(ids, "row") && !am_streq(ids, "own"))
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?ids", "ids is own, or row: number the rows (got %.40s)", ids);
    if (label && !label_ok(label))
        return am_reply_fault(
            r, AM_E_INVALID_REQUEST, "?label",
            "a label is a name of 1 to %d bytes without / @ ? # %% and space, and not v<N>, latest or "
            "hex digits",
            LABEL_MAX);
    am_model_id(r, name);
    int rc = am_dataset_get(db, name, take_id, &id);
    if (rc < 0)
        return rc == -AM_E_NOT_FOUND
                   ? am_reply_problem(r, AM_E_NOT_FOUND,
                                      "no dataset %s; make it with POST /v1/datasets {\"id\":\"%s\"}", name, name)
                   : am_reply_error(r, rc, "the dataset could not be read");
    return am_task_make(r, begin, reply_task);
}
