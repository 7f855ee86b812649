/*
 * files.c - what a version consists of, read: files, spans, tensors.
 */
#include "storage/db.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int am_version_blobs(struct am_db *db, int64_t version, int (*row)(void *, const char *blob_hex, int64_t bytes),
                     void *ctx)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT DISTINCT lower(hex(b.sha256)), b.bytes FROM file f JOIN span s ON s.layout = f.layout"
                   " JOIN blob b ON b.sha256 = s.blob WHERE f.version = ?1 AND f.weights = 1 ORDER BY 1",
                   "i", version);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, am_col_text(st, 0), sqlite3_column_int64(st, 1)));
    return rc;
}

int am_blob_origin(struct am_db *db, const char *blob_hex, char *ret, size_t cap)
{
    unsigned char sha[32];
    AM_TRY(am_unhex(blob_hex, sizeof sha, sha));
    AM_STMT st = am_db_bind(db,
                            "SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model"
                            " WHERE v.id = (SELECT f.version FROM span s JOIN file f ON f.layout = s.layout"
                            " WHERE s.blob = ?1 ORDER BY s.layout, f.version LIMIT 1)",
                            "b", sha, sizeof sha);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    snprintf(ret, cap, "%s@%s", am_col_text(st, 0), am_col_text(st, 1));
    return 0;
}

int am_version_spans(struct am_db *db, int64_t version, uint64_t *ret)
{
    int64_t n = 0;
    AM_TRY(am_db_int(db, &n,
                     "SELECT count(*) FROM file f JOIN span s ON s.layout = f.layout"
                     " WHERE f.version = ?1 AND f.weights = 1",
                     "i", version));
    *ret = (uint64_t)n;
    return 0;
}

int am_store_bytes(struct am_db *db, int64_t *ret_logical, int64_t *ret_physical)
{
    int64_t logical = 0, physical = 0;
    AM_TRY(am_db_int(db, &logical, "SELECT ifnull(sum(logical_bytes), 0) FROM model WHERE deleted_at IS NULL", ""));
    AM_TRY(am_db_int(db, &physical, "SELECT bytes FROM blob_count", ""));
    *ret_logical = logical;
    *ret_physical = physical;
    return 0;
}

#define HEADWAY 4096 /* rows of a long walk, which is bounded by the number of tensors and not by time */

struct am_tensor_cursor {
    sqlite3_stmt *st; /* of the cache; NULL when there is no row left */
    bool first;       /* it stands on a row that nobody has asked for */
    struct am_db *db;
    unsigned rows;
};

#define TENSORS                                                                                                        \
    "SELECT t.name, t.dtype, t.shape, f.path, t.begin, t.bytes, f.layout FROM file f JOIN tensor t ON t.layout = "     \
    "f.layout"                                                                                                         \
    " WHERE f.version = ?1 AND f.weights = 1"

static sqlite3_stmt *tensors_of(struct am_db *db, int64_t version)
{
    return am_db_bind(db, TENSORS " ORDER BY t.name, f.path", "i", version);
}

static void take_tensor(sqlite3_stmt *st, struct am_tensor_row *ret)
{
    *ret = (struct am_tensor_row){
        .name = am_col_text(st, 0),
        .dtype = am_col_text(st, 1),
        .shape = am_col_text(st, 2),
        .file = am_col_text(st, 3),
        .begin = sqlite3_column_int64(st, 4),
        .bytes = sqlite3_column_int64(st, 5),
        .layout = sqlite3_column_int64(st, 6),
    };
}

int am_tensor_list(struct am_db *db, int64_t version, int (*row)(void *, const struct am_tensor_row *), void *ctx)
{
    AM_STMT st = tensors_of(db, version);
    struct am_tensor_row t;
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        take_tensor(st, &t);
        AM_TRY(row(ctx, &t));
    }
    return rc;
}

/* Several cursors are open side by side, even over one version. Each stands on its first row from the start: the cache
 * gives away no statement that is in use, and preparing one for every walk would cost more than the walk. */
static struct am_tensor_cursor *open_cursor(struct am_db *db, sqlite3_stmt *bound)
{
    AM_STMT st = bound;
    struct am_tensor_cursor *c = calloc(1, sizeof *c);
    int rc = c ? am_db_row(st) : -AM_E_OUT_OF_MEMORY;
    if (rc < 0) {
        free(c);
        return NULL;
    }
    c->db = db;
    if (rc > 0) {
        c->st = st;
        c->first = true;
        st = NULL;
    }
    return c;
}

/* The path of the only weight file, for free(); NULL: there are several, or none. */
static char *only_file(struct am_db *db, int64_t version)
{
    AM_STMT st = am_db_bind(db, "SELECT path FROM file WHERE version = ?1 AND weights = 1 LIMIT 2", "i", version);
    char *path = am_db_row(st) > 0 ? strdup(am_col_text(st, 0)) : NULL;
    if (path && am_db_row(st) == 0)
        return path;
    free(path);
    return NULL;
}

/* The tensors of one file lie in the table by name already; those of several are sorted. */
struct am_tensor_cursor *am_tensor_open(struct am_db *db, int64_t version)
{
    char *path = only_file(db, version);
    struct am_tensor_cursor *c =
        open_cursor(db, path ? am_db_bind(db, TENSORS " AND f.path = ?2 ORDER BY t.name", "it", version, path)
                             : tensors_of(db, version));
    free(path);
    return c;
}

struct am_tensor_cursor *am_tensor_open_after(struct am_db *db, int64_t version, const char *after)
{
    if (!after)
        return am_tensor_open(db, version);
    char *path = only_file(db, version);
    struct am_tensor_cursor *c = open_cursor(
        db,
        path ? am_db_bind(db, TENSORS " AND f.path = ?2 AND t.name > ?3 ORDER BY t.name", "itt", version, path, after)
             : am_db_bind(db, TENSORS " AND t.name > ?2 ORDER BY t.name, f.path", "it", version, after));
    free(path);
    return c;
}

struct am_tensor_cursor *am_tensor_open_by_place(struct am_db *db, int64_t version)
{
    return open_cursor(db, am_db_bind(db, TENSORS " ORDER BY f.path, t.begin, t.name", "i", version));
}

int am_tensor_get(struct am_db *db, int64_t version, const char *name, int (*row)(void *, const struct am_tensor_row *),
                  void *ctx)
{
    AM_STMT st = am_db_bind(db, TENSORS " AND t.name = ?2", "it", version, name);
    struct am_tensor_row t;
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    take_tensor(st, &t);
    return row(ctx, &t);
}

int am_tensor_next(struct am_tensor_cursor *c, struct am_tensor_row *ret)
{
    if (!c->st)
        return 0;
    if (++c->rows % HEADWAY == 0)
        am_db_headway(c->db);
    int rc = c->first ? 1 : am_db_row(c->st);
    c->first = false;
    if (rc > 0)
        take_tensor(c->st, ret);
    else
        am_stmt_resetp(&c->st);
    return rc;
}

void am_tensor_close(struct am_tensor_cursor *c)
{
    if (!c)
        return;
    am_stmt_resetp(&c->st);
    free(c);
}
