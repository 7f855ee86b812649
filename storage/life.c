/*
 * life.c - see life.h: the first phase of deleting, its way back, and what people note. The second phase is expunge.c,
 * the time of retention retention.c.
 */
#include "storage/life.h"
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/models_priv.h"

#include <stdio.h>
#include <string.h>

static void copy(char *to, size_t cap, const char *from)
{
    snprintf(to, cap, "%s", from ? from : "");
}

static int take_life(sqlite3_stmt *st, struct am_life *ret)
{
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    struct am_life l = {.id = sqlite3_column_int64(st, 0),
                        .model = sqlite3_column_int64(st, 1),
                        .rev = sqlite3_column_int64(st, 2),
                        .deleted_at = sqlite3_column_int64(st, 3),
                        .gone_at = sqlite3_column_int64(st, 4),
                        .number = sqlite3_column_int64(st, 9)};
    copy(l.name, sizeof l.name, am_col_text(st, 5));
    copy(l.commit, sizeof l.commit, am_col_text(st, 6));
    copy(l.by, sizeof l.by, am_col_text(st, 7));
    copy(l.reason, sizeof l.reason, am_col_text(st, 8));
    *ret = l;
    return 0;
}

int am_life_of_model(struct am_db *db, const char *name, struct am_life *ret)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT id, id, rev, ifnull(deleted_at, 0), ifnull(gone_at, 0), name, '', deleted_by,"
                            " deleted_reason, -1 FROM model WHERE name = ?1",
                            "t", name);
    return take_life(st, ret);
}

int am_life_of_version(struct am_db *db, int64_t version, struct am_life *ret)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT v.id, v.model, v.rev, ifnull(v.deleted_at, 0), ifnull(v.gone_at, 0), m.name,"
                            " lower(hex(v.oid)), v.deleted_by, v.deleted_reason, ifnull(v.number, -1)"
                            " FROM version v JOIN model m ON m.id = v.model WHERE v.id = ?1",
                            "i", version);
    return take_life(st, ret);
}

static int tell_users(sqlite3_stmt *bound, int (*row)(void *, const struct am_user *), void *ctx)
{
    AM_STMT st = bound;
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, &(struct am_user){am_col_text(st, 0), am_col_text(st, 1)}));
    return rc;
}

int am_version_users(struct am_db *db, int64_t version, int limit, int (*row)(void *, const struct am_user *),
                     void *ctx)
{
    return tell_users(am_db_bind(db,
                                 "SELECT 'ref', name FROM ref WHERE version = ?1 UNION ALL SELECT 'job', j.uid FROM"
                                 " job_version h JOIN job j ON j.id = h.job WHERE h.version = ?1 LIMIT ?2",
                                 "ii", version, (int64_t)limit),
                      row, ctx);
}

int am_model_users(struct am_db *db, int64_t model, int limit, int (*row)(void *, const struct am_user *), void *ctx)
{
    return tell_users(am_db_bind(db,
                                 "SELECT 'job', j.uid FROM job j WHERE j.id IN (SELECT h.job FROM job_version h JOIN"
                                 " version v ON v.id = h.version WHERE v.model = ?1 UNION SELECT p.id FROM model m JOIN"
                                 " job p INDEXED BY job_publish_model ON p.publish_model = m.name WHERE m.id = ?1 AND"
                                 " p.state IN ('queued', 'running', 'cancelling')) ORDER BY j.id LIMIT ?2",
                                 "ii", model, (int64_t)limit),
                      row, ctx);
}

#define WALK_MAX "20000" /* versions that one answer looks at */

