/*
 * tasks_versions.c - the tasks about versions: export, retention, purge.
 */
#include "server/tasks_parts.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/export.h"
#include "storage/life.h"
#include "storage/models.h"
#include "storage/purge.h"

#include <stdio.h>

/* ---- export ---- */

int am_task_export(struct am_task *t, json_t **ret)
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

int am_task_retention(struct am_task *t, json_t **ret)
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
            if (rc && total <= AM_TASK_TOLD_MAX && name_of(db, e.id[e.at], name) == 0)
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
    int rc = am_purge_readers(db, &p->in, read, AM_TASK_VERSIONS_MAX, am_task_add_version, readers);
    json_t *o = json_pack("{s:s, s:I, s:I, s:o}", "blob", b->sha256, "bytes", (json_int_t)b->bytes, "kept_bytes",
                          (json_int_t)b->kept, "kept_by", readers);
    if (b->packed)
        json_object_set_new(o, "packed_into", json_string(b->packed));
    if (b->why && !shared)
        json_object_set_new(o, "why", json_string(b->why));
    return json_array_append_new(list, o) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

/* The scope: a deleted version, or all of a deleted model. */
static int purge_scope(struct am_task *t, struct am_purge *in, char scope[300])
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

static int warn_held(struct am_task *t, const struct am_purged *d)
{
    char text[200];
    if (!d->held)
        return 0;
    snprintf(text, sizeof text,
             "%lld stored files could not be removed now and still hold bytes of what was purged: result.held says why",
             (long long)d->held);
    return am_claim_warn(t->job, "purge-incomplete", text);
}

int am_task_purge(struct am_task *t, json_t **ret)
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
