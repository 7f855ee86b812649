/*
 * decisions.c - rows of gate decisions (gates.h). They are added and never changed.
 */
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/gates.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>

static int put_event(struct am_db *db, const struct am_decision_new *d)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT d.uid, m.name, json_object('decision', d.uid, 'verdict', d.verdict, 'gate', d.gate || '@'"
                   " || d.revision, 'old', d.old, 'new', d.new, 'report', d.report), d.job FROM decision d"
                   " LEFT JOIN version v ON v.id = d.new_version LEFT JOIN model m ON m.id = v.model"
                   " WHERE d.uid = ?1",
                   "t", d->uid);
    return am_event_once(db, st, "gate.decided", d->now);
}

int am_decision_insert(struct am_db *db, const struct am_decision_new *d)
{
    AM_TRY(am_db_exec(db,
                      "INSERT INTO decision (uid, gate, revision, old_version, new_version, old, new, report, job,"
                      " verdict, body, created_by, created_at) VALUES (?1, ?2, nullif(?3, 0), nullif(?4, 0),"
                      " nullif(?5, 0), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                      "ttiiittttttti", d->uid, d->gate, d->revision, d->old_version, d->new_version, d->old, d->new,
                      d->report, d->job, d->verdict, d->body, d->created_by, d->now));
    return put_event(db, d);
}

#define COLUMNS                                                                                                        \
    "SELECT d.id, ifnull(d.revision, 0), ifnull(d.old_version, 0), ifnull(d.new_version, 0), d.created_at, d.uid,"     \
    " d.gate, d.old, d.new, om.name, nm.name, d.report, d.job, d.verdict, d.body, d.created_by FROM decision d"        \
    " LEFT JOIN version ov ON ov.id = d.old_version LEFT JOIN model om ON om.id = ov.model"                            \
    " LEFT JOIN version nv ON nv.id = d.new_version LEFT JOIN model nm ON nm.id = nv.model"

static int walk(sqlite3_stmt *st, int (*row)(void *, const struct am_decision_row *), void *ctx)
{
    int rc, n = 0;
    for (; (rc = am_db_row(st)) > 0; n++) {
        const struct am_decision_row r = {.id = sqlite3_column_int64(st, 0),
                                          .revision = sqlite3_column_int64(st, 1),
                                          .old_version = sqlite3_column_int64(st, 2),
                                          .new_version = sqlite3_column_int64(st, 3),
                                          .created_at = sqlite3_column_int64(st, 4),
                                          .uid = am_col_text(st, 5),
                                          .gate = am_col_text(st, 6),
                                          .old = am_col_text(st, 7),
                                          .new = am_col_text(st, 8),
                                          .old_model = am_col_text(st, 9),
                                          .new_model = am_col_text(st, 10),
                                          .report = am_col_text(st, 11),
                                          .job = am_col_text(st, 12),
                                          .verdict = am_col_text(st, 13),
                                          .body = am_col_text(st, 14),
                                          .created_by = am_col_text(st, 15)};
        AM_TRY(row(ctx, &r));
    }
    return rc < 0 ? rc : n;
}

int am_decision_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_decision_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE d.uid = ?1", "t", uid);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_NOT_FOUND;
}

/* Every parameter is named in every variant; a filter that is set is a plain equality, which an index answers. */
static void list_sql(const struct am_decision_filter *f, char *sql, size_t cap)
{
    snprintf(sql, cap, COLUMNS " WHERE %s AND %s AND %s AND d.id < ?5 ORDER BY d.id DESC LIMIT ?6",
             f->version ? "d.new_version = ?1" : "?1 = 0", f->verdict ? "d.verdict = ?2" : "?2 IS NULL",
             f->ref_model ? "d.old_version IN (SELECT to_version FROM ref_move WHERE model = ?3 AND name = ?4)"
                          : "?3 = 0 AND ?4 IS ?4");
}

int am_decision_list(struct am_db *db, const struct am_decision_filter *f,
                     int (*row)(void *, const struct am_decision_row *), void *ctx)
{
    char sql[2048];
    list_sql(f, sql, sizeof sql);
    AM_STMT st = am_db_bind(db, sql, "ititii", f->version, f->verdict, f->ref_model, f->ref,
                            f->after ? f->after : INT64_MAX, (int64_t)f->limit);
    int rc = walk(st, row, ctx);
    return rc < 0 ? rc : 0;
}

int am_decision_find(struct am_db *db, const char *gate, int64_t revision, int64_t old_version, int64_t new_version,
                     int64_t since, int (*row)(void *, const struct am_decision_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db,
                            COLUMNS " WHERE d.new_version = ?4 AND d.old_version = ?3 AND d.gate = ?1 AND d.revision = "
                                    "?2 AND d.created_at >= ?5 ORDER BY d.id DESC LIMIT 1",
                            "tiiii", gate, revision, old_version, new_version, since);
    return walk(st, row, ctx);
}

int am_promotion_rates(struct am_db *db, int limit,
                       int (*row)(void *, const char *model, const char *name, double rate), void *ctx)
{
    int rc;
    AM_STMT st = am_db_bind(db,
                            "SELECT m.name, r.name, p.nfr FROM (SELECT model, name, max(id) AS id FROM ref_move"
                            " WHERE decision IS NOT NULL GROUP BY model, name) l JOIN ref_move h ON h.id = l.id"
                            " JOIN ref r ON r.model = l.model AND r.name = l.name JOIN model m ON m.id = r.model"
                            " AND m.deleted_at IS NULL JOIN decision d ON d.id = h.decision"
                            " JOIN report p ON p.uid = d.report WHERE p.nfr IS NOT NULL LIMIT ?1",
                            "i", (int64_t)limit);
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, am_col_text(st, 0), am_col_text(st, 1), sqlite3_column_double(st, 2)));
    return rc;
}

int am_decision_counts(struct am_db *db, int64_t ret[3])
{
    static const char *const verdicts[] = {"promote", "inconclusive", "hold"};
    int64_t n[3] = {0};
    for (int i = 0; i < 3; i++)
        AM_TRY(am_db_int(db, &n[i], "SELECT count(*) FROM decision WHERE verdict = ?1", "t", verdicts[i]));
    for (int i = 0; i < 3; i++)
        ret[i] = n[i];
    return 0;
}
