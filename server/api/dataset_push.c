/*
 * dataset_push.c - POST D/versions: a worker in mode index makes a version of the upload (task_upload.c); the
 * answer waits a while for its end.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/datasets.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/upload.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_MAX = 100 };

static int hold(struct am_db *db, const char *owner, const struct am_upload *u, int64_t now)
{
    return am_dataset_hold(db, owner, "upload", u->sha256, (int64_t)u->bytes, now);
}

static int begin(struct am_req *r, const struct am_idem *idem, char uid[64], int *ret_queued)
{
    const char *ids = am_req_query(r, "ids");
    char version[64], dataset[200];
    am_id_new("dsv_", am_now_ms(), version);
    am_model_id(r, dataset);
    const struct am_task_upload task = {.kind = "index",
                                        .more = json_pack("{s:s, s:s, s:s*, s:s, s:s}", "dataset", dataset,
                                                          "dataset_version", version, "label", am_req_query(r, "label"),
                                                          "ids", ids ? ids : "own", "format",
                                                          am_upload_is_lines(r) ? "jsonl" : "safetensors"),
                                        .owner = version,
                                        .hold = hold,
                                        .empty = AM_E_MALFORMED_DATASET,
                                        .empty_pointer = "#",
                                        .empty_text = "the body is empty"};
    return am_task_upload(r, idem, &task, uid, ret_queued);
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
