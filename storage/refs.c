/*
 * refs.c - branches, tags and aliases: the current target of each, and a history row for every move. Reading the
 * history and going back on it is ref_history.c.
 */
#include "storage/refs.h"
#include "storage/db.h"
#include "storage/events.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define REF_NAME_MAX 255

#define REF_COLUMNS                                                                                                    \
    "SELECT r.name, r.kind, lower(hex(v.oid)), r.version, ifnull(v.number, -1), r.rev, r.moved_at, r.moved_by,"        \
    " r.reason, r.protected, r.gate FROM ref r JOIN version v ON v.id = r.version"

static void fill(sqlite3_stmt *st, struct am_ref_row *r)
{
    *r = (struct am_ref_row){
        .name = am_col_text(st, 0),
        .kind = am_col_text(st, 1),
        .commit = am_col_text(st, 2),
        .version = sqlite3_column_int64(st, 3),
        .number = sqlite3_column_int64(st, 4),
        .revision = sqlite3_column_int64(st, 5),
        .moved_at = sqlite3_column_int64(st, 6),
        .moved_by = am_col_text(st, 7),
        .reason = am_col_text(st, 8),
        .is_protected = sqlite3_column_int(st, 9) != 0,
        .gate = am_col_text(st, 10),
    };
}

/* How many rows there were. */
static int walk(sqlite3_stmt *st, int (*row)(void *, const struct am_ref_row *), void *ctx)
{
    int rc, n = 0;
    for (; (rc = am_db_row(st)) > 0; n++) {
        struct am_ref_row r;
        fill(st, &r);
        AM_TRY(row(ctx, &r));
    }
    return rc < 0 ? rc : n;
}

int am_ref_list(struct am_db *db, const char *model, int (*row)(void *, const struct am_ref_row *), void *ctx)
{
    AM_STMT st = am_db_bind(
        db,
        REF_COLUMNS " WHERE r.model = (SELECT id FROM model WHERE name = ?1 AND deleted_at IS NULL) ORDER BY r.name",
        "t", model);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_NOT_FOUND; /* every model has main */
}

int am_ref_page(struct am_db *db, int64_t model, const char *kind, const char *after, int limit,
                int (*row)(void *, const struct am_ref_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db,
                            REF_COLUMNS " WHERE r.model = ?1 AND r.name > ?2 AND (?3 IS NULL OR r.kind = ?3)"
                                        " ORDER BY r.name LIMIT ?4",
                            "itti", model, after ? after : "", kind, (int64_t)limit);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : 0;
}

int am_ref_get(struct am_db *db, int64_t model, const char *name, int (*row)(void *, const struct am_ref_row *),
               void *ctx)
{
    AM_STMT st = am_db_bind(db, REF_COLUMNS " WHERE r.model = ?1 AND r.name = ?2", "it", model, name);
    return walk(st, row, ctx);
}

int am_model_row(struct am_db *db, const char *model, int64_t *ret)
{
    int rc = am_db_int(db, ret, "SELECT id FROM model WHERE name = ?1 AND deleted_at IS NULL", "t", model);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_NOT_FOUND;
}

int am_version_any(struct am_db *db, int64_t model, const char *rev, int64_t *ret)
{
    int64_t number;
    unsigned char oid[AM_COMMIT_LEN / 2];
    if (am_rev_is_number(rev, &number))
        return am_db_int(db, ret, "SELECT id FROM version WHERE model = ?1 AND number = ?2", "ii", model, number);
    if (!am_is_hex(rev, AM_COMMIT_LEN) || am_unhex(rev, sizeof oid, oid) < 0)
        return 0;
    return am_db_int(db, ret, "SELECT id FROM version WHERE model = ?1 AND oid = ?2", "ib", model, oid, sizeof oid);
}

int am_ref_look(struct am_db *db, int64_t model, const char *name, int64_t *ret_version, char ret_kind[16])
{
    AM_STMT st = am_db_bind(db, "SELECT version, kind FROM ref WHERE model = ?1 AND name = ?2", "it", model, name);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    *ret_version = sqlite3_column_int64(st, 0);
    snprintf(ret_kind, 16, "%s", am_col_text(st, 1));
    return 1;
}

int am_ref_target(struct am_db *db, int64_t model, const char *name, int64_t *ret_version)
{
    int64_t version = 0;
    char kind[16];
    AM_TRY(am_ref_look(db, model, name, &version, kind));
    *ret_version = version;
    return 0;
}

