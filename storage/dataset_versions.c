/*
 * dataset_versions.c - rows of the versions of datasets (datasets.h). Files are contents (layouts) like those of
 * models' versions, held by dataset_file; triggers let go of them (migrations).
 */
#include "storage/datasets.h"
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA = 32, PREFIX_MIN = 8 };

int am_dataset_hold(struct am_db *db, const char *owner, const char *kind, const char *sha256, int64_t bytes,
                    int64_t now)
{
    const struct am_file_new f = {.path = kind, .sha256 = sha256, .bytes = bytes};
    int64_t layout = 0, new_bytes = 0;
    AM_TRY(am_layout_take(db, &f, now, &layout, &new_bytes));
    return am_db_exec(db, "INSERT INTO dataset_file (owner, kind, layout) VALUES (?1, ?2, ?3)", "tti", owner, kind,
                      layout);
}

static int put_event(struct am_db *db, int64_t version, const char *type, int64_t now)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT d.name || '@v' || v.number, NULL, json_object('dataset', d.name, 'number', v.number,"
                   " 'sha256', lower(hex(v.sha256)), 'rows', v.rows), v.job FROM dataset_version v JOIN"
                   " dataset d ON d.id = v.dataset WHERE v.id = ?1",
                   "i", version);
    return am_event_once(db, st, type, now);
}

int am_dataset_version_insert(struct am_db *db, const struct am_dataset_version_new *v, int64_t *ret_id)
{
    unsigned char sha[SHA], ids[SHA];
    int64_t dataset = 0;
    size_t n = SHA;
    AM_TRY(am_unhex(v->sha256, SHA, sha));
    AM_TRY(am_unhex(v->ids_sha256, SHA, ids));
    int rc = am_db_int(db, &dataset, "SELECT id FROM dataset WHERE name = ?1", "t", v->dataset);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    AM_TRY(am_db_exec(db, "UPDATE dataset SET numbers = numbers + 1, rev = rev + 1 WHERE id = ?1", "i", dataset));
    AM_TRY(am_db_exec(db,
                      "INSERT INTO dataset_version (uid, dataset, number, sha256, format, ids, ids_sha256, rows,"
                      " classes, bytes, fields, created_by, created_at, job, about) VALUES (?1, ?2, (SELECT numbers"
                      " FROM dataset WHERE id = ?2), ?3, ?4, ?5, ?6, ?7, nullif(?8, 0), ?9, ?10, ?11, ?12, ?13, ?14)",
                      "tibttbiiittitt", v->uid, dataset, sha, n, v->format, v->ids, ids, n, v->rows, v->classes,
                      v->bytes, v->fields, v->created_by, v->now, v->job, v->about));
    int64_t id = am_db_last_id(db);
    AM_TRY(put_event(db, id, "dataset.version_created", v->now));
    *ret_id = id;
    return 0;
}

int am_dataset_version_find(struct am_db *db, const char *dataset, const char *sha256, int64_t *ret_id)
{
    unsigned char sha[SHA];
    AM_TRY(am_unhex(sha256, SHA, sha));
    return am_db_int(db, ret_id,
                     "SELECT v.id FROM dataset_version v JOIN dataset d ON d.id = v.dataset WHERE d.name = ?1 AND"
                     " v.sha256 = ?2",
                     "tb", dataset, sha, (size_t)SHA);
}

int am_dataset_version_name(struct am_db *db, int64_t version, const char *label)
{
    int64_t other = 0;
    int rc = am_db_int(db, &other,
                       "SELECT version FROM dataset_label WHERE dataset = (SELECT dataset FROM dataset_version WHERE"
                       " id = ?1) AND name = ?2",
                       "it", version, label);
    if (rc != 0)
        return rc < 0 ? rc : other == version ? 0 : -AM_E_CONFLICT;
    return am_db_exec(db,
                      "INSERT INTO dataset_label (dataset, name, version) SELECT dataset, ?2, id FROM dataset_version"
                      " WHERE id = ?1",
                      "it", version, label);
}

/* ---- reading ---- */

static int by_prefix(struct am_db *db, int64_t dataset, const char *rev, int64_t *ret)
{
    size_t n = strlen(rev);
    if (n < PREFIX_MIN || n > AM_SHA256_LEN || !am_is_hex(rev, n))
        return 0;
    AM_STMT st = am_db_bind(db,
                            "SELECT id FROM dataset_version WHERE dataset = ?1 AND substr(lower(hex(sha256)), 1, ?3) ="
                            " ?2 LIMIT 2",
                            "iti", dataset, rev, (int64_t)n);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    *ret = sqlite3_column_int64(st, 0);
    rc = am_db_row(st);
    return rc < 0 ? rc : rc > 0 ? 0 : 1; /* one of two is none */
}

