/*
 * predictions.c - rows of prediction sets (predictions.h). Files are contents (layouts) like those of versions, held by
 * prediction_file; triggers let go of them (migrations/0010).
 */
#include "storage/predictions.h"
#include "storage/blobs.h"
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/models_priv.h"
#include "storage/store_priv.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum { SHA = 32 };

int am_prediction_hold(struct am_db *db, const char *owner, const struct am_prediction_file *file, int64_t now)
{
    const struct am_file_new f = {.path = file->kind, .sha256 = file->sha256, .bytes = file->bytes};
    int64_t layout = 0, new_bytes = 0;
    AM_TRY(am_layout_take(db, &f, now, &layout, &new_bytes));
    return am_db_exec(db, "INSERT INTO prediction_file (owner, kind, layout, gzip) VALUES (?1, ?2, ?3, ?4)", "ttii",
                      owner, file->kind, layout, (int64_t)file->gzip);
}

static int put_event(struct am_db *db, const char *uid, const char *type, int64_t now)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT p.uid, m.name, json_object('version', iif(v.id IS NULL, NULL, m.name || '@' ||"
                            " lower(hex(v.oid))), 'external', iif(v.id IS NULL, p.model, NULL), 'dataset', p.dataset,"
                            " 'rows', p.n), p.job FROM prediction_set p LEFT JOIN version v ON v.id = p.version"
                            " LEFT JOIN model m ON m.id = v.model WHERE p.uid = ?1",
                            "t", uid);
    return am_event_once(db, st, type, now);
}

int am_prediction_insert(struct am_db *db, const struct am_prediction_new *p)
{
    unsigned char model[SHA], dataset[SHA];
    if (p->model_sha256)
        AM_TRY(am_unhex(p->model_sha256, SHA, model));
    if (p->dataset_sha256)
        AM_TRY(am_unhex(p->dataset_sha256, SHA, dataset));
    AM_TRY(am_db_exec(
        db,
        "INSERT INTO prediction_set (uid, version, model, model_sha256, dataset, dataset_sha256, split,"
        " task, metric, n, ids, correct, header, source, job, created_by, created_at, dataset_version, columns)"
        " VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, iif(?12 < 0, NULL, ?12), ?13,"
        " ?14, ?15, ?16, ?17, nullif(?18, 0), iif(?19 < 0, NULL, ?19))",
        "titbtbtttiiittttiii", p->uid, p->version, p->model, p->model_sha256 ? model : NULL, (size_t)SHA, p->dataset,
        p->dataset_sha256 ? dataset : NULL, (size_t)SHA, p->split, p->task, p->metric, p->n, p->ids, p->correct,
        p->header, p->by_job ? "job" : "upload", p->job, p->created_by, p->now, p->dataset_version, p->columns));
    return put_event(db, p->uid, "prediction.created", p->now);
}

#define COLUMNS                                                                                                        \
    "SELECT p.id, p.uid, m.name, lower(hex(v.oid)), p.model, lower(hex(p.model_sha256)), p.dataset,"                   \
    " lower(hex(p.dataset_sha256)), p.split, p.task, p.metric, p.n, p.ids, ifnull(p.correct, -1), p.created_at,"       \
    " p.header, p.source, p.job, p.created_by, lower(hex(lu.sha256)), lu.bytes, ifnull(fu.layout, 0),"                 \
    " lower(hex(lp.sha256)), lp.bytes, lower(hex(li.sha256)), li.bytes,"                                               \
    " ifnull(fu.gzip, 0), d.name, ifnull(dv.id, 0), ifnull(dv.number, 0), ifnull(p.columns, -1)"                       \
    " FROM prediction_set p"                                                                                           \
    " LEFT JOIN version v ON v.id = p.version LEFT JOIN model m ON m.id = v.model"                                     \
    " LEFT JOIN dataset_version dv ON dv.id = p.dataset_version LEFT JOIN dataset d ON d.id = dv.dataset"              \
    " LEFT JOIN prediction_file fu ON fu.owner = p.uid AND fu.kind = 'upload' LEFT JOIN layout lu ON lu.id = "         \
    "fu.layout"                                                                                                        \
    " LEFT JOIN prediction_file fp ON fp.owner = p.uid AND fp.kind = 'packed' LEFT JOIN layout lp ON lp.id = "         \
    "fp.layout"                                                                                                        \
    " LEFT JOIN prediction_file fi ON fi.owner = p.uid AND fi.kind = 'ids' LEFT JOIN layout li ON li.id = fi.layout"

/* lower(hex(NULL)) is "" */
static const char *hex_or_null(sqlite3_stmt *st, int col)
{
    const char *text = am_col_text(st, col);
    return text && *text ? text : NULL;
}

