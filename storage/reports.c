/*
 * reports.c - rows of reports (reports.h). Files are contents (layouts) like those of versions, held by report_file;
 * triggers let go of them (migrations/0013).
 */
#include "storage/reports.h"
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <math.h>
#include <stdio.h>

enum { SHA = 32 };

static int hold(struct am_db *db, const char *owner, const struct am_report_file *file, int64_t now)
{
    const struct am_file_new f = {.path = file->kind, .sha256 = file->sha256, .bytes = file->bytes};
    int64_t layout = 0, new_bytes = 0;
    AM_TRY(am_layout_take(db, &f, now, &layout, &new_bytes));
    return am_db_exec(db, "INSERT INTO report_file (owner, kind, layout) VALUES (?1, ?2, ?3)", "tti", owner, file->kind,
                      layout);
}

static int put_event(struct am_db *db, const char *uid, const char *type, int64_t now)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT r.uid, m.name, json_object('method', r.method, 'old', r.old, 'new', r.new, "
                            "'dataset', r.dataset, 'n', r.n,"
                            " 'nfr', r.nfr), r.job FROM report r LEFT JOIN version v ON v.id = r.new_version"
                            " LEFT JOIN model m ON m.id = v.model WHERE r.uid = ?1",
                            "t", uid);
    return am_event_once(db, st, type, now);
}

int am_report_insert(struct am_db *db, const struct am_report_new *r)
{
    unsigned char sha[SHA];
    const struct am_report_numbers *v = &r->numbers;
    AM_TRY(am_unhex(r->sha256, SHA, sha));
    /* a NAN is bound as NULL */
    AM_TRY(am_db_exec(db,
                      "INSERT INTO report (uid, type, method, job, old_version, new_version, old, new, dataset, n,"
                      " body, sha256, nfr, nfr_lower, nfr_upper, pfr, relative_nfr, accuracy_old, accuracy_new,"
                      " accuracy_delta, p_mid, b, c, created_by, created_at) VALUES (?1, ?2, ?3, ?4, nullif(?5, 0),"
                      " nullif(?6, 0), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,"
                      " iif(?22 < 0, NULL, ?22), iif(?23 < 0, NULL, ?23), ?24, ?25)",
                      "ttttiitttitbrrrrrrrrriiti", r->uid, r->type, r->method, r->job, r->old_version, r->new_version,
                      r->old, r->new, r->dataset, r->n, r->body, sha, (size_t)SHA, v->nfr, v->nfr_lower, v->nfr_upper,
                      v->pfr, v->relative_nfr, v->accuracy_old, v->accuracy_new, v->accuracy_delta, v->p_mid, v->b,
                      v->c, r->created_by, r->now));
    for (size_t i = 0; i < r->files; i++)
        AM_TRY(hold(db, r->uid, &r->file[i], r->now));
    return put_event(db, r->uid, "report.created", r->now);
}

#define COLUMNS                                                                                                        \
    "SELECT r.id, r.uid, r.type, r.method, r.job, ifnull(r.old_version, 0), ifnull(r.new_version, 0), r.old, r.new,"   \
    " r.dataset, r.n, r.body, lower(hex(r.sha256)), r.created_by, r.created_at, mo.name, ifnull(vo.number, -1),"       \
    " mn.name, ifnull(vn.number, -1), r.nfr, r.nfr_lower, r.nfr_upper, r.pfr, r.relative_nfr, r.accuracy_old,"         \
    " r.accuracy_new, r.accuracy_delta, r.p_mid, ifnull(r.b, -1), ifnull(r.c, -1),"                                    \
    " " AM_SQL_HEX("ls.sha256") ", ifnull(ls.bytes, 0), " AM_SQL_HEX(                                                  \
        "la.sha256") ", ifnull(la.bytes, 0),"                                                                          \
                     " (SELECT uid FROM decision d WHERE d.report = r.uid ORDER BY d.id DESC LIMIT 1),"                \
                     " (SELECT verdict FROM decision d WHERE d.report = r.uid ORDER BY d.id DESC LIMIT 1)"             \
                     " FROM report r"                                                                                  \
                     " LEFT JOIN version vo ON vo.id = r.old_version LEFT JOIN model mo ON mo.id = vo.model"           \
                     " LEFT JOIN version vn ON vn.id = r.new_version LEFT JOIN model mn ON mn.id = vn.model"           \
                     " LEFT JOIN report_file fs ON fs.owner = r.uid AND fs.kind = 'slices' LEFT JOIN layout ls ON "    \
                     "ls.id = fs.layout"                                                                               \
                     " LEFT JOIN report_file fa ON fa.owner = r.uid AND fa.kind = 'samples' LEFT JOIN layout la ON "   \
                     "la.id = fa.layout"

static double real_or_nan(sqlite3_stmt *st, int col)
{
    return sqlite3_column_type(st, col) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(st, col);
}