int am_dataset_resolve(struct am_db *db, const char *name, const char *rev, int64_t *ret_id)
{
    int64_t dataset = 0, number, id = 0;
    int rc = am_db_int(db, &dataset, "SELECT id FROM dataset WHERE name = ?1", "t", name);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    if (!rev || am_streq(rev, "latest"))
        rc = am_db_int(db, &id, "SELECT id FROM dataset_version WHERE dataset = ?1 ORDER BY number DESC LIMIT 1", "i",
                       dataset);
    else if (am_rev_is_number(rev, &number))
        rc = am_db_int(db, &id, "SELECT id FROM dataset_version WHERE dataset = ?1 AND number = ?2", "ii", dataset,
                       number);
    else
        rc = am_db_int(db, &id, "SELECT version FROM dataset_label WHERE dataset = ?1 AND name = ?2", "it", dataset,
                       rev);
    if (rc == 0 && rev)
        rc = by_prefix(db, dataset, rev, &id);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    *ret_id = id;
    return 0;
}

#define COLUMNS                                                                                                        \
    "SELECT v.id, v.number, v.rows, ifnull(v.classes, 0), v.bytes, v.created_at, v.uid, d.name,"                       \
    " lower(hex(v.sha256)), v.format, v.ids, lower(hex(v.ids_sha256)), v.fields, v.created_by, v.job,"                 \
    " (SELECT json_group_array(name) FROM (SELECT name FROM dataset_label WHERE version = v.id ORDER BY name)),"       \
    " ifnull(li.bytes, 0), ifnull(fc.layout, 0), lower(hex(lr.sha256)), ifnull(lr.bytes, 0)"                           \
    " FROM dataset_version v JOIN dataset d ON d.id = v.dataset"                                                       \
    " LEFT JOIN dataset_file fc ON fc.owner = v.uid AND fc.kind = 'content'"                                           \
    " LEFT JOIN dataset_file fi ON fi.owner = v.uid AND fi.kind = 'ids' LEFT JOIN layout li ON li.id = fi.layout"      \
    " LEFT JOIN dataset_file fr ON fr.owner = v.uid AND fr.kind = 'rows' LEFT JOIN layout lr ON lr.id = fr.layout"

static int give(sqlite3_stmt *st, am_dataset_version_fn *row, void *ctx)
{
    const struct am_dataset_version_row v = {
        .id = sqlite3_column_int64(st, 0),
        .number = sqlite3_column_int64(st, 1),
        .rows = sqlite3_column_int64(st, 2),
        .classes = sqlite3_column_int64(st, 3),
        .bytes = sqlite3_column_int64(st, 4),
        .created_at = sqlite3_column_int64(st, 5),
        .uid = am_col_text(st, 6),
        .dataset = am_col_text(st, 7),
        .sha256 = am_col_text(st, 8),
        .format = am_col_text(st, 9),
        .ids = am_col_text(st, 10),
        .ids_sha256 = am_col_text(st, 11),
        .fields = am_col_text(st, 12),
        .created_by = am_col_text(st, 13),
        .job = am_col_text(st, 14),
        .labels = am_col_text(st, 15),
        .ids_bytes = sqlite3_column_int64(st, 16),
        .layout = sqlite3_column_int64(st, 17),
        .rows_sha256 = am_col_text(st, 18),
        .rows_bytes = sqlite3_column_int64(st, 19),
    };
    return row(ctx, &v);
}

int am_dataset_version_get(struct am_db *db, int64_t id, am_dataset_version_fn *row, void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE v.id = ?1", "i", id);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    return give(st, row, ctx);
}

int am_dataset_version_list(struct am_db *db, int64_t dataset, int64_t after, int limit, am_dataset_version_fn *row,
                            void *ctx)
{
    AM_STMT st = am_db_bind(db,
                            COLUMNS " WHERE v.dataset = ?1 AND (?2 = 0 OR v.number < ?2) ORDER BY v.number DESC"
                                    " LIMIT ?3",
                            "iii", dataset, after, (int64_t)limit);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(give(st, row, ctx));
    return rc;
}

int am_dataset_about(struct am_db *db, int64_t version, char **ret)
{
    AM_STMT st = am_db_bind(db, "SELECT about FROM dataset_version WHERE id = ?1", "i", version);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    char *text = strdup(am_col_text(st, 0));
    if (!text)
        return -AM_E_OUT_OF_MEMORY;
    *ret = text;
    return 0;
}

int am_dataset_version_delete(struct am_db *db, int64_t version, int64_t now, int64_t *ret_users)
{
    int64_t users = 0;
    AM_TRY(am_db_int(db, &users, "SELECT count(*) FROM prediction_set WHERE dataset_version = ?1", "i", version));
    *ret_users = users;
    if (users)
        return -AM_E_CONFLICT;
    AM_TRY(put_event(db, version, "dataset.version_deleted", now));
    AM_TRY(am_db_exec(db, "DELETE FROM dataset_label WHERE version = ?1", "i", version));
    AM_TRY(am_db_exec(db,
                      "UPDATE dataset SET rev = rev + 1 WHERE id = (SELECT dataset FROM dataset_version WHERE id = ?1)",
                      "i", version));
    return am_db_exec(db, "DELETE FROM dataset_version WHERE id = ?1", "i", version);
}
