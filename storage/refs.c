/*
 * refs.c - branches, tags and aliases: the current target of each, and a history row for every move.
 */
#include "storage/db.h"
#include "storage/events.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define REF_NAME_MAX 255

int am_ref_list(struct am_db *db, const char *model, int (*row)(void *, const struct am_ref_row *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT r.name, r.kind, lower(hex(v.oid)), r.version, ifnull(v.number, -1), r.rev, r.moved_at,"
                   " r.moved_by, r.reason FROM model m JOIN ref r ON r.model = m.id JOIN version v ON v.id = r.version"
                   " WHERE m.name = ?1 ORDER BY r.name",
                   "t", model);
    int rc, any = 0;
    while ((rc = am_db_row(st)) > 0) {
        any = 1;
        struct am_ref_row r = {
            .name = am_col_text(st, 0),
            .kind = am_col_text(st, 1),
            .commit = am_col_text(st, 2),
            .version = sqlite3_column_int64(st, 3),
            .number = sqlite3_column_int64(st, 4),
            .revision = sqlite3_column_int64(st, 5),
            .moved_at = sqlite3_column_int64(st, 6),
            .moved_by = am_col_text(st, 7),
            .reason = am_col_text(st, 8),
        };
        AM_TRY(row(ctx, &r));
    }
    return rc < 0 ? rc : any ? 0 : -AM_E_NOT_FOUND; /* every model has main */
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

/* The event of a move, as the ref is after it. main's first step is part of the model's own event. */
static int put_event(struct am_db *db, const struct am_ref_step *r)
{
    if (!r->from && am_streq(r->name, "main"))
        return 0;
    AM_STMT st = am_db_bind(
        db,
        "SELECT m.name, m.name || '@' || f.name, f.rev, json_object('ref', f.name, 'kind', f.kind,"
        " 'from', " AM_SQL_HEX("a.oid") ", 'to', lower(hex(b.oid)), 'by', f.moved_by, 'reason', f.reason)"
                                        " FROM ref f JOIN model m ON m.id = f.model JOIN version b ON b.id = f.version"
                                        " LEFT JOIN version a ON a.id = ?3 WHERE f.model = ?1 AND f.name = ?2",
        "iti", r->model, r->name, r->from);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(db, &(struct am_event_new){.at = r->now,
                                                   .type = "model.ref_moved",
                                                   .job = r->job,
                                                   .subject = am_col_text(st, 1),
                                                   .model = am_col_text(st, 0),
                                                   .revision = sqlite3_column_int64(st, 2),
                                                   .data = am_col_text(st, 3)});
}

int am_ref_revision(struct am_db *db, const char *model, const char *name, int64_t *ret)
{
    int rc =
        am_db_int(db, ret, "SELECT r.rev FROM model m JOIN ref r ON r.model = m.id WHERE m.name = ?1 AND r.name = ?2",
                  "tt", model, name);
    return rc < 0 ? rc : rc ? 0 : -AM_E_NOT_FOUND;
}

int am_ref_step(struct am_db *db, const struct am_ref_step *r)
{
    AM_TRY(am_db_exec(db,
                      "INSERT INTO ref (model, name, kind, version, moved_at, moved_by, reason)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ifnull(?6, '-'), ifnull(?7, ''))"
                      " ON CONFLICT (model, name) DO UPDATE SET version = excluded.version, rev = rev + 1,"
                      " moved_at = excluded.moved_at, moved_by = excluded.moved_by, reason = excluded.reason",
                      "ittiitt", r->model, r->name, r->kind, r->to, r->now, r->by, r->reason));
    AM_TRY(am_db_exec(
        db,
        "INSERT INTO ref_move (model, name, kind, from_version, to_version, at, actor, reason, job)"
        " VALUES (?1, ?2, iif(?3 = 0, 'create', 'move'), nullif(?3, 0), ?4, ?5, ifnull(?6, '-'), ifnull(?7, ''), ?8)",
        "itiiittt", r->model, r->name, r->from, r->to, r->now, r->by, r->reason, r->job));
    return put_event(db, r);
}

/* What a revision string could not tell from something else is no name. */
static bool name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= REF_NAME_MAX && am_file_path_ok(name) && !am_starts(name, "refs/") &&
           !am_is_hex(name, AM_COMMIT_LEN);
}

int am_ref_set(struct am_db *db, int64_t model, const char *name, const char *kind, int64_t version, int64_t now,
               const char *by, const char *reason, const char *job)
{
    if (!name_ok(name))
        return -AM_E_INVALID_REQUEST;
    int64_t there = 0, old = 0;
    int rc = am_db_int(db, &there, "SELECT id FROM version WHERE id = ?1 AND model = ?2", "ii", version, model);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    char old_kind[16] = "";
    AM_TRY(am_ref_look(db, model, name, &old, old_kind));
    if (old && !am_streq(old_kind, kind))
        return -AM_E_CONFLICT;
    if (old == version)
        return 0; /* not a move: no revision, no history */
    struct am_ref_step step = {.model = model,
                               .from = old,
                               .to = version,
                               .now = now,
                               .name = name,
                               .kind = kind,
                               .by = by,
                               .reason = reason,
                               .job = job};
    AM_TRY(am_ref_step(db, &step));
    return am_db_exec(db, "UPDATE model SET rev = rev + 1 WHERE id = ?1", "i", model);
}
