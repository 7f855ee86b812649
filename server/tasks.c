/*
 * tasks.c - see tasks.h.
 */
#include "server/tasks.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/export.h"
#include "server/json.h"
#include "storage/backup.h"
#include "storage/check.h"
#include "storage/collect.h"
#include "storage/jobs.h"
#include "storage/life.h"
#include "storage/models.h"
#include "storage/purge.h"
#include "storage/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAMAGED_MAX = 100, VERSIONS_MAX = 20 };

struct run {
    struct am_store *store;
    const struct am_config *cfg;
    struct am_claim *job;
    const struct am_work *work;
    json_t *damaged;
    char *why;
    size_t why_cap;
};

/* ---- gc ---- */

static int run_gc(struct run *t, json_t **ret)
{
    struct am_collected c = {0};
    const struct am_collect in = {.now = am_now_ms(),
                                  .grace_ms = (int64_t)t->cfg->gc_grace_seconds * 1000,
                                  .keep_logs_ms = (int64_t)t->cfg->keep_logs_seconds * 1000};
    AM_TRY(am_collect(t->store, &in, t->work, &c, t->why, t->why_cap));
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", "gc", "versions",
                     (json_int_t)c.versions, "blobs", (json_int_t)c.blobs, "blob_bytes", (json_int_t)c.blob_bytes,
                     "orphans", (json_int_t)c.orphans, "orphan_bytes", (json_int_t)c.orphan_bytes, "logs",
                     (json_int_t)c.logs, "log_bytes", (json_int_t)c.log_bytes, "staging", (json_int_t)c.staging,
                     "grace_seconds", (json_int_t)t->cfg->gc_grace_seconds, "keep_logs_seconds",
                     (json_int_t)t->cfg->keep_logs_seconds);
    return 0;
}

/* ---- verify ---- */

