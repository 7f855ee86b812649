/*
 * gates.c - rows of gate policies (gates.h). Decisions are decisions.c.
 */
#include "storage/gates.h"
#include "storage/db.h"
#include "storage/events.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

const char *am_gate_name_fault(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t n = strlen(name);
    if (n == 0 || n > AM_GATE_NAME_MAX)
        return "a name of a gate has 1 to 64 bytes";
    if (strspn(name, allowed) != n)
        return "a name of a gate has a-z, 0-9, -, _ and . only";
    return strchr("-_.", name[0]) ? "a name of a gate begins with a letter or a digit" : NULL;
}

#define COLUMNS                                                                                                        \
    "SELECT g.name, r.policy, r.created_by, r.revision, r.created_at FROM gate g JOIN gate_revision r ON r.gate = "    \
    "g.id"

static int walk(sqlite3_stmt *st, int (*row)(void *, const struct am_gate_row *), void *ctx)
{
    int rc, n = 0;
    for (; (rc = am_db_row(st)) > 0; n++) {
        const struct am_gate_row r = {.name = am_col_text(st, 0),
                                      .policy = am_col_text(st, 1),
                                      .created_by = am_col_text(st, 2),
                                      .revision = sqlite3_column_int64(st, 3),
                                      .created_at = sqlite3_column_int64(st, 4)};
        AM_TRY(row(ctx, &r));
    }
    return rc < 0 ? rc : n;
}

int am_gate_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_gate_row *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db, COLUMNS " WHERE g.name = ?1 AND g.deleted_at IS NULL AND r.revision = g.revision", "t", name);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_NOT_FOUND;
}

int am_gate_list(struct am_db *db, const char *after, int limit, int (*row)(void *, const struct am_gate_row *),
                 void *ctx)
{
    AM_STMT st = am_db_bind(db,
                            COLUMNS " AND r.revision = g.revision WHERE g.deleted_at IS NULL AND g.name > ?1"
                                    " ORDER BY g.name LIMIT ?2",
                            "ti", after ? after : "", (int64_t)limit);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : 0;
}

int am_gate_revisions(struct am_db *db, const char *name, int64_t before, int limit,
                      int (*row)(void *, const struct am_gate_row *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db, COLUMNS " WHERE g.name = ?1 AND (?2 = 0 OR r.revision < ?2) ORDER BY r.revision DESC LIMIT ?3",
                   "tii", name, before, (int64_t)limit);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : 0;
}

int am_gate_used(struct am_db *db, const char *name, char *ret, size_t cap)
{
    AM_STMT st = am_db_bind(
        db, "SELECT m.name || '@' || r.name FROM ref r JOIN model m ON m.id = r.model WHERE r.gate = ?1 LIMIT 1", "t",
        name);
    int rc = am_db_row(st);
    if (rc > 0)
        snprintf(ret, cap, "%s", am_col_text(st, 0));
    return rc;
}

/* "by" and, of a deletion, that it is one. */
static int put_event(struct am_db *db, const char *name, int64_t revision, bool deleted, const char *by, int64_t now)
{
    AM_STMT st = am_db_bind(db, "SELECT json_object('gate', ?1, 'revision', ?2, 'deleted', json(?3), 'by', ?4)", "titt",
                            name, revision, deleted ? "true" : "false", by);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(
        db, &(struct am_event_new){
                .at = now, .type = "gate.changed", .subject = name, .revision = revision, .data = am_col_text(st, 0)});
}

static int add_revision(struct am_db *db, const char *name, const char *policy, const char *by, int64_t now)
{
    if (am_gate_name_fault(name))
        return -AM_E_INVALID_REQUEST;
    AM_TRY(am_db_exec(db,
                      "INSERT INTO gate (name, revision) VALUES (?1, 1)"
                      " ON CONFLICT (name) DO UPDATE SET revision = revision + 1, deleted_at = NULL",
                      "t", name));
    return am_db_exec(db,
                      "INSERT INTO gate_revision (gate, revision, policy, created_by, created_at)"
                      " SELECT id, revision, ?2, ?3, ?4 FROM gate WHERE name = ?1",
                      "ttti", name, policy, by, now);
}

int am_gate_put(struct am_db *db, const char *name, const char *policy, const char *by, int64_t now,
                int64_t *ret_revision)
{
    int64_t revision = 0;
    AM_TRY(add_revision(db, name, policy, by, now));
    AM_TRY(am_db_int(db, &revision, "SELECT revision FROM gate WHERE name = ?1", "t", name));
    if (ret_revision)
        *ret_revision = revision;
    return put_event(db, name, revision, false, by, now);
}

int am_gate_delete(struct am_db *db, const char *name, const char *by, int64_t now)
{
    int64_t revision = 0;
    char used[8];
    int rc = am_db_int(db, &revision, "SELECT revision FROM gate WHERE name = ?1 AND deleted_at IS NULL", "t", name);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    rc = am_gate_used(db, name, used, sizeof used);
    if (rc != 0)
        return rc < 0 ? rc : -AM_E_CONFLICT;
    AM_TRY(am_db_exec(db, "UPDATE gate SET deleted_at = ?2 WHERE name = ?1", "ti", name, now));
    return put_event(db, name, revision, true, by, now);
}

int am_gate_seed(struct am_db *db, const char *name, const char *policy, int64_t now)
{
    int64_t there = 0;
    int rc = am_db_int(db, &there, "SELECT id FROM gate WHERE name = ?1", "t", name);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return add_revision(db, name, policy, "-", now);
}