static int give(sqlite3_stmt *st, int (*row)(void *, const struct am_prediction_row *), void *ctx)
{
    const struct am_prediction_row r = {
        .id = sqlite3_column_int64(st, 0),
        .uid = am_col_text(st, 1),
        .model_name = am_col_text(st, 2),
        .commit = hex_or_null(st, 3),
        .model = am_col_text(st, 4),
        .model_sha256 = hex_or_null(st, 5),
        .dataset = am_col_text(st, 6),
        .dataset_sha256 = hex_or_null(st, 7),
        .split = am_col_text(st, 8),
        .task = am_col_text(st, 9),
        .metric = am_col_text(st, 10),
        .n = sqlite3_column_int64(st, 11),
        .ids = sqlite3_column_int64(st, 12),
        .correct = sqlite3_column_int64(st, 13),
        .created_at = sqlite3_column_int64(st, 14),
        .header = am_col_text(st, 15),
        .source = am_col_text(st, 16),
        .job = am_col_text(st, 17),
        .created_by = am_col_text(st, 18),
        .upload_sha256 = hex_or_null(st, 19),
        .upload_bytes = sqlite3_column_int64(st, 20),
        .upload_layout = sqlite3_column_int64(st, 21),
        .packed_sha256 = hex_or_null(st, 22),
        .packed_bytes = sqlite3_column_int64(st, 23),
        .ids_sha256 = hex_or_null(st, 24),
        .ids_bytes = sqlite3_column_int64(st, 25),
        .gzip = sqlite3_column_int64(st, 26) != 0,
        .dataset_name = am_col_text(st, 27),
        .dataset_version = sqlite3_column_int64(st, 28),
        .dataset_number = sqlite3_column_int64(st, 29),
        .columns = sqlite3_column_int64(st, 30),
    };
    return row(ctx, &r);
}

int am_prediction_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_prediction_row *),
                      void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE p.uid = ?1", "t", uid);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return give(st, row, ctx);
}

/* Every parameter is named in every variant; a filter that is set is a plain equality, which an index answers. */
static void list_sql(const struct am_prediction_filter *f, char *sql, size_t cap)
{
    snprintf(sql, cap, COLUMNS " WHERE %s AND %s AND %s AND p.id < ?4 ORDER BY p.id DESC LIMIT ?5",
             f->version ? "p.version = ?1" : "?1 = 0",
             f->external ? "p.version IS NULL AND p.model = ?2" : "?2 IS NULL",
             f->dataset ? "((p.dataset = ?3 AND p.dataset_version IS NULL) OR p.dataset_version = ?6"
                          " OR p.dataset_version IN (SELECT id FROM dataset_version WHERE dataset = ?7))"
                        : "?3 IS NULL AND ?6 IS ?6 AND ?7 IS ?7");
}

int am_prediction_list(struct am_db *db, const struct am_prediction_filter *f,
                       int (*row)(void *, const struct am_prediction_row *), void *ctx)
{
    char sql[3072];
    list_sql(f, sql, sizeof sql);
    AM_STMT st = am_db_bind(db, sql, "ittiiii", f->version, f->external, f->dataset, f->after ? f->after : INT64_MAX,
                            (int64_t)f->limit, f->dataset_version, f->dataset_id);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(give(st, row, ctx));
    return rc;
}

int am_prediction_common(struct am_db *db, int64_t a, int64_t b, char *ret, size_t cap)
{
    AM_STMT st = am_db_bind(
        db,
        "SELECT p.dataset FROM prediction_set p WHERE p.version = ?2 AND EXISTS (SELECT 1 FROM"
        " prediction_set q WHERE q.version = ?1 AND q.dataset = p.dataset) ORDER BY p.n DESC, p.id DESC LIMIT 1",
        "ii", a, b);
    int rc = am_db_row(st);
    if (rc > 0)
        snprintf(ret, cap, "%s", am_col_text(st, 0));
    return rc;
}

int am_prediction_delete(struct am_db *db, const char *uid, int64_t now)
{
    AM_TRY(put_event(db, uid, "prediction.deleted", now));
    return am_db_exec(db, "DELETE FROM prediction_set WHERE uid = ?1", "t", uid);
}

/* ---- what a failed task leaves ---- */

struct forget {
    struct am_store *s;
    unsigned char sha[SHA];
};

static int delete_row(struct am_db *db, void *arg)
{
    struct forget *f = arg;
    return am_db_exec(db,
                      "DELETE FROM blob WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM span WHERE blob = ?1)"
                      " AND NOT EXISTS (SELECT 1 FROM model_blob WHERE blob = ?1)",
                      "b", f->sha, (size_t)SHA);
}

static int has_row(void *ctx, const char *sha256)
{
    struct forget *f = ctx;
    struct am_db *db = am_store_read(f->s);
    int64_t one;
    (void)sha256;
    return db ? am_db_int(db, &one, "SELECT 1 FROM blob WHERE sha256 = ?1", "b", f->sha, (size_t)SHA) : -AM_E_INTERNAL;
}

int am_prediction_forget(struct am_store *s, const char *sha256)
{
    struct forget f = {.s = s};
    char folder[3];
    AM_TRY(am_unhex(sha256, SHA, f.sha));
    AM_TRY(am_store_write(s, delete_row, &f));
    int rc = am_blob_remove(s, sha256, has_row, &f);
    snprintf(folder, sizeof folder, "%.2s", sha256);
    return rc > 0 ? am_sys_fsync_dir(s->blobs, folder) : rc;
}
