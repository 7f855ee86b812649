/*
 * files.c - what a version consists of, read: files, spans, tensors.
 */
#include "storage/db.h"
#include "storage/models_priv.h"

#include <stdlib.h>

/* `blob` is named only when the file is that blob, byte for byte. */
#define FILE_COLUMNS                                                                                                   \
    "SELECT f.path, lower(hex(l.sha256)), " AM_SQL_HEX(                                                                \
        "f.git_sha1") ", l.bytes, f.layout, f.weights,"                                                                \
                      " (SELECT count(*) FROM span s WHERE s.layout = l.id),"                                          \
                      " (SELECT lower(hex(s.blob)) FROM span s JOIN blob b ON b.sha256 = s.blob WHERE s.layout = "     \
                      "l.id AND s.seq = 0"                                                                             \
                      " AND s.offset = 0 AND s.bytes = l.bytes AND b.bytes = l.bytes)"                                 \
                      " FROM file f JOIN layout l ON l.id = f.layout WHERE f.version = ?1"

static void fill_file(sqlite3_stmt *st, struct am_file_row *f)
{
    *f = (struct am_file_row){
        .path = am_col_text(st, 0),
        .sha256 = am_col_text(st, 1),
        .git_sha1 = am_col_text(st, 2),
        .bytes = sqlite3_column_int64(st, 3),
        .layout = sqlite3_column_int64(st, 4),
        .weights = sqlite3_column_int(st, 5) != 0,
        .spans = sqlite3_column_int64(st, 6),
        .blob = am_col_text(st, 7),
    };
}

int am_file_list(struct am_db *db, int64_t version, int (*row)(void *, const struct am_file_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, FILE_COLUMNS " ORDER BY f.path", "i", version);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_file_row f;
        fill_file(st, &f);
        AM_TRY(row(ctx, &f));
    }
    return rc;
}

int am_file_get(struct am_db *db, int64_t version, const char *path, int (*row)(void *, const struct am_file_row *),
                void *ctx)
{
    AM_STMT st = am_db_bind(db, FILE_COLUMNS " AND f.path = ?2", "it", version, path);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    struct am_file_row f;
    fill_file(st, &f);
    rc = row(ctx, &f);
    return rc < 0 ? rc : 0;
}

int am_span_list(struct am_db *db, int64_t layout,
                 int (*row)(void *, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes), void *ctx)
{
    AM_STMT st = am_db_bind(db, "SELECT at, lower(hex(blob)), offset, bytes FROM span WHERE layout = ?1 ORDER BY seq",
                            "i", layout);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, sqlite3_column_int64(st, 0), am_col_text(st, 1), sqlite3_column_int64(st, 2),
                   sqlite3_column_int64(st, 3)));
    return rc;
}

struct am_tensor_cursor {
    sqlite3_stmt *st;
};

static sqlite3_stmt *tensors_of(struct am_db *db, int64_t version)
{
    return am_db_bind(
        db,
        "SELECT t.name, t.dtype, t.shape, f.path, t.begin, t.bytes FROM file f JOIN tensor t ON t.layout = f.layout"
        " WHERE f.version = ?1 AND f.weights = 1 ORDER BY t.name, f.path",
        "i", version);
}

static int next_tensor(sqlite3_stmt *st, struct am_tensor_row *ret)
{
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    *ret = (struct am_tensor_row){
        .name = am_col_text(st, 0),
        .dtype = am_col_text(st, 1),
        .shape = am_col_text(st, 2),
        .file = am_col_text(st, 3),
        .begin = sqlite3_column_int64(st, 4),
        .bytes = sqlite3_column_int64(st, 5),
    };
    return 1;
}

int am_tensor_list(struct am_db *db, int64_t version, int (*row)(void *, const struct am_tensor_row *), void *ctx)
{
    AM_STMT st = tensors_of(db, version);
    struct am_tensor_row t;
    int rc;
    while ((rc = next_tensor(st, &t)) > 0)
        AM_TRY(row(ctx, &t));
    return rc;
}

/* Several cursors are open side by side, even over one version, before any is stepped: their statements are not of the
 * cache. */
struct am_tensor_cursor *am_tensor_open(struct am_db *db, int64_t version)
{
    struct am_tensor_cursor *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    sqlite3_stmt *shared = tensors_of(db, version);
    sqlite3 *sq = shared ? sqlite3_db_handle(shared) : NULL;
    if (!sq || sqlite3_prepare_v2(sq, sqlite3_sql(shared), -1, &c->st, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(c->st, 1, version) != SQLITE_OK) {
        am_tensor_close(c);
        c = NULL;
    }
    am_stmt_resetp(&shared);
    return c;
}

int am_tensor_next(struct am_tensor_cursor *c, struct am_tensor_row *ret)
{
    return next_tensor(c->st, ret);
}

void am_tensor_close(struct am_tensor_cursor *c)
{
    if (!c)
        return;
    sqlite3_finalize(c->st);
    free(c);
}
