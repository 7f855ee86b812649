/*
 * models.c - rows of models: create, get, list.
 */
#include "storage/db.h"
#include "storage/events.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_ 200

#define MODEL_COLUMNS                                                                                                  \
    "SELECT m.id, m.created_at, m.name, m.description, m.labels, m.created_by, m.private, h.version, "                 \
    "lower(hex(v.oid)),"                                                                                               \
    " ifnull(v.number, -1), m.versions, m.logical_bytes, m.rev,"                                                       \
    " (SELECT count(*) FROM ref WHERE model = m.id AND kind = 'branch'),"                                              \
    " (SELECT count(*) FROM ref WHERE model = m.id AND kind = 'tag'),"                                                 \
    " (SELECT count(*) FROM ref WHERE model = m.id AND kind = 'alias'), ifnull(m.keep_days, -1)"                       \
    " FROM model m JOIN ref h ON h.model = m.id AND h.name = 'main' JOIN version v ON v.id = h.version"

static void fill(sqlite3_stmt *st, struct am_model_row *m)
{
    *m = (struct am_model_row){
        .id = sqlite3_column_int64(st, 0),
        .created_at = sqlite3_column_int64(st, 1),
        .name = am_col_text(st, 2),
        .description = am_col_text(st, 3),
        .labels = am_col_text(st, 4),
        .created_by = am_col_text(st, 5),
        .is_private = sqlite3_column_int(st, 6) != 0,
        .head = sqlite3_column_int64(st, 7),
        .head_commit = am_col_text(st, 8),
        .head_number = sqlite3_column_int64(st, 9),
        .versions = sqlite3_column_int64(st, 10),
        .logical_bytes = sqlite3_column_int64(st, 11),
        .rev = sqlite3_column_int64(st, 12),
        .branches = sqlite3_column_int64(st, 13),
        .tags = sqlite3_column_int64(st, 14),
        .aliases = sqlite3_column_int64(st, 15),
        .keep_days = sqlite3_column_int64(st, 16),
    };
}

int am_model_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_model_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, MODEL_COLUMNS " WHERE m.name = ?1 AND m.deleted_at IS NULL", "t", name);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    struct am_model_row m;
    fill(st, &m);
    rc = row(ctx, &m);
    return rc < 0 ? rc : 0;
}

int am_model_physical(struct am_db *db, int64_t model, int64_t *ret)
{
    int64_t n = 0;
    AM_TRY(am_db_int(db, &n,
                     "SELECT CAST(round(total(b.bytes * (1.0 * k.named / b.named))) AS INTEGER) FROM model_blob k"
                     " JOIN blob b ON b.sha256 = k.blob WHERE k.model = ?1 AND k.named > 0",
                     "i", model));
    *ret = n;
    return 0;
}

int am_model_list(struct am_db *db, const char *after, int limit, const char *search,
                  int (*row)(void *, const struct am_model_row *), void *ctx)
{
    return am_model_find(db, &(struct am_model_filter){.search = search}, after, limit, row, ctx);
}

int am_model_find(struct am_db *db, const struct am_model_filter *f, const char *after, int limit,
                  int (*row)(void *, const struct am_model_row *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db,
                   MODEL_COLUMNS
                   " WHERE m.name > ?1 AND m.deleted_at IS NULL AND (?2 IS NULL OR instr(lower(m.name), lower(?2)) > 0)"
                   " AND (?3 IS NULL OR substr(m.name, 1, length(?3) + 1) = ?3 || '/')"
                   " AND NOT EXISTS (SELECT 1 FROM json_each(ifnull(?4, '{}')) w WHERE NOT EXISTS (SELECT 1 FROM "
                   "json_each(m.labels)"
                   " l JOIN json_each(w.value) a ON a.value = l.value WHERE l.key = w.key)) ORDER BY m.name LIMIT ?5",
                   "tttti", after ? after : "", f->search, f->space, f->labels, (int64_t)limit);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_model_row m;
        fill(st, &m);
        AM_TRY(row(ctx, &m));
    }
    return rc;
}

static void fold(const char *name, char out[NAME_MAX_])
{
    size_t i = 0;
    for (; name[i] && i < NAME_MAX_ - 1; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
    out[i] = '\0';
}

/* 1: the name is that of a model that is gone, *ret_gone. */
static int check_free(struct am_db *db, const char *name, const char *folded, int64_t *ret_gone,
                      char ret_other[NAME_MAX_])
{
    AM_STMT st = am_db_bind(db, "SELECT name, id, gone_at IS NOT NULL FROM model WHERE name_folded = ?1", "t", folded);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    const char *other = am_col_text(st, 0);
    if (am_streq(other, name)) {
        *ret_gone = sqlite3_column_int64(st, 1);
        return sqlite3_column_int(st, 2) ? 1 : -AM_E_CONFLICT;
    }
    snprintf(ret_other, NAME_MAX_, "%s", other);
    return -AM_E_NAME_TAKEN;
}

static int put_created(struct am_db *db, const struct am_model_new *m, int64_t rev)
{
    return am_event_put(db, &(struct am_event_new){.at = m->now,
                                                   .type = "model.created",
                                                   .job = m->job,
                                                   .subject = m->name,
                                                   .model = m->name,
                                                   .revision = rev});
}

/* Its row and its v0 serve again: the lineage of others still leads to its versions, and no number is given twice. */
static int create_again(struct am_db *db, const struct am_model_new *m, int64_t id)
{
    int64_t rev = 0;
    AM_TRY(am_db_exec(db,
                      "UPDATE model SET description = ifnull(?2, ''), private = ?3, labels = ifnull(?4, '{}'),"
                      " created_by = ifnull(?5, '-'), created_at = ?6, rev = rev + 1, keep_days = NULL, gone_at = NULL,"
                      " deleted_at = NULL, deleted_by = NULL, deleted_reason = NULL WHERE id = ?1",
                      "ititti", id, m->description, (int64_t)m->is_private, m->labels, m->created_by, m->now));
    AM_TRY(am_db_int(db, &rev, "SELECT rev FROM model WHERE id = ?1", "i", id));
    return put_created(db, m, rev);
}

int am_model_create(struct am_db *db, const struct am_model_new *m, int64_t *ret_id, char ret_other[200])
{
    if (am_model_name_fault(m->name) || strlen(m->name) >= NAME_MAX_)
        return -AM_E_INVALID_REQUEST;
    char folded[NAME_MAX_];
    fold(m->name, folded);
    int64_t gone = 0;
    int rc = check_free(db, m->name, folded, &gone, ret_other);
    if (rc > 0) {
        AM_TRY(create_again(db, m, gone));
        *ret_id = gone;
        return 0;
    }
    AM_TRY(rc);
    AM_TRY(am_db_exec(db,
                      "INSERT INTO model (name, name_folded, description, private, labels, created_by, created_at)"
                      " VALUES (?1, ?2, ifnull(?3, ''), ?4, ifnull(?5, '{}'), ifnull(?6, '-'), ?7)",
                      "tttitti", m->name, folded, m->description, (int64_t)m->is_private, m->labels, m->created_by,
                      m->now));
    int64_t id = am_db_last_id(db), empty = 0;
    AM_TRY(am_version_empty(db, id, m->name, m->created_by, m->now, &empty));
    AM_TRY(am_ref_step(db, &(struct am_ref_step){.model = id,
                                                 .to = empty,
                                                 .now = m->now,
                                                 .name = "main",
                                                 .kind = "branch",
                                                 .by = m->created_by,
                                                 .reason = "created with the model"}));
    AM_TRY(put_created(db, m, 1));
    *ret_id = id;
    return 0;
}