int am_life_descendants(struct am_db *db, int64_t model, int64_t version, int limit,
                        int (*row)(void *, const struct am_descendant *), void *ctx, int64_t *ret_total)
{
    AM_STMT st =
        am_db_bind(db,
                   "WITH RECURSIVE down (id) AS (SELECT id FROM version WHERE id = ?2 OR (?1 > 0 AND model = ?1)"
                   " UNION SELECT e.child FROM down d JOIN edge e ON e.parent = d.id LIMIT " WALK_MAX ")"
                   " SELECT m.name, lower(hex(v.oid)), ifnull(v.number, -1) FROM down d JOIN version v ON v.id = d.id"
                   " JOIN model m ON m.id = v.model WHERE v.id <> ?2 AND v.model <> ?1 AND v.deleted_at IS NULL"
                   " AND m.deleted_at IS NULL ORDER BY v.id",
                   "ii", model, version);
    int64_t n = 0;
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        if (n++ < limit)
            AM_TRY(
                row(ctx, &(struct am_descendant){am_col_text(st, 0), am_col_text(st, 1), sqlite3_column_int64(st, 2)}));
    }
    if (rc == 0)
        *ret_total = n;
    return rc;
}

static int is_used(void *ctx, const struct am_user *user)
{
    (void)ctx;
    (void)user;
    return -AM_E_VERSION_IN_USE;
}

/* The row changed by the last statement, or the state that forbade it. */
static int changed(struct am_db *db, int otherwise)
{
    return am_db_changes(db) == 1 ? 0 : -otherwise;
}

/* `sign` -1: its files count no more in its model. */
static int count(struct am_db *db, int64_t version, int64_t sign)
{
    return am_db_exec(db,
                      "UPDATE model SET rev = rev + 1, versions = versions + ?2, logical_bytes = logical_bytes + ?2 *"
                      " (SELECT bytes FROM version WHERE id = ?1) WHERE id = (SELECT model FROM version WHERE id = ?1)",
                      "ii", version, sign);
}

int am_version_delete(struct am_db *db, const struct am_deletion *d)
{
    struct am_life l;
    AM_TRY(am_life_of_version(db, d->id, &l));
    if (l.number == 0)
        return -AM_E_CONFLICT;
    if (l.deleted_at)
        return -AM_E_VERSION_GONE;
    AM_TRY(am_version_users(db, d->id, 1, is_used, NULL));
    AM_TRY(am_db_exec(db,
                      "UPDATE version SET deleted_at = ?2, deleted_by = ?3, deleted_reason = ?4, rev = rev + 1"
                      " WHERE id = ?1",
                      "iitt", d->id, d->now, d->by, d->reason));
    AM_TRY(count(db, d->id, -1));
    return am_event_life(
        db, &(struct am_life_event){
                .at = d->now, .version = d->id, .type = "model.deleted", .by = d->by, .reason = d->reason});
}

int am_version_restore(struct am_db *db, int64_t version, int64_t now, const char *by)
{
    struct am_life l, m;
    AM_TRY(am_life_of_version(db, version, &l));
    AM_TRY(am_life_of_model(db, l.name, &m));
    if (l.gone_at)
        return -AM_E_VERSION_GONE;
    if (!l.deleted_at || m.deleted_at)
        return -AM_E_CONFLICT;
    AM_TRY(am_db_exec(db,
                      "UPDATE version SET deleted_at = NULL, deleted_by = NULL, deleted_reason = NULL, held_at = ?2,"
                      " rev = rev + 1 WHERE id = ?1",
                      "ii", version, now));
    AM_TRY(count(db, version, 1));
    return am_event_life(db,
                         &(struct am_life_event){.at = now, .version = version, .type = "model.restored", .by = by});
}

int am_model_delete(struct am_db *db, const struct am_deletion *d)
{
    AM_TRY(am_model_users(db, d->id, 1, is_used, NULL));
    AM_TRY(am_db_exec(db,
                      "UPDATE model SET deleted_at = ?2, deleted_by = ?3, deleted_reason = ?4, rev = rev + 1"
                      " WHERE id = ?1 AND deleted_at IS NULL",
                      "iitt", d->id, d->now, d->by, d->reason));
    AM_TRY(changed(db, AM_E_VERSION_GONE));
    return am_event_life(db,
                         &(struct am_life_event){
                             .at = d->now, .model = d->id, .type = "model.deleted", .by = d->by, .reason = d->reason});
}