/* The event of a move, as the ref is after it; of a deleted one `to` is null. main's first step is part of the model's
 * own event. */
static int put_event(struct am_db *db, const struct am_ref_step *r)
{
    if (!r->from && am_streq(r->name, "main"))
        return 0;
    AM_STMT st = am_db_bind(
        db,
        "SELECT m.name, m.name || '@' || f.name, f.rev + iif(?4 = 0, 1, 0),"
        " json_object('ref', f.name, 'kind', f.kind, 'from', " AM_SQL_HEX("a.oid") ", 'to', " AM_SQL_HEX(
            "b.oid") ","
                     " 'by', ifnull(?5, '-'), 'reason', ifnull(?6, ''), 'decision', (SELECT uid FROM decision WHERE id "
                     "= ?7),"
                     " 'forced', json(?8))"
                     " FROM ref f JOIN model m ON m.id = f.model LEFT JOIN version a ON a.id = ?3 LEFT JOIN "
                     "version b ON b.id = ?4"
                     " WHERE f.model = ?1 AND f.name = ?2",
        "itiittit", r->model, r->name, r->from, r->to, r->by, r->reason, r->decision, r->forced ? "true" : "false");
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(db, &(struct am_event_new){.at = r->now,
                                                   .type = r->steps      ? "model.rolled_back"
                                                           : r->decision ? "model.promoted"
                                                                         : "model.ref_moved",
                                                   .job = r->job,
                                                   .subject = am_col_text(st, 1),
                                                   .model = am_col_text(st, 0),
                                                   .revision = sqlite3_column_int64(st, 2),
                                                   .data = am_col_text(st, 3)});
}

int am_ref_revision(struct am_db *db, const char *model, const char *name, int64_t *ret)
{
    int rc = am_db_int(db, ret,
                       "SELECT r.rev FROM model m JOIN ref r ON r.model = m.id WHERE m.name = ?1 AND r.name = ?2"
                       " AND m.deleted_at IS NULL",
                       "tt", model, name);
    return rc < 0 ? rc : rc ? 0 : -AM_E_NOT_FOUND;
}

/* A row of the history as the ref stands now; rev goes on where a deleted ref of that name ended, so that what somebody
   saw of the old one never fits the new one. */
static int note_move(struct am_db *db, const struct am_ref_step *r)
{
    const char *kind = !r->to ? "delete" : r->steps ? "rollback" : r->from ? "move" : "create";
    int64_t below = r->below;
    if (r->from && r->to && !r->steps)
        AM_TRY(am_db_int(db, &below, "SELECT max(id) FROM ref_move WHERE model = ?1 AND name = ?2", "it", r->model,
                         r->name));
    AM_TRY(am_db_exec(
        db,
        "INSERT INTO ref_move (model, name, kind, from_version, to_version, at, actor, reason, job, below, steps, rev,"
        " decision, forced)"
        " VALUES (?1, ?2, ?3, nullif(?4, 0), nullif(?5, 0), ?6, ifnull(?7, '-'), ifnull(?8, ''), ?9, nullif(?10, 0),"
        " nullif(?11, 0), (SELECT rev + iif(?5 = 0, 1, 0) FROM ref WHERE model = ?1 AND name = ?2), nullif(?12, 0), "
        "?13)",
        "ittiiitttiiii", r->model, r->name, kind, r->from, r->to, r->now, r->by, r->reason, r->job, below, r->steps,
        r->decision, (int64_t)r->forced));
    return put_event(db, r);
}

int am_ref_step(struct am_db *db, const struct am_ref_step *r)
{
    AM_TRY(
        am_db_exec(db,
                   "INSERT INTO ref (model, name, kind, version, moved_at, moved_by, reason, rev)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ifnull(?6, '-'), ifnull(?7, ''),"
                   " 1 + ifnull((SELECT rev FROM ref_move WHERE model = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1), 0))"
                   " ON CONFLICT (model, name) DO UPDATE SET version = excluded.version, rev = ref.rev + 1,"
                   " moved_at = excluded.moved_at, moved_by = excluded.moved_by, reason = excluded.reason",
                   "ittiitt", r->model, r->name, r->kind, r->to, r->now, r->by, r->reason));
    return note_move(db, r);
}

