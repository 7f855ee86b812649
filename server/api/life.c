/*
 * life.c - DELETE and restore of models and versions (api.md, Deleting). Deleting is a mark (storage/life.h); with
 * ?purge=true the same transaction queues the task that removes the bytes.
 */
#include "storage/life.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "server/tasks.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { USERS_MAX = 20, DESCENDANTS_MAX = 100, REASON_MAX = 255 };

struct removal {
    struct am_req *r;
    char model[200];
    const char *reason;
    bool purge, of_version;
    int64_t model_id, version;
    /* of the transaction */
    char etag[AM_ETAG];
    struct am_life life;
    struct am_faults users;
};

/* ---- what is deleted already ---- */

static void time_text(int64_t ms, char out[AM_TIME_TEXT])
{
    am_time_text(ms, out);
}

/* What became of it and what can be done, as one sentence. */
static void tell(struct am_req *r, const struct am_life *l, const char *what, const char *url, char *out, size_t cap)
{
    char at[AM_TIME_TEXT], until[AM_TIME_TEXT];
    time_text(l->deleted_at, at);
    time_text(l->deleted_at + (int64_t)r->srv->cfg->gc_grace_seconds * 1000, until);
    if (l->gone_at)
        snprintf(out, cap, "%s was deleted at %s by %s and its files are removed", what, at, l->by);
    else
        snprintf(out, cap,
                 "%s was deleted at %s by %s; POST %s/restore takes that back, until the first gc after %s removes its "
                 "files (DELETE with ?purge=true does it now)",
                 what, at, l->by, url, until);
}

void am_model_deleted(struct am_req *r, struct am_db *db, const char *name, char *out, size_t cap)
{
    struct am_life l;
    char what[220], url[260];
    out[0] = 0;
    if (!db || am_life_of_model(db, name, &l) < 0 || !l.deleted_at || l.gone_at)
        return;
    snprintf(what, sizeof what, "the model %s", name);
    snprintf(url, sizeof url, "/v1/models/%s", name);
    tell(r, &l, what, url, out, cap);
}

void am_version_deleted(struct am_req *r, struct am_db *db, const char *model, const char *rev, char *out, size_t cap)
{
    struct am_life l;
    char what[300], url[320];
    int64_t version;
    out[0] = 0;
    if (am_rev_resolve_any(db, model, rev, &version) < 0 || am_life_of_version(db, version, &l) < 0 || !l.deleted_at)
        return;
    snprintf(what, sizeof what, "the version %s@%.100s", model, rev);
    snprintf(url, sizeof url, "/v1/models/%s/versions/%s", model, l.commit);
    tell(r, &l, what, url, out, cap);
}

/* ---- the transaction ---- */

static int take_model_etag(void *ctx, const struct am_model_row *m)
{
    am_model_etag(m, ctx);
    return 0;
}

struct seen {
    const struct am_config *cfg;
    char *etag;
};

static int take_version_etag(void *ctx, const struct am_version_row *v)
{
    struct seen *s = ctx;
    am_version_etag(s->cfg, v, s->etag);
    return 0;
}

/* The ETag of its present state. What is deleted has one too: a purge may come later. */
static int find_etag(struct am_db *db, struct removal *d)
{
    const struct am_life *l = &d->life;
    if (l->deleted_at) {
        snprintf(d->etag, sizeof d->etag, "%s%lld-deleted-%lld", d->of_version ? "v" : "m", (long long)l->id,
                 (long long)l->rev);
        return 0;
    }
    if (!d->of_version)
        return am_model_get(db, d->model, take_model_etag, d->etag);
    struct seen s = {d->r->srv->cfg, d->etag};
    return am_version_get(db, d->version, take_version_etag, &s);
}

static int look(struct am_db *db, struct removal *d)
{
    struct am_life m;
    AM_TRY(am_life_of_model(db, d->model, &m));
    d->model_id = m.id;
    d->life = m;
    if (!d->of_version)
        return 0;
    if (m.deleted_at && !m.gone_at)
        return -AM_E_NOT_FOUND;
    return am_life_of_version(db, d->version, &d->life);
}

static int add_user(void *ctx, const struct am_user *u)
{
    struct removal *d = ctx;
    if (am_streq(u->kind, "ref"))
        am_fault_add(&d->users, AM_E_VERSION_IN_USE, (struct am_where){0},
                     "the ref %s names it; move or delete the ref first", u->name);
    else
        am_fault_add(&d->users, AM_E_VERSION_IN_USE, (struct am_where){0},
                     "the job %s, which has not ended, %s; wait for it or cancel it", u->name,
                     d->of_version ? "names it" : "reads one of its versions or publishes into it");
    return 0;
}