int am_model_restore(struct am_db *db, int64_t model, int64_t now, const char *by)
{
    int64_t gone = 0;
    AM_TRY(am_db_int(db, &gone,
                     "SELECT gone_at IS NOT NULL OR EXISTS (SELECT 1 FROM version WHERE model = ?1 AND gone_at IS"
                     " NOT NULL AND deleted_at = m.deleted_at) FROM model m WHERE id = ?1",
                     "i", model));
    if (gone)
        return -AM_E_VERSION_GONE;
    AM_TRY(am_db_exec(db,
                      "UPDATE model SET deleted_at = NULL, deleted_by = NULL, deleted_reason = NULL, rev = rev + 1"
                      " WHERE id = ?1 AND deleted_at IS NOT NULL",
                      "i", model));
    AM_TRY(changed(db, AM_E_CONFLICT));
    return am_event_life(db, &(struct am_life_event){.at = now, .model = model, .type = "model.restored", .by = by});
}

/* What a patch named, not the values: these may be long, and are read from the thing itself. */
static int tell_changed(struct am_db *db, struct am_life_event e, const char *const *named, size_t n)
{
    char more[160] = "{\"changed\":[";
    for (size_t i = 0; i < n; i++)
        if (named[i])
            snprintf(more + strlen(more), sizeof more - strlen(more), "%s\"%s\"",
                     more[strlen(more) - 1] == '[' ? "" : ",", named[i]);
    snprintf(more + strlen(more), sizeof more - strlen(more), "]}");
    e.type = "model.changed";
    e.more = more;
    return am_event_life(db, &e);
}

int am_model_patch(struct am_db *db, int64_t model, const struct am_model_patch *p)
{
    AM_TRY(am_db_exec(db,
                      "UPDATE model SET description = ifnull(?2, description), labels = ifnull(?3, labels),"
                      " private = iif(?4 < 0, private, ?4), keep_days = iif(?5 < -1, keep_days, iif(?5 < 0, NULL, ?5)),"
                      " rev = rev + 1 WHERE id = ?1 AND deleted_at IS NULL",
                      "ittii", model, p->description, p->labels, p->is_private ? (int64_t)*p->is_private : INT64_C(-1),
                      p->keep_days ? *p->keep_days : INT64_C(-2)));
    AM_TRY(changed(db, AM_E_NOT_FOUND));
    const char *const named[] = {p->description ? "description" : NULL, p->labels ? "labels" : NULL,
                                 p->is_private ? "private" : NULL, p->keep_days ? "retention" : NULL};
    return tell_changed(db, (struct am_life_event){.at = p->now, .model = model, .by = p->by}, named, 4);
}

int am_version_patch(struct am_db *db, int64_t version, const struct am_version_patch *p)
{
    /* a pin that is taken away leaves the version the whole time of retention */
    AM_TRY(am_db_exec(db,
                      "UPDATE version SET labels = ifnull(?2, labels), note = iif(?3, NULL, ifnull(?4, note)),"
                      " held_at = iif(?5 = 0 AND pinned = 1, ?6, held_at), pinned = iif(?5 < 0, pinned, ?5),"
                      " rev = rev + 1 WHERE id = ?1 AND deleted_at IS NULL",
                      "ititii", version, p->labels, (int64_t)p->no_note, p->note,
                      p->pinned ? (int64_t)*p->pinned : INT64_C(-1), p->now));
    AM_TRY(changed(db, AM_E_REVISION_NOT_FOUND));
    const char *const named[] = {p->labels ? "labels" : NULL, p->note || p->no_note ? "note" : NULL,
                                 p->pinned ? "pinned" : NULL};
    return tell_changed(db, (struct am_life_event){.at = p->now, .version = version, .by = p->by}, named, 3);
}