static struct am_report_numbers numbers_of(sqlite3_stmt *st)
{
    return (struct am_report_numbers){.nfr = real_or_nan(st, 19),
                                      .nfr_lower = real_or_nan(st, 20),
                                      .nfr_upper = real_or_nan(st, 21),
                                      .pfr = real_or_nan(st, 22),
                                      .relative_nfr = real_or_nan(st, 23),
                                      .accuracy_old = real_or_nan(st, 24),
                                      .accuracy_new = real_or_nan(st, 25),
                                      .accuracy_delta = real_or_nan(st, 26),
                                      .p_mid = real_or_nan(st, 27),
                                      .b = sqlite3_column_int64(st, 28),
                                      .c = sqlite3_column_int64(st, 29)};
}

static int give(sqlite3_stmt *st, int (*row)(void *, const struct am_report_row *), void *ctx)
{
    const struct am_report_row r = {.id = sqlite3_column_int64(st, 0),
                                    .uid = am_col_text(st, 1),
                                    .type = am_col_text(st, 2),
                                    .method = am_col_text(st, 3),
                                    .job = am_col_text(st, 4),
                                    .old_version = sqlite3_column_int64(st, 5),
                                    .new_version = sqlite3_column_int64(st, 6),
                                    .old = am_col_text(st, 7),
                                    .new = am_col_text(st, 8),
                                    .dataset = am_col_text(st, 9),
                                    .n = sqlite3_column_int64(st, 10),
                                    .body = am_col_text(st, 11),
                                    .sha256 = am_col_text(st, 12),
                                    .created_by = am_col_text(st, 13),
                                    .created_at = sqlite3_column_int64(st, 14),
                                    .old_model = am_col_text(st, 15),
                                    .old_number = sqlite3_column_int64(st, 16),
                                    .new_model = am_col_text(st, 17),
                                    .new_number = sqlite3_column_int64(st, 18),
                                    .slices_sha256 = am_col_text(st, 30),
                                    .slices_bytes = sqlite3_column_int64(st, 31),
                                    .samples_sha256 = am_col_text(st, 32),
                                    .samples_bytes = sqlite3_column_int64(st, 33),
                                    .decision = am_col_text(st, 34),
                                    .verdict = am_col_text(st, 35),
                                    .numbers = numbers_of(st)};
    return row(ctx, &r);
}

static int give_all(sqlite3_stmt *st, int (*row)(void *, const struct am_report_row *), void *ctx)
{
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(give(st, row, ctx));
    return rc;
}

int am_report_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_report_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE r.uid = ?1", "t", uid);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return give(st, row, ctx);
}

int am_report_by_row(struct am_db *db, int64_t id, int (*row)(void *, const struct am_report_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE r.id = ?1", "i", id);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return give(st, row, ctx);
}

/* Every parameter is named in every variant; a filter that is set is a plain equality, which an index answers. */
static void list_sql(const struct am_report_filter *f, char *sql, size_t cap)
{
    snprintf(sql, cap,
             COLUMNS " WHERE %s AND %s AND %s AND %s AND %s AND %s AND %s AND %s AND %s AND r.id < ?10"
                     " ORDER BY r.id DESC LIMIT ?11",
             f->version ? "(r.old_version = ?1 OR r.new_version = ?1)" : "?1 = 0",
             f->external ? "((r.old_version IS NULL AND r.old = ?2) OR (r.new_version IS NULL AND r.new = ?2))"
                         : "?2 IS NULL",
             f->old_version ? "r.old_version = ?3" : "?3 = 0", f->new_version ? "r.new_version = ?4" : "?4 = 0",
             f->old_external ? "r.old_version IS NULL AND r.old = ?5" : "?5 IS NULL",
             f->new_external ? "r.new_version IS NULL AND r.new = ?6" : "?6 IS NULL",
             f->dataset ? "r.dataset = ?7" : "?7 IS NULL", f->method ? "r.method = ?8" : "?8 IS NULL",
             f->job ? "r.job = ?9" : "?9 IS NULL");
}

int am_report_list(struct am_db *db, const struct am_report_filter *f, int (*row)(void *, const struct am_report_row *),
                   void *ctx)
{
    char sql[4096];
    list_sql(f, sql, sizeof sql);
    AM_STMT st =
        am_db_bind(db, sql, "itiitttttii", f->version, f->external, f->old_version, f->new_version, f->old_external,
                   f->new_external, f->dataset, f->method, f->job, f->after ? f->after : INT64_MAX, (int64_t)f->limit);
    return give_all(st, row, ctx);
}

int am_report_against(struct am_db *db, int64_t new_version, int limit,
                      int (*row)(void *, const struct am_report_row *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db,
                   COLUMNS " WHERE r.id IN (SELECT max(id) FROM report WHERE new_version = ?1 AND method = 'compare'"
                           " GROUP BY old_version, iif(old_version IS NULL, old, NULL))"
                           " ORDER BY r.id DESC LIMIT ?2",
                   "ii", new_version, (int64_t)limit);
    return give_all(st, row, ctx);
}

int am_report_delete(struct am_db *db, const char *uid, int64_t now)
{
    int64_t one;
    int rc = am_db_int(db, &one, "SELECT 1 FROM decision WHERE report = ?1", "t", uid);
    if (rc != 0)
        return rc < 0 ? rc : -AM_E_CONFLICT;
    AM_TRY(put_event(db, uid, "report.deleted", now));
    return am_db_exec(db, "DELETE FROM report WHERE uid = ?1", "t", uid);
}