static int remove_now(struct am_db *db, void *arg)
{
    struct removal *d = arg;
    am_faults_done(&d->users);
    d->users = (struct am_faults){0};
    AM_TRY(look(db, d));
    if (d->life.deleted_at && !d->purge) /* a purge may come again: something may have been held */
        return -AM_E_VERSION_GONE;
    AM_TRY(find_etag(db, d));
    if (!am_etag_matches(d->r, MHD_HTTP_HEADER_IF_MATCH, d->etag))
        return -AM_E_PRECONDITION_FAILED;
    if (d->life.deleted_at)
        return 0;
    const struct am_deletion how = {
        .id = d->of_version ? d->version : d->model_id, .now = am_now_ms(), .by = "local", .reason = d->reason};
    int rc = d->of_version ? am_version_delete(db, &how) : am_model_delete(db, &how);
    if (rc == -AM_E_VERSION_IN_USE) {
        AM_TRY(d->of_version ? am_version_users(db, d->version, USERS_MAX, add_user, d)
                             : am_model_users(db, d->model_id, USERS_MAX, add_user, d));
        return rc;
    }
    AM_TRY(rc);
    AM_TRY(look(db, d));
    return find_etag(db, d);
}

static int remove_with_task(struct am_db *db, const char *uid, void *arg)
{
    (void)uid;
    return remove_now(db, arg);
}

/* ---- answers ---- */

static int add_descendant(void *ctx, const struct am_descendant *d)
{
    return am_json_add(
        ctx, json_pack("{s:s, s:s, s:o}", "model", d->model, "commit", d->commit, "number", am_json_count(d->number)));
}

static json_t *deletion_json(struct removal *d, json_t *descendants, int64_t total)
{
    const struct am_life *l = &d->life;
    char url[320];
    snprintf(url, sizeof url, "/v1/models/%s%s%s/restore", d->model, d->of_version ? "/versions/" : "", l->commit);
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:s, s:s?, s:o, s:O, s:I, s:{s:s}}", "object", "deletion", "model",
                     d->model, "commit", d->of_version ? l->commit : NULL, "number", am_json_count(l->number),
                     "deleted_at", am_json_time(l->deleted_at), "deleted_by", l->by, "reason",
                     l->reason[0] ? l->reason : NULL, "restorable_until",
                     am_json_time(l->deleted_at + (int64_t)d->r->srv->cfg->gc_grace_seconds * 1000), "descendants",
                     descendants, "descendants_total", (json_int_t)total, "links", "restore", url);
}

static int reply_deleted(struct removal *d)
{
    int queued = MHD_NO;
    char quoted[AM_ETAG + 2];
    int64_t total = 0;
    struct am_db *db = am_reader(d->r, &queued);
    if (!db)
        return queued;
    json_auto_t *list = json_array();
    int rc = am_life_descendants(db, d->of_version ? 0 : d->model_id, d->of_version ? d->version : 0, DESCENDANTS_MAX,
                                 add_descendant, list, &total);
    if (rc < 0)
        return am_reply_error(d->r, rc, "it is deleted; what came of it could not be listed");
    snprintf(quoted, sizeof quoted, "\"%s\"", d->etag);
    const char *headers[] = {MHD_HTTP_HEADER_ETAG, quoted, NULL};
    return am_reply_json(d->r, 200, deletion_json(d, list, total), headers);
}

static int refuse(struct removal *d, int rc)
{
    int queued = MHD_NO;
    char hint[500] = "";
    if (rc == -AM_E_PRECONDITION_FAILED && !am_req_if_match(d->r, d->etag, &queued))
        return queued;
    if (rc == -AM_E_VERSION_IN_USE)
        return am_reply_faults(d->r, &d->users);
    if (rc == -AM_E_CONFLICT)
        return am_reply_problem(
            d->r, AM_E_CONFLICT,
            "v0 is the empty commit that every model begins with; there is nothing in it to delete");
    struct am_db *db = am_store_read(d->r->srv->store);
    if (rc == -AM_E_NOT_FOUND || (rc == -AM_E_VERSION_GONE && !d->of_version && !d->life.gone_at))
        return am_reply_no_model(d->r, d->model);
    if (rc == -AM_E_VERSION_GONE && db)
        am_version_deleted(d->r, db, d->model, d->of_version ? d->life.commit : "", hint, sizeof hint);
    if (rc == -AM_E_VERSION_GONE)
        return am_reply_problem(d->r, d->life.gone_at ? AM_E_VERSION_GONE : AM_E_REVISION_NOT_FOUND, "%s",
                                hint[0] ? hint : "it is deleted and its files are removed");
    return am_reply_error(d->r, rc, "nothing was deleted");
}