static int add_version(void *ctx, const char *model, const char *commit)
{
    char text[300];
    snprintf(text, sizeof text, "%s@%s", model, commit);
    return json_array_append_new(ctx, json_string(text)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static int add_damaged(void *ctx, struct am_db *db, const struct am_damage *d)
{
    struct run *t = ctx;
    int64_t total = 0;
    if (json_array_size(t->damaged) >= DAMAGED_MAX)
        return 0; /* counted */
    json_t *versions = json_array();
    int rc = am_damage_versions(db, d, VERSIONS_MAX, add_version, versions, &total);
    json_t *o = json_pack("{s:s, s:s, s:o, s:I}", d->assembled ? "content" : "blob", d->sha256, "reason",
                          d->assembled ? "assembled-sha256" : d->reason, "versions", versions, "versions_total",
                          (json_int_t)total);
    return json_array_append_new(t->damaged, o) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

static int find_version(struct run *t, const char *model, const char *commit, int64_t *ret)
{
    struct am_db *db = am_store_read(t->store);
    int rc = db ? am_rev_resolve(db, model, commit, ret, NULL) : -AM_E_INTERNAL;
    if (rc < 0)
        snprintf(t->why, t->why_cap, "%s@%s is no longer in the store", model, commit);
    return rc;
}

static int warn_damaged(struct run *t, int64_t n)
{
    char text[200];
    if (n == 0)
        return 0;
    snprintf(
        text, sizeof text,
        "%lld stored files are damaged; jobs and downloads that would read them are refused. Bring them back below "
        "blobs/ from a backup, then verify again",
        (long long)n);
    return am_claim_warn(t->job, am_err_slug(AM_E_STORE_DAMAGED), text);
}

static int verify(struct run *t, const struct am_verify_scope *scope, const char *text, json_t **ret)
{
    struct am_verified v = {0};
    AM_TRY(am_verify(t->store, scope, t->work, add_damaged, t, &v, t->why, t->why_cap));
    AM_TRY(warn_damaged(t, v.damaged));
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:O, s:I}", "kind", t->job->method, "scope", text, "blobs",
                     (json_int_t)v.blobs, "bytes", (json_int_t)v.bytes, "assembled", (json_int_t)v.assembled,
                     "repaired", (json_int_t)v.repaired, "damaged", t->damaged, "damaged_total", (json_int_t)v.damaged);
    return 0;
}

static int run_verify(struct run *t, json_t **ret)
{
    const char *model = json_string_value(json_object_get(t->job->resolved, "model"));
    const char *commit = json_string_value(json_object_get(t->job->resolved, "commit"));
    char scope[300] = "all";
    int64_t version = 0;
    if (model && commit) {
        AM_TRY(find_version(t, model, commit, &version));
        snprintf(scope, sizeof scope, "%s@%s", model, commit);
    }
    return verify(t, &(struct am_verify_scope){.version = version}, scope, ret);
}

static int run_scrub(struct run *t, json_t **ret)
{
    char text[100], at[AM_TIME_TEXT];
    const json_t *before = json_object_get(t->job->resolved, "before"),
                 *budget = json_object_get(t->job->resolved, "budget_bytes");
    if (!json_is_integer(before) || !json_is_integer(budget) || json_integer_value(before) <= 0)
        return -AM_E_BAD_SPEC;
    am_time_text(json_integer_value(before), at);
    snprintf(text, sizeof text, "not read since %s", at);
    return verify(t,
                  &(struct am_verify_scope){.before = json_integer_value(before), .budget = json_integer_value(budget)},
                  text, ret);
}

/* ---- backup ---- */

static void squeeze(char *s, const char *drop)
{
    char *to = s;
    for (; *s; s++)
        if (!strchr(drop, *s))
            *to++ = *s;
    *to = 0;
}

int am_task_backup_name(struct am_store *store, const struct am_config *cfg, const char *prefix, int64_t now, char *ret,
                        size_t cap)
{
    char at[AM_TIME_TEXT];
    am_time_text(now, at);
    squeeze(at, "-:.");
    if (cfg->backup_dir[0]) {
        int n = snprintf(ret, cap, "%s/%s%s.db", cfg->backup_dir, prefix, at);
        return n > 0 && (size_t)n < cap ? 0 : -AM_E_TOO_LARGE;
    }
    AM_TRY(am_sys_mkdir(am_store_dirfd(store), "backup", 0750));
    char *real = realpath(am_store_path(store), NULL);
    if (!real)
        return -AM_E_INTERNAL;
    int n = snprintf(ret, cap, "%s/backup/%s%s.db", real, prefix, at);
    free(real);
    return n > 0 && (size_t)n < cap ? 0 : -AM_E_TOO_LARGE;
}

static int run_backup(struct run *t, json_t **ret)
{
    const char *target = json_string_value(json_object_get(t->job->resolved, "target"));
    struct am_backed_up b = {0};
    if (!target)
        return -AM_E_BAD_SPEC;
    AM_TRY(am_backup(t->store, target, t->job->attempt > 1, t->work, &b, t->why, t->why_cap));
    int64_t removed = 0;
    if (json_is_true(json_object_get(t->job->resolved, "scheduled")) &&
        am_backup_rotate(target, AM_BACKUP_PREFIX, t->cfg->backup_keep, &removed) < 0)
        AM_TRY(am_claim_warn(t->job, am_err_slug(AM_E_CANNOT_WRITE), "old backups could not be removed"));
    *ret = json_pack("{s:s, s:s, s:I, s:o, s:I}", "kind", "backup", "target", target, "bytes", (json_int_t)b.bytes,
                     "committed_until", am_json_time(b.at), "removed", (json_int_t)removed);
    return 0;
}

/* ---- check ---- */

static int run_check(struct run *t, json_t **ret)
{
    struct am_checked c = {0};
    AM_TRY(am_check(t->store, t->work, &c, t->why, t->why_cap));
    json_t *list = json_array();
    for (int64_t i = 0; i < c.findings && i < AM_CHECK_FINDINGS; i++)
        json_array_append_new(list, json_string(c.finding[i]));
    *ret = json_pack("{s:s, s:i, s:o, s:I}", "kind", "check", "tables", c.tables, "findings", list, "findings_total",
                     (json_int_t)c.findings);
    if (c.findings)
        return am_claim_warn(t->job, am_err_slug(AM_E_STORE_DAMAGED),
                             "the database is damaged: new jobs are refused. Stop amendd and put a backup in its "
                             "place: amendd restore FILE");
    return 0;
}

/* ---- export ---- */

static int run_export(struct run *t, json_t **ret)
{
    const json_t *r = t->job->resolved;
    struct am_export x = {.uid = t->job->uid,
                          .model = json_string_value(json_object_get(r, "model")),
                          .commit = json_string_value(json_object_get(r, "commit")),
                          .path = json_string_value(json_object_get(r, "path")),
                          .overwrite = json_is_true(json_object_get(r, "overwrite"))};
    if (!x.model || !x.commit || !x.path)
        return -AM_E_BAD_SPEC;
    return am_export_run(t->store, t->cfg, &x, t->work, ret, t->why, t->why_cap);
}

/* ---- retention ---- */

struct expiry {
    int64_t id[100], now, days;
    int n, at;
};

static int expire_one(struct am_db *db, void *arg)
{
    struct expiry *e = arg;
    return am_expire(db, e->id[e->at], e->now, e->days);
}

static int name_of(struct am_db *db, int64_t version, char out[300])
{
    struct am_life l;
    AM_TRY(am_life_of_version(db, version, &l));
    snprintf(out, 300, "%s@%s", l.name, l.commit);
    return 0;
}

static int run_retention(struct run *t, json_t **ret)
{
    struct expiry e = {.now = am_now_ms(), .days = (int64_t)t->cfg->unreferenced_days};
    struct am_db *db = am_store_read(t->store);
    json_auto_t *deleted = json_array();
    json_int_t total = 0;
    char name[300];
    for (int64_t after = 0; db; after = e.id[e.n - 1]) {
        AM_TRY(am_expired(db, e.now, e.days, after, 100, e.id, &e.n));
        for (e.at = 0; e.at < e.n; e.at++) {
            am_work_tell(t->work,
                         (struct am_work_step){.phase = "versions", .unit = "versions", .done = (uint64_t)total});
            if (am_work_stopped(t->work))
                return -AM_E_CANCELLED;
            int rc = am_store_write(t->store, expire_one, &e);
            AM_TRY(rc);
            total += rc;
            if (rc && total <= DAMAGED_MAX && name_of(db, e.id[e.at], name) == 0)
                json_array_append_new(deleted, json_string(name));
        }
        if (e.n < 100)
            break;
    }
    *ret = json_pack("{s:s, s:O, s:I, s:I}", "kind", "retention", "deleted", deleted, "deleted_total", total,
                     "unreferenced_days", (json_int_t)e.days);
    return db ? 0 : -AM_E_INTERNAL;
}

/* ---- purge ---- */

enum { PURGED_MAX = 1000 };

struct purge {
    struct am_purge in;
    json_t *removed, *shared, *held;
};

/* Into the list that its fate belongs to, with those who read it. */
static int add_purged(void *ctx, struct am_db *db, const struct am_purge_blob *b)
{
    struct purge *p = ctx;
    bool shared = am_streq(b->why, "shared");
    json_t *list = shared ? p->shared : b->why ? p->held : p->removed, *readers = json_array();
    const char *read = b->packed ? b->packed : b->sha256;
    if (json_array_size(list) >= PURGED_MAX) {
        json_decref(readers);
        return 0; /* counted */
    }
    int rc = am_purge_readers(db, &p->in, read, VERSIONS_MAX, add_version, readers);
    json_t *o = json_pack("{s:s, s:I, s:I, s:o}", "blob", b->sha256, "bytes", (json_int_t)b->bytes, "kept_bytes",
                          (json_int_t)b->kept, "kept_by", readers);
    if (b->packed)
        json_object_set_new(o, "packed_into", json_string(b->packed));
    if (b->why && !shared)
        json_object_set_new(o, "why", json_string(b->why));
    return json_array_append_new(list, o) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

/* The scope: a deleted version, or all of a deleted model. */
static int purge_scope(struct run *t, struct am_purge *in, char scope[300])
{
    const char *model = json_string_value(json_object_get(t->job->resolved, "model"));
    const char *commit = json_string_value(json_object_get(t->job->resolved, "commit"));
    struct am_db *db = am_store_read(t->store);
    struct am_life m, v = {0};
    if (!db || !model)
        return db ? -AM_E_BAD_SPEC : -AM_E_INTERNAL;
    snprintf(scope, 300, "%s%s%s", model, commit ? "@" : "", commit ? commit : "");
    AM_TRY(am_life_of_model(db, model, &m));
    if (commit) {
        AM_TRY(am_rev_resolve_any(db, model, commit, &in->version));
        AM_TRY(am_life_of_version(db, in->version, &v));
    }
    in->model = m.id;
    if (m.deleted_at || v.deleted_at)
        return 0;
    snprintf(t->why, t->why_cap, "%s was restored before the purge began; nothing was removed", scope);
    return -AM_E_CONFLICT;
}

static int warn_held(struct run *t, const struct am_purged *d)
{
    char text[200];
    if (!d->held)
        return 0;
    snprintf(text, sizeof text,
             "%lld stored files could not be removed now and still hold bytes of what was purged: result.held says why",
             (long long)d->held);
    return am_claim_warn(t->job, "purge-incomplete", text);
}

static int run_purge(struct run *t, json_t **ret)
{
    char scope[300], staging[100];
    struct am_purged d = {0};
    json_auto_t *removed = json_array(), *shared = json_array(), *held = json_array();
    snprintf(staging, sizeof staging, "%.64s.%d", t->job->uid, t->job->attempt);
    struct purge p = {
        .in = {.now = am_now_ms(), .staging = staging}, .removed = removed, .shared = shared, .held = held};
    AM_TRY(purge_scope(t, &p.in, scope));
    AM_TRY(am_purge(t->store, &p.in, t->work, add_purged, &p, &d, t->why, t->why_cap));
    AM_TRY(warn_held(t, &d));
    *ret = json_pack("{s:s, s:s, s:I, s:O, s:I, s:I, s:I, s:I, s:O, s:I, s:O, s:I}", "kind", "purge", "scope", scope,
                     "versions", (json_int_t)d.versions, "removed", removed, "removed_total", (json_int_t)d.removed,
                     "removed_bytes", (json_int_t)d.removed_bytes, "packed_total", (json_int_t)d.packed, "packed_bytes",
                     (json_int_t)d.packed_bytes, "shared", shared, "shared_total", (json_int_t)d.shared, "held", held,
                     "held_total", (json_int_t)d.held);
    return 0;
}

/* ---- the table ---- */

static const struct {
    const char *kind;
    int (*run)(struct run *t, json_t **ret);
    bool own_route; /* POST /v1/admin/tasks does not take it */
} kinds[] = {{"gc", run_gc, false},         {"verify", run_verify, false}, {"scrub", run_scrub, false},
             {"backup", run_backup, false}, {"check", run_check, false},   {"retention", run_retention, false},
             {"purge", run_purge, true},    {"export", run_export, true}};
enum { KINDS = sizeof kinds / sizeof *kinds };
const char am_task_kinds[] = "gc, verify, scrub, backup, check or retention";

static int find(const char *kind)
{
    for (int i = 0; i < KINDS; i++)
        if (am_streq(kinds[i].kind, kind))
            return i;
    return -1;
}

bool am_task_known(const char *kind)
{
    return find(kind) >= 0;
}

bool am_task_may_be_asked(const char *kind)
{
    int i = find(kind);
    return i >= 0 && !kinds[i].own_route;
}

int am_task_run(struct am_store *store, const struct am_config *cfg, struct am_claim *job, const struct am_work *work,
                json_t **ret_result, char *why, size_t why_cap)
{
    json_auto_t *damaged = json_array();
    struct run t = {
        .store = store, .cfg = cfg, .job = job, .work = work, .damaged = damaged, .why = why, .why_cap = why_cap};
    int i = find(job->method);
    json_t *result = NULL;
    snprintf(why, why_cap, "the task %s could not be run", job->method);
    int rc = i < 0 ? -AM_E_UNSUPPORTED : kinds[i].run(&t, &result);
    if (rc == 0 && !result)
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc < 0)
        json_decref(result);
    else
        *ret_result = result;
    return rc;
}

/* ---- rows ---- */

struct added {
    struct am_job_new job;
    int (*also)(struct am_db *db, const char *uid, void *arg);
    void *arg;
};

static int insert(struct am_db *db, void *arg)
{
    struct added *a = arg;
    AM_TRY(am_job_insert(db, &a->job));
    return a->also ? a->also(db, a->job.uid, a->arg) : 0;
}

int am_task_queue(struct am_store *store, const struct am_config *cfg, const char *kind, json_t *more,
                  int (*also)(struct am_db *db, const char *uid, void *arg), void *arg, char *ret_uid)
{
    struct added a = {.also = also, .arg = arg};
    char digest[65];
    json_auto_t *spec = json_pack("{s:s, s:s}", "type", "task", "method", kind);
    if (spec && more)
        json_object_update(spec, more);
    json_decref(more);
    char *text = spec ? am_canon(spec) : NULL;
    int64_t now = am_now_ms();
    am_id_new("job_", now, ret_uid);
    a.job = (struct am_job_new){.uid = ret_uid,
                                .type = "task",
                                .method = kind,
                                .created_by = "local",
                                .spec = text,
                                .resolved = text,
                                .plan = "null",
                                .warnings = "[]",
                                .spec_sha256 = digest,
                                .priority = 50,
                                .now = now,
                                .max_attempts = 1,
                                .queue_limit = (int64_t)cfg->queue_max};
    int rc = text && am_canon_sha256(spec, digest) == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_store_write(store, insert, &a);
    free(text);
    return rc;
}

struct ending {
    const char *uid, *result, *warnings;
};

static int finish(struct am_db *db, void *arg)
{
    struct ending *e = arg;
    enum am_job_state state;
    AM_TRY(am_job_state_get(db, e->uid, &state));
    if (am_state_terminal(state))
        return 0;
    /* the work is done and stays done, but who asked for the end first is told that it came */
    enum am_job_state to = state == AM_CANCELLING ? AM_CANCELLED_ : AM_SUCCEEDED;
    return am_job_finish(db, e->uid, to, am_now_ms(), e->result, NULL, e->warnings);
}

int am_task_finish(struct am_store *store, struct am_claim *job, const json_t *result)
{
    struct ending e = {.uid = job->uid};
    char *text = json_dumps(result, JSON_COMPACT), *warnings = json_dumps(job->warnings, JSON_COMPACT);
    e.result = text;
    e.warnings = warnings;
    int rc = text && warnings ? am_store_write(store, finish, &e) : -AM_E_OUT_OF_MEMORY;
    free(text);
    free(warnings);
    return rc;
}
