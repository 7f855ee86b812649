/*
 * admin.c - work of the store that people ask for: POST /v1/admin/tasks, and the verify of one version. Each is a row
 * of the queue (server/tasks.h) and is followed by the job routes.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/schedule.h"
#include "server/tasks.h"
#include "storage/backup.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define TARGET ((struct am_where){.pointer = "#/target"})

int am_task_keep(struct am_db *db, const char *uid, void *kept)
{
    struct am_task_kept *k = kept;
    return am_idem_keep_job(db, k->idem, uid, &k->answer);
}

int am_task_reply(struct am_req *r, const struct am_idem *idem, const char *kind, json_t *more)
{
    char uid[64];
    int queued = MHD_NO;
    struct am_task_kept kept = {.idem = idem};
    const struct am_task_new task = {.kind = kind, .more = more, .also = am_task_keep, .arg = &kept};
    int rc = am_task_queue(r->srv->store, r->srv->cfg, &task, uid);
    if (rc < 0) {
        json_decref(kept.answer);
        return am_reply_error(r, rc, "the task could not be stored");
    }
    am_engine_wake(r->srv->engine);
    if (kept.answer)
        return am_reply_accepted(r, kept.answer);
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, uid, NULL);
    return job ? am_reply_accepted(r, job)
               : am_reply_problem(r, AM_E_INTERNAL, "the task %s was stored and cannot be read back", uid);
}

/* ---- what each kind makes of its target: members of the recipe ---- */

static int take_commit(void *ctx, const struct am_version_row *v)
{
    json_t **more = ctx;
    *more = json_pack("{s:s, s:s}", "model", v->model_name, "commit", v->commit);
    return *more ? 0 : -AM_E_OUT_OF_MEMORY;
}

static void target_version(struct am_req *r, const char *target, json_t **more, struct am_faults *f)
{
    char *model = NULL, *rev = NULL;
    const char *why = NULL;
    int64_t version = 0;
    struct am_db *db = am_store_read(r->srv->store);
    int rc = am_ref_split(target, &model, &rev, &why);
    if (rc < 0)
        am_fault_add(f, AM_E_INVALID_REQUEST, TARGET, "%s", why);
    else if (!db)
        am_fault_add(f, AM_E_INTERNAL, TARGET, "the database cannot be read");
    else if ((rc = am_rev_resolve(db, model, rev, &version, NULL)) < 0)
        am_fault_add(f, -rc, TARGET, "there is no version %s", target);
    else if ((rc = am_version_brief(db, version, take_commit, more)) < 0)
        am_fault_add(f, -rc, TARGET, "the version %s cannot be read", target);
    free(model);
    free(rev);
}

static void target_file(struct am_req *r, const char *target, json_t **more, struct am_faults *f)
{
    char name[4200], why[600];
    int rc = 0;
    if (!target && (rc = am_task_backup_name(r->srv->store, r->srv->cfg, "", am_now_ms(), name, sizeof name)) < 0) {
        am_fault_add(f, -rc, TARGET, "the folder backup/ cannot be made in data_dir");
        return;
    }
    rc = am_backup_target(am_store_path(r->srv->store), target ? target : name, why, sizeof why);
    if (rc < 0)
        am_fault_add(f, -rc, TARGET, "%s", why);
    else
        *more = json_pack("{s:s}", "target", target ? target : name);
}

static void share_of_scrub(struct am_req *r, json_t **more, struct am_faults *f)
{
    struct am_db *db = am_store_read(r->srv->store);
    int rc = db ? am_schedule_scrub(db, r->srv->cfg, am_now_ms(), more) : -AM_E_INTERNAL;
    if (rc < 0)
        am_fault_add(f, -rc, (struct am_where){.pointer = "#/kind"}, "%s",
                     rc == -AM_E_INVALID_PARAMS ? "store.scrub_days is 0, so nothing is ever due; verify reads it all"
                                                : "the database cannot be read");
}

static int create(struct am_req *r, const struct am_idem *idem)
{
    static const char *const known[] = {"kind", "target", NULL};
    struct am_faults f = {0};
    json_t *more = NULL;
    am_members_known(r->json, "#", known, &f);
    const char *kind = am_member_text(r->json, "#", "kind", true, NULL, &f);
    const char *target = am_member_text(r->json, "#", "target", false, NULL, &f);
    if (kind && !am_task_may_be_asked(kind))
        am_fault_add(&f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/kind"}, "kind must be %s (got \"%.40s\")",
                     am_task_kinds, kind);
    else if (am_streq(kind, "backup"))
        target_file(r, target, &more, &f);
    else if (am_streq(kind, "verify") && target)
        target_version(r, target, &more, &f);
    else if (kind && target)
        am_fault_add(&f, AM_E_INVALID_PARAMS, TARGET, "a task %s has no target: it looks at the whole store", kind);
    else if (am_streq(kind, "scrub"))
        share_of_scrub(r, &more, &f);
    if (!f.n)
        return am_task_reply(r, idem, kind, more);
    json_decref(more);
    return am_reply_faults(r, &f);
}

int am_api_task_create(struct am_req *r)
{
    return am_idem_once(r, am_reply_accepted, create);
}

static int verify(struct am_req *r, const struct am_idem *idem)
{
    int queued = MHD_NO;
    int64_t version;
    json_t *more = NULL;
    if (am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    int rc = am_version_brief(am_store_read(r->srv->store), version, take_commit, &more);
    return rc < 0 ? am_reply_error(r, rc, "the version could not be read") : am_task_reply(r, idem, "verify", more);
}

int am_api_version_verify(struct am_req *r)
{
    return am_idem_once(r, am_reply_accepted, verify);
}