static int purge(struct removal *d)
{
    char uid[64];
    int queued = MHD_NO;
    struct am_req *r = d->r;
    json_t *more = d->of_version ? json_pack("{s:s, s:s}", "model", d->model, "commit", d->life.commit)
                                 : json_pack("{s:s}", "model", d->model);
    const struct am_task_new task = {.kind = "purge", .more = more, .also = remove_with_task, .arg = d};
    int rc = am_task_queue(r->srv->store, r->srv->cfg, &task, uid);
    if (rc < 0)
        return refuse(d, rc);
    am_engine_wake(r->srv->engine);
    struct am_db *db = am_reader(r, &queued);
    json_t *job = db ? am_job_load(r, db, uid, NULL) : NULL;
    if (!db)
        return queued;
    return job ? am_reply_accepted(r, job)
               : am_reply_problem(r, AM_E_INTERNAL, "the task %s was stored and cannot be read back", uid);
}

static int run(struct removal *d)
{
    struct am_req *r = d->r;
    int queued = MHD_NO;
    d->reason = am_req_query(r, "reason");
    if (!am_req_flag(r, "purge", &d->purge, &queued))
        return queued;
    if (d->reason && strlen(d->reason) > REASON_MAX)
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?reason", "at most %d bytes", REASON_MAX);
    if (d->purge)
        return purge(d);
    int rc = am_store_write(r->srv->store, remove_now, d);
    return rc < 0 ? refuse(d, rc) : reply_deleted(d);
}

int am_api_model_delete(struct am_req *r)
{
    struct removal d = {.r = r};
    am_model_id(r, d.model);
    int queued = run(&d);
    am_faults_done(&d.users);
    return queued;
}

/* Finds it among all, since a purge and a restore are about what is deleted. */
static int find_any(struct am_req *r, struct removal *d, int *ret_queued)
{
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return -AM_E_INTERNAL;
    am_model_id(r, d->model);
    d->of_version = true;
    int rc = am_rev_resolve_any(db, d->model, r->arg[2], &d->version);
    if (rc == 0)
        return am_life_of_version(db, d->version, &d->life);
    int64_t version;
    return am_find_version(r, &version, NULL, ret_queued) < 0 ? rc : -AM_E_INTERNAL; /* says why */
}

int am_api_version_delete(struct am_req *r)
{
    int queued = MHD_NO;
    struct removal d = {.r = r};
    if (find_any(r, &d, &queued) < 0)
        return queued;
    queued = run(&d);
    am_faults_done(&d.users);
    return queued;
}

/* ---- restore ---- */

static int restore_now(struct am_db *db, void *arg)
{
    struct removal *d = arg;
    AM_TRY(look(db, d));
    return d->of_version ? am_version_restore(db, d->version, am_now_ms(), "local")
                         : am_model_restore(db, d->model_id, am_now_ms(), "local");
}

static int restore(struct removal *d)
{
    int rc = am_store_write(d->r->srv->store, restore_now, d);
    const char *what = d->of_version ? "version" : "model";
    if (rc == 0)
        return d->of_version ? am_reply_version(d->r, d->version) : am_reply_model(d->r, d->model);
    if (rc == -AM_E_NOT_FOUND)
        return am_reply_no_model(d->r, d->model);
    if (rc == -AM_E_VERSION_GONE)
        return am_reply_problem(d->r, AM_E_VERSION_GONE, "too late: the files of the %s are removed", what);
    if (rc == -AM_E_CONFLICT)
        return am_reply_problem(d->r, AM_E_CONFLICT, "the %s is not deleted", what);
    return am_reply_error(d->r, rc, "nothing was restored");
}

int am_api_model_restore(struct am_req *r)
{
    struct removal d = {.r = r};
    am_model_id(r, d.model);
    return restore(&d);
}

int am_api_version_restore(struct am_req *r)
{
    int queued = MHD_NO;
    struct removal d = {.r = r};
    return find_any(r, &d, &queued) < 0 ? queued : restore(&d);
}
