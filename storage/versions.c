/*
 * versions.c - rows of versions, read.
 */
#include "storage/db.h"
#include "storage/models_priv.h"

#include <stdio.h>

/* Changes with whatever am_report_against() says of the version. */
#define AM_SQL_COMPARED                                                                                                \
    "(SELECT count(*) || ' ' || ifnull(max(id), 0) FROM report WHERE new_version = v.id) || ' ' ||"                    \
    " (SELECT ifnull(max(id), 0) FROM decision WHERE new_version = v.id)"

#define VERSION_COLUMNS                                                                                                \
    "SELECT v.id, v.model, v.created_at, ifnull(v.number, -1), m.name, lower(hex(v.oid)), " AM_SQL_HEX(                \
        "p.oid") ", v.created_by, v.message, v.job, v.type, v.method, lower(hex(v.manifest_sha256)), v.recipe, "       \
                 "v.warnings,"                                                                                         \
                 " (SELECT json_group_array(name) FROM (SELECT name FROM ref WHERE version = v.id ORDER BY name)), "   \
                 "v.architecture,"                                                                                     \
                 " (SELECT json_group_object(k, n) FROM (SELECT j.key AS k, sum(j.value) AS n FROM file f"             \
                 " JOIN layout l ON l.id = f.layout JOIN json_each(l.parameters) j WHERE f.version = v.id AND "        \
                 "f.weights = 1"                                                                                       \
                 " AND l.parameters IS NOT NULL GROUP BY j.key ORDER BY j.key)),"                                      \
                 " v.files, v.bytes, v.new_bytes,"                                                                     \
                 " (SELECT ifnull(sum(l.tensors), 0) FROM file f JOIN layout l ON l.id = f.layout"                     \
                 " WHERE f.version = v.id AND f.weights = 1)"                                                          \
                 ", v.labels, v.note, v.pinned, v.rev, ifnull(v.deleted_at, ifnull(m.deleted_at, 0)), " AM_SQL_SINCE   \
                 ", ifnull(m.keep_days, -1), v.metadata, " AM_SQL_COMPARED                                             \
                 " FROM version v JOIN model m ON m.id = v.model LEFT JOIN version p ON p.id = v.parent"

static void fill(sqlite3_stmt *st, struct am_version_row *v)
{
    *v = (struct am_version_row){
        .id = sqlite3_column_int64(st, 0),
        .model = sqlite3_column_int64(st, 1),
        .created_at = sqlite3_column_int64(st, 2),
        .number = sqlite3_column_int64(st, 3),
        .model_name = am_col_text(st, 4),
        .commit = am_col_text(st, 5),
        .parent = am_col_text(st, 6),
        .created_by = am_col_text(st, 7),
        .message = am_col_text(st, 8),
        .job = am_col_text(st, 9),
        .type = am_col_text(st, 10),
        .method = am_col_text(st, 11),
        .manifest_sha256 = am_col_text(st, 12),
        .recipe = am_col_text(st, 13),
        .warnings = am_col_text(st, 14),
        .refs = am_col_text(st, 15),
        .architecture = am_col_text(st, 16),
        .parameters = am_col_text(st, 17),
        .files = sqlite3_column_int64(st, 18),
        .bytes = sqlite3_column_int64(st, 19),
        .new_bytes = sqlite3_column_int64(st, 20),
        .tensors = sqlite3_column_int64(st, 21),
        .labels = am_col_text(st, 22),
        .note = am_col_text(st, 23),
        .pinned = sqlite3_column_int(st, 24) != 0,
        .rev = sqlite3_column_int64(st, 25),
        .deleted_at = sqlite3_column_int64(st, 26),
        .since = sqlite3_column_int64(st, 27),
        .keep_days = sqlite3_column_int64(st, 28),
        .metadata = am_col_text(st, 29),
        .compared = am_col_text(st, 30),
    };
}

