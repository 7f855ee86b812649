/*
 * task_upload.c - see task.h: an upload becomes a blob that a task of the queue holds. Not what a worker makes of it.
 */
#include "core/base/clock.h"
#include "server/api/api.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/tasks.h"
#include "server/upload.h"
#include "storage/blobs.h"
#include "storage/predictions.h"

struct added {
    struct am_task_kept kept;
    const struct am_task_upload *task;
    const struct am_upload *upload;
};

static int hold(struct am_db *db, const char *uid, void *arg)
{
    struct added *a = arg;
    AM_TRY(a->task->hold(db, a->task->owner, a->upload, am_now_ms()));
    return am_task_keep(db, uid, &a->kept);
}

/* File first, then the row that holds it. */
static int store(struct am_req *r, struct added *a, char uid[64], char *why, size_t why_cap)
{
    const struct am_upload *u = a->upload;
    struct am_blob_move move = {.staged = AM_UPLOAD_FILE, .sha256 = u->sha256, .bytes = (int64_t)u->bytes};
    json_t *more = a->task->more;
    const struct am_task_new task = {.kind = a->task->kind, .more = more, .again = true, .also = hold, .arg = a};
    int rc = more ? am_blobs_publish(r->srv->store, u->dir, &move, 1, why, why_cap) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        why[0] = 0;
        rc = am_task_queue(r->srv->store, r->srv->cfg, &task, uid);
    } else
        json_decref(more);
    am_blobs_unpin(r->srv->store, u->dir);
    if (rc < 0)
        am_prediction_forget(r->srv->store, u->sha256); /* what stays goes with the next gc */
    return rc;
}

/* Why the upload cannot be taken now; 0: it can. */
static int refuse(struct am_req *r, const struct am_task_upload *t, int *ret_queued)
{
    if (!am_accepts_jobs(r, ret_queued))
        return -AM_E_STORE_DAMAGED;
    if (r->upload->bytes == 0) {
        *ret_queued = am_reply_fault(r, t->empty, t->empty_pointer, "%s", t->empty_text);
        return -t->empty;
    }
    return am_task_has_room(r, ret_queued) ? 0 : -AM_E_DISK;
}

int am_task_upload(struct am_req *r, const struct am_idem *idem, const struct am_task_upload *t, char uid[64],
                   int *ret_queued)
{
    char why[300] = "";
    const struct am_upload *u = r->upload;
    struct added a = {.kept = {.idem = idem}, .task = t, .upload = u};
    int rc = refuse(r, t, ret_queued);
    if (rc < 0) {
        json_decref(t->more);
        return rc;
    }
    json_object_set_new(t->more, "sha256", json_string(u->sha256));
    json_object_set_new(t->more, "bytes", json_integer((json_int_t)u->bytes));
    json_object_set_new(t->more, "gzip", json_boolean(u->gzip));
    rc = store(r, &a, uid, why, sizeof why);
    json_decref(a.kept.answer);
    am_upload_drop(r);
    if (rc < 0)
        *ret_queued = am_reply_error(r, rc, why[0] ? why : "the upload could not be queued");
    return rc;
}
