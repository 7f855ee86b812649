/*
 * datasets.c - rows of datasets (datasets.h). Their versions are dataset_versions.c.
 */
#include "storage/datasets.h"
#include "storage/db.h"
#include "storage/events.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_ = 200 };

static int put_event(struct am_db *db, int64_t id, const char *type, int64_t now)
{
    AM_STMT st = am_db_bind(db, "SELECT name, rev FROM dataset WHERE id = ?1", "i", id);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return am_event_put(
        db, &(struct am_event_new){
                .at = now, .type = type, .subject = am_col_text(st, 0), .revision = sqlite3_column_int64(st, 1)});
}

static int check_free(struct am_db *db, const char *name, char ret_other[NAME_MAX_])
{
    AM_STMT st = am_db_bind(db, "SELECT name FROM dataset WHERE name_folded = lower(?1)", "t", name);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    snprintf(ret_other, NAME_MAX_, "%s", am_col_text(st, 0));
    return am_streq(ret_other, name) ? -AM_E_CONFLICT : -AM_E_NAME_TAKEN;
}

int am_dataset_create(struct am_db *db, const struct am_dataset_new *d, int64_t *ret_id, char ret_other[200])
{
    if (am_model_name_fault(d->name))
        return -AM_E_INVALID_REQUEST;
    AM_TRY(check_free(db, d->name, ret_other));
    AM_TRY(am_db_exec(db,
                      "INSERT INTO dataset (name, name_folded, description, labels, created_by, created_at) VALUES"
                      " (?1, lower(?1), ifnull(?2, ''), ifnull(?3, '{}'), ?4, ?5)",
                      "tttti", d->name, d->description, d->labels, d->created_by, d->now));
    int64_t id = am_db_last_id(db);
    AM_TRY(put_event(db, id, "dataset.created", d->now));
    *ret_id = id;
    return 0;
}

#define COLUMNS                                                                                                        \
    "SELECT d.id, d.rev, d.created_at, (SELECT count(*) FROM dataset_version WHERE dataset = d.id),"                   \
    " (SELECT ifnull(sum(bytes), 0) FROM dataset_version WHERE dataset = d.id), ifnull(v.number, 0), d.name,"          \
    " d.description, d.labels, d.created_by, lower(hex(v.sha256)) FROM dataset d LEFT JOIN dataset_version v ON"       \
    " v.id = (SELECT id FROM dataset_version WHERE dataset = d.id ORDER BY number DESC LIMIT 1)"

static int give(sqlite3_stmt *st, am_dataset_fn *row, void *ctx)
{
    const struct am_dataset_row d = {
        .id = sqlite3_column_int64(st, 0),
        .rev = sqlite3_column_int64(st, 1),
        .created_at = sqlite3_column_int64(st, 2),
        .versions = sqlite3_column_int64(st, 3),
        .bytes = sqlite3_column_int64(st, 4),
        .latest = sqlite3_column_int64(st, 5),
        .name = am_col_text(st, 6),
        .description = am_col_text(st, 7),
        .labels = am_col_text(st, 8),
        .created_by = am_col_text(st, 9),
        .latest_sha256 = am_col_text(st, 10),
    };
    return row(ctx, &d);
}

int am_dataset_get(struct am_db *db, const char *name, am_dataset_fn *row, void *ctx)
{
    AM_STMT st = am_db_bind(db, COLUMNS " WHERE d.name = ?1", "t", name);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return give(st, row, ctx);
}

int am_dataset_list(struct am_db *db, const struct am_dataset_filter *f, am_dataset_fn *row, void *ctx)
{
    AM_STMT st = am_db_bind(
        db,
        COLUMNS " WHERE d.name > ?1 AND (?2 IS NULL OR instr(lower(d.name), lower(?2)) > 0)"
                " AND (?3 IS NULL OR substr(d.name, 1, length(?3) + 1) = ?3 || '/')"
                " AND NOT EXISTS (SELECT 1 FROM json_each(ifnull(?4, '{}')) w WHERE NOT EXISTS (SELECT 1 FROM"
                " json_each(d.labels) l JOIN json_each(w.value) a ON a.value = l.value WHERE l.key = w.key))"
                " ORDER BY d.name LIMIT ?5",
        "tttti", f->after ? f->after : "", f->search, f->space, f->labels, (int64_t)f->limit);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(give(st, row, ctx));
    return rc;
}

int am_dataset_patch(struct am_db *db, int64_t id, const char *description, const char *labels, int64_t now)
{
    AM_TRY(am_db_exec(db,
                      "UPDATE dataset SET description = ifnull(?2, description), labels = ifnull(?3, labels),"
                      " rev = rev + 1 WHERE id = ?1",
                      "itt", id, description, labels));
    return put_event(db, id, "dataset.changed", now);
}

int am_dataset_delete(struct am_db *db, int64_t id, int64_t now, int64_t *ret_users)
{
    int64_t users = 0;
    AM_TRY(am_db_int(db, &users,
                     "SELECT count(*) FROM prediction_set WHERE dataset_version IN (SELECT id FROM dataset_version"
                     " WHERE dataset = ?1)",
                     "i", id));
    *ret_users = users;
    if (users)
        return -AM_E_CONFLICT;
    AM_TRY(put_event(db, id, "dataset.deleted", now));
    AM_TRY(am_db_exec(db, "DELETE FROM dataset_label WHERE dataset = ?1", "i", id));
    AM_TRY(am_db_exec(db, "DELETE FROM dataset_version WHERE dataset = ?1", "i", id));
    return am_db_exec(db, "DELETE FROM dataset WHERE id = ?1", "i", id);
}