static int get(sqlite3_stmt *st, void (*take)(sqlite3_stmt *st, struct am_version_row *v),
               int (*row)(void *, const struct am_version_row *), void *ctx)
{
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    struct am_version_row v;
    take(st, &v);
    rc = row(ctx, &v);
    return rc < 0 ? rc : 0;
}

int am_version_get(struct am_db *db, int64_t version, int (*row)(void *, const struct am_version_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, VERSION_COLUMNS " WHERE v.id = ?1", "i", version);
    return get(st, fill, row, ctx);
}

static void fill_brief(sqlite3_stmt *st, struct am_version_row *v)
{
    *v = (struct am_version_row){.id = sqlite3_column_int64(st, 0),
                                 .model = sqlite3_column_int64(st, 1),
                                 .number = sqlite3_column_int64(st, 2),
                                 .model_name = am_col_text(st, 3),
                                 .commit = am_col_text(st, 4),
                                 .manifest_sha256 = am_col_text(st, 5),
                                 .architecture = am_col_text(st, 6),
                                 .is_private = sqlite3_column_int(st, 7) != 0};
}

int am_version_brief(struct am_db *db, int64_t version, int (*row)(void *, const struct am_version_row *), void *ctx)
{
    AM_STMT st = am_db_bind(
        db,
        "SELECT v.id, v.model, ifnull(v.number, -1), m.name, lower(hex(v.oid)),"
        " lower(hex(v.manifest_sha256)), v.architecture, m.private FROM version v JOIN model m ON m.id = v.model"
        " WHERE v.id = ?1",
        "i", version);
    return get(st, fill_brief, row, ctx);
}

static int take_commit(void *ctx, const struct am_version_row *v)
{
    snprintf(ctx, 41, "%s", v->commit);
    return 0;
}

int am_version_commit(struct am_db *db, int64_t version, char ret[41])
{
    return am_version_brief(db, version, take_commit, ret);
}

static int find_model(struct am_db *db, const char *name, int64_t *ret)
{
    int rc = am_db_int(db, ret, "SELECT id FROM model WHERE name = ?1 AND deleted_at IS NULL", "t", name);
    return rc < 0 ? rc : rc ? 0 : -AM_E_NOT_FOUND;
}

static int walk(sqlite3_stmt *bound, int (*row)(void *, const struct am_version_row *), void *ctx)
{
    AM_STMT st = bound;
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_version_row v;
        fill(st, &v);
        AM_TRY(row(ctx, &v));
    }
    return rc;
}

int am_version_list(struct am_db *db, const char *model, int64_t before, int limit,
                    int (*row)(void *, const struct am_version_row *), void *ctx)
{
    int64_t id = 0;
    AM_TRY(find_model(db, model, &id));
    AM_STMT st = am_db_bind(db,
                            VERSION_COLUMNS " WHERE v.model = ?1 AND v.id < ?2 AND v.deleted_at IS NULL"
                                            " ORDER BY v.id DESC LIMIT ?3",
                            "iii", id, before > 0 ? before : INT64_MAX, (int64_t)limit);
    return walk(st, row, ctx);
}

int am_version_line(struct am_db *db, const char *model, int64_t first, int limit,
                    int (*row)(void *, const struct am_version_row *), void *ctx)
{
    int64_t id = 0;
    AM_TRY(find_model(db, model, &id));
    /* each has one parent, and a lower id than its child, so the line comes in the order that is wanted */
    AM_STMT st =
        am_db_bind(db,
                   VERSION_COLUMNS " WHERE v.id IN (WITH RECURSIVE line (id, parent, live) AS"
                                   " (SELECT id, parent, deleted_at IS NULL FROM version WHERE id = ?2 AND"
                                   " model = ?1 UNION ALL SELECT n.id, n.parent, n.deleted_at IS NULL FROM line"
                                   " JOIN version n ON n.id = line.parent AND n.model = ?1)"
                                   " SELECT id FROM line WHERE live LIMIT ?3) ORDER BY v.id DESC",
                   "iii", id, first, (int64_t)limit);
    return walk(st, row, ctx);
}
