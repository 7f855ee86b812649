/*
 * ref_history.c - the moves of a ref, and going back on them (refs.h). Each move names the one that lies below it, so
 * the stack is a walk down from the last move and never a replay of the history.
 */
#include "storage/db.h"
#include "storage/models_priv.h"
#include "storage/refs.h"

#include "core/base/text.h"

#include <stdio.h>

#define MOVE_COLUMNS                                                                                                   \
    "SELECT h.id, h.at, ifnull(h.steps, 0), ifnull(f.number, -1), ifnull(t.number, -1), h.kind, " AM_SQL_HEX(          \
        "f.oid") ", " AM_SQL_HEX("t.oid") ", h.actor, h.reason, h.job, d.uid, h.forced FROM ref_move h"                \
                                          " LEFT JOIN decision d ON d.id = h.decision"                                 \
                                          " LEFT JOIN version f ON f.id = h.from_version"                              \
                                          " LEFT JOIN version t ON t.id = h.to_version"                                \
                                          " WHERE h.model = ?1 AND h.name = ?2"

/* How many rows there were. */
static int walk(sqlite3_stmt *st, int (*row)(void *, const struct am_ref_move_row *), void *ctx)
{
    int rc, n = 0;
    for (; (rc = am_db_row(st)) > 0; n++) {
        struct am_ref_move_row m = {
            .seq = sqlite3_column_int64(st, 0),
            .at = sqlite3_column_int64(st, 1),
            .steps = sqlite3_column_int64(st, 2),
            .from_number = sqlite3_column_int64(st, 3),
            .to_number = sqlite3_column_int64(st, 4),
            .kind = am_col_text(st, 5),
            .from = am_col_text(st, 6),
            .to = am_col_text(st, 7),
            .by = am_col_text(st, 8),
            .reason = am_col_text(st, 9),
            .job = am_col_text(st, 10),
            .decision = am_col_text(st, 11),
            .forced = sqlite3_column_int(st, 12) != 0,
        };
        AM_TRY(row(ctx, &m));
    }
    return rc < 0 ? rc : n;
}

int am_ref_history(struct am_db *db, int64_t model, const char *name, int64_t before, int limit,
                   int (*row)(void *, const struct am_ref_move_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, MOVE_COLUMNS " AND (?3 = 0 OR h.id < ?3) ORDER BY h.id DESC LIMIT ?4", "itii", model,
                            name, before, (int64_t)limit);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : 0;
}

int am_ref_history_at(struct am_db *db, int64_t model, const char *name, int64_t at,
                      int (*row)(void *, const struct am_ref_move_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, MOVE_COLUMNS " AND h.at <= ?3 ORDER BY h.id DESC LIMIT 1", "iti", model, name, at);
    return walk(st, row, ctx);
}

/* The place in the stack that is gone back to. */
struct place {
    int64_t depth, version, below;
};

/* The place `steps` below the top; or, with steps 0, the uppermost that names `to`. */
static int find_place(struct am_db *db, const struct am_ref_back *b, struct place *ret)
{
    AM_STMT st =
        am_db_bind(db,
                   "WITH RECURSIVE stack (depth, version, below) AS ("
                   " SELECT * FROM (SELECT 0, to_version, below FROM ref_move WHERE model = ?1 AND name = ?2"
                   "  ORDER BY id DESC LIMIT 1)"
                   " UNION ALL SELECT s.depth + 1, m.to_version, m.below FROM stack s JOIN ref_move m ON m.id = s.below"
                   "  WHERE s.depth < ?5)"
                   "SELECT depth, version, ifnull(below, 0) FROM stack WHERE iif(?3 > 0, depth = ?3, version = ?4)"
                   " LIMIT 1",
                   "itiii", b->model, b->name, b->steps, b->to, (int64_t)AM_ROLLBACK_MAX);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_STACK_EMPTY;
    *ret = (struct place){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2)};
    return 0;
}

/* Whether a version can still be named: what is deleted cannot, by any revision. */
static int check_there(struct am_db *db, int64_t version)
{
    char model[200], commit[AM_COMMIT_LEN + 1];
    {
        AM_STMT st = am_db_bind(
            db, "SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model WHERE v.id = ?1", "i",
            version);
        int rc = am_db_row(st);
        if (rc <= 0)
            return rc < 0 ? rc : -AM_E_VERSION_GONE;
        snprintf(model, sizeof model, "%s", am_col_text(st, 0));
        snprintf(commit, sizeof commit, "%s", am_col_text(st, 1));
    }
    int64_t found = 0;
    int rc = am_rev_resolve(db, model, commit, &found, NULL);
    return rc == -AM_E_REVISION_NOT_FOUND ? -AM_E_VERSION_GONE : rc;
}

int am_ref_rollback(struct am_db *db, const struct am_ref_back *b)
{
    struct place place;
    char kind[16];
    int64_t now = 0;
    if (b->steps < 0 || b->steps > AM_ROLLBACK_MAX)
        return -AM_E_INVALID_REQUEST;
    AM_TRY(am_ref_look(db, b->model, b->name, &now, kind));
    if (!now)
        return -AM_E_NOT_FOUND;
    AM_TRY(find_place(db, b, &place));
    if (place.depth == 0)
        return 0;
    AM_TRY(check_there(db, place.version));
    AM_TRY(am_ref_step(db, &(struct am_ref_step){.model = b->model,
                                                 .from = now,
                                                 .to = place.version,
                                                 .now = b->now,
                                                 .name = b->name,
                                                 .kind = kind,
                                                 .by = b->by,
                                                 .reason = b->reason,
                                                 .steps = place.depth,
                                                 .below = place.below}));
    return am_db_exec(db, "UPDATE model SET rev = rev + 1 WHERE id = ?1", "i", b->model);
}
