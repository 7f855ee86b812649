/*
 * predictions_push.c - POST /v1/predictions: a worker in mode pack makes the set of the upload (task_upload.c); the
 * answer waits a while for its end.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/predictions.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/upload.h"

#include <microhttpd.h>
#include <stdio.h>

static int hold(struct am_db *db, const char *owner, const struct am_upload *u, int64_t now)
{
    const struct am_prediction_file file = {"upload", u->sha256, (int64_t)u->bytes, u->gzip};
    return am_prediction_hold(db, owner, &file, now);
}

static int begin(struct am_req *r, const struct am_idem *idem, char uid[64], int *ret_queued)
{
    char set[64];
    am_id_new("prd_", am_now_ms(), set);
    const struct am_task_upload task = {.kind = "pack",
                                        .more = json_pack("{s:s}", "prediction_set", set),
                                        .owner = set,
                                        .hold = hold,
                                        .empty = AM_E_MALFORMED_PREDICTIONS,
                                        .empty_pointer = "#/1",
                                        .empty_text = "line 1: the body is empty; the first line is the header"};
    return am_task_upload(r, idem, &task, uid, ret_queued);
}

static int reply_created(struct am_req *r, struct am_db *db, const json_t *job)
{
    (void)db;
    int queued = MHD_NO;
    const char *uid = json_string_value(json_object_get(json_object_get(job, "result"), "prediction_set"));
    json_t *set = uid ? am_prediction_load(r, uid, &queued) : NULL;
    if (!set)
        return uid ? queued : am_reply_problem(r, AM_E_INTERNAL, "the task does not say what it made");
    return am_reply_created(r, set, "/v1/predictions/%s", uid);
}

static int reply_task(struct am_req *r, const char *uid, bool ended)
{
    return am_task_made(r, uid, ended, reply_created);
}

int am_api_prediction_push(struct am_req *r)
{
    return am_task_make(r, begin, reply_task);
}
