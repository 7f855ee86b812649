/*
 * register.c - POST M/versions: a folder of this machine becomes a version. The copying and checking is a task of the
 * queue (a worker in mode import), so it survives a restart; the answer waits a while for its end.
 */
#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/task.h"
#include "server/import.h"
#include "server/reply.h"
#include "server/tasks.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct request {
    const char *branch, *message;
    json_t *metadata;
    char *path; /* resolved */
    char model[200];
    bool move;
};

static void read_request(struct am_req *r, struct request *q, struct am_faults *f)
{
    static const char *const known[] = {"from", "mode", "branch", "message", "metadata", NULL}, *const known_from[] = {
                                                                                                    "path", NULL};
    am_members_known(r->json, "#", known, f);
    json_t *from = am_member_object(r->json, "#", "from", true, f);
    am_members_known(from, "#/from", known_from, f);
    const char *path = from ? am_member_text(from, "#/from", "path", true, NULL, f) : NULL;
    const char *mode = am_member_text(r->json, "#", "mode", false, "copy", f);
    if (!am_streq(mode, "copy") && !am_streq(mode, "move"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/mode"},
                     "mode must be copy or move (got \"%.40s\")", mode);
    q->move = am_streq(mode, "move");
    q->branch = am_member_text(r->json, "#", "branch", false, "main", f);
    const char *why = am_ref_name_fault(q->branch);
    if (why)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/branch"}, "%s", why);
    else
        am_ref_shadow_check(q->branch, "#/branch", f);
    q->message = am_member_text(r->json, "#", "message", false, NULL, f);
    q->metadata = am_member_object(r->json, "#", "metadata", false, f);
    why = am_model_name_fault(q->model);
    if (why)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = ""}, "%s: %s", q->model, why);
    if (path)
        am_import_resolve(r->srv->cfg, path, &q->path, f);
    if (q->path && !am_utf8_ok(q->path, strlen(q->path)))
        am_fault_add(f, AM_E_PATH_NOT_ALLOWED, (struct am_where){.pointer = "#/from/path"},
                     "%s leads to a folder whose name is not UTF-8; rename it", path);
}

static int queue_task(struct am_req *r, const struct request *q, const struct am_idem *idem, char uid[64])
{
    char label[300];
    const char *base = strrchr(q->path, '/');
    snprintf(label, sizeof label, "register %s",
             base && base[1] ? base + 1 : q->path); /* a name has at most 255 bytes */
    json_t *publish = json_pack("{s:s, s:s, s:s, s:[], s:s, s:n}", "model", q->model, "branch", q->branch, "message",
                                q->message ? q->message : label, "tags", "on_conflict", "append", "if_head");
    char *publish_text = publish ? json_dumps(publish, JSON_COMPACT) : NULL;
    char *metadata = q->metadata ? json_dumps(q->metadata, JSON_COMPACT) : NULL;
    struct am_task_kept kept = {.idem = idem};
    struct am_task_new task = {.kind = "import",
                               .publish = publish_text,
                               .metadata = metadata,
                               .again = true,
                               .also = am_task_keep,
                               .arg = &kept};
    /* a copy is not told: its recipe stays what it always was */
    task.more = json_pack("{s:s, s:s, s:s*}", "path", q->path, "model", q->model, "mode", q->move ? "move" : NULL);
    int rc = publish_text && task.more && (metadata || !q->metadata) ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_task_queue(r->srv->store, r->srv->cfg, &task, uid);
    else
        json_decref(task.more);
    json_decref(kept.answer);
    free(publish_text);
    free(metadata);
    json_decref(publish);
    return rc;
}

/* 201 with the version that the task made. */
static int reply_created(struct am_req *r, struct am_db *db, const json_t *job)
{
    char model[200];
    int64_t version;
    json_t *body;
    char etag[AM_ETAG];
    const char *commit =
        json_string_value(json_object_get(json_object_get(json_object_get(job, "result"), "version"), "commit"));
    am_model_id(r, model);
    int rc = commit ? am_rev_resolve(db, model, commit, &version, NULL) : -AM_E_INTERNAL;
    if (rc == 0)
        rc = am_version_read(r->srv->cfg, db, version, &body, etag);
    if (rc < 0)
        return am_reply_error(r, rc, "the version was registered and could not be read back");
    return am_reply_created(r, body, "/v1/models/%s/versions/%s", model, commit);
}

static int reply_task(struct am_req *r, const char *uid, bool ended)
{
    return am_task_made(r, uid, ended, reply_created);
}

static int begin(struct am_req *r, const struct am_idem *idem, char uid[64], int *ret_queued)
{
    struct request q = {0};
    struct am_faults f = {0};
    if (!am_accepts_jobs(r, ret_queued))
        return -AM_E_STORE_DAMAGED;
    am_model_id(r, q.model);
    read_request(r, &q, &f);
    if (f.n) {
        free(q.path);
        *ret_queued = am_reply_faults(r, &f);
        return -AM_E_INVALID_REQUEST;
    }
    if (!am_task_has_room(r, ret_queued)) {
        free(q.path);
        return -AM_E_DISK;
    }
    char hint[500] = "";
    int rc = queue_task(r, &q, idem, uid);
    free(q.path);
    if (rc == -AM_E_CONFLICT) /* a trigger refuses what would be published there */
        am_model_deleted(r, am_store_read(r->srv->store), q.model, hint, sizeof hint);
    if (hint[0])
        *ret_queued = am_reply_problem(r, AM_E_CONFLICT, "%s", hint);
    else if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the registration could not be queued");
    return rc;
}

int am_api_register(struct am_req *r)
{
    return am_task_make(r, begin, reply_task);
}