/* What a revision string could not tell from something else is no name. */
static bool name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= REF_NAME_MAX && am_file_path_ok(name) && !am_starts(name, "refs/") &&
           !am_is_hex(name, AM_COMMIT_LEN);
}

static int touch_model(struct am_db *db, int64_t model)
{
    return am_db_exec(db, "UPDATE model SET rev = rev + 1 WHERE id = ?1", "i", model);
}

int am_ref_move(struct am_db *db, const struct am_ref_move_new *m)
{
    if (!name_ok(m->name))
        return -AM_E_INVALID_REQUEST;
    int64_t there = 0, old = 0;
    int rc = am_db_int(db, &there, "SELECT id FROM version WHERE id = ?1 AND model = ?2 AND deleted_at IS NULL", "ii",
                       m->version, m->model);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    char old_kind[16] = "";
    AM_TRY(am_ref_look(db, m->model, m->name, &old, old_kind));
    if (old && !am_streq(old_kind, m->kind))
        return -AM_E_CONFLICT;
    if (old == m->version)
        return 0; /* not a move: no revision, no history */
    struct am_ref_step step = {.model = m->model,
                               .from = old,
                               .to = m->version,
                               .now = m->now,
                               .name = m->name,
                               .kind = m->kind,
                               .by = m->by,
                               .reason = m->reason,
                               .job = m->job,
                               .decision = m->decision,
                               .forced = m->forced};
    AM_TRY(am_ref_step(db, &step));
    return touch_model(db, m->model);
}

int am_ref_set(struct am_db *db, int64_t model, const char *name, const char *kind, int64_t version, int64_t now,
               const char *by, const char *reason, const char *job)
{
    return am_ref_move(db, &(struct am_ref_move_new){.model = model,
                                                     .version = version,
                                                     .now = now,
                                                     .name = name,
                                                     .kind = kind,
                                                     .by = by,
                                                     .reason = reason,
                                                     .job = job});
}

int am_ref_delete(struct am_db *db, int64_t model, const char *name, int64_t now, const char *by, const char *reason)
{
    if (am_streq(name, "main"))
        return -AM_E_CONFLICT;
    struct am_ref_step step = {.model = model, .now = now, .name = name, .by = by, .reason = reason};
    AM_TRY(am_ref_target(db, model, name, &step.from));
    if (!step.from)
        return -AM_E_NOT_FOUND;
    AM_TRY(note_move(db, &step));
    AM_TRY(am_db_exec(db, "DELETE FROM ref WHERE model = ?1 AND name = ?2", "it", model, name));
    return touch_model(db, model);
}

static int put_policy_event(struct am_db *db, int64_t model, const char *name, int64_t now, const char *by)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT m.name, m.name || '@' || f.name, f.rev, json_object('ref', f.name, 'kind', f.kind,"
                            " 'protected', json(iif(f.protected, 'true', 'false')), 'gate', f.gate, 'by', ?3)"
                            " FROM ref f JOIN model m ON m.id = f.model WHERE f.model = ?1 AND f.name = ?2",
                            "itt", model, name, by);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(db, &(struct am_event_new){.at = now,
                                                   .type = "model.ref_changed",
                                                   .subject = am_col_text(st, 1),
                                                   .model = am_col_text(st, 0),
                                                   .revision = sqlite3_column_int64(st, 2),
                                                   .data = am_col_text(st, 3)});
}

int am_ref_protect(struct am_db *db, int64_t model, const char *name, const struct am_ref_policy *policy, int64_t now,
                   const char *by)
{
    int64_t there = 0, rev = 0;
    if (policy->gate &&
        am_db_int(db, &there, "SELECT id FROM gate WHERE name = ?1 AND deleted_at IS NULL", "t", policy->gate) <= 0)
        return -AM_E_NOT_FOUND;
    int rc = am_db_int(db, &rev, "SELECT rev FROM ref WHERE model = ?1 AND name = ?2", "it", model, name);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    AM_TRY(am_db_exec(db,
                      "UPDATE ref SET protected = ?3, gate = ?4, rev = rev + 1 WHERE model = ?1 AND name = ?2"
                      " AND (protected <> ?3 OR gate IS NOT ?4)",
                      "itit", model, name, (int64_t)policy->is_protected, policy->gate));
    return am_db_changes(db) > 0 ? put_policy_event(db, model, name, now, by) : 0;
}
