/*
 * hub.c - see hub.h. Every walk over ancestors has a ceiling: a line of commits may be long, a page is not.
 */
#include "storage/hub.h"

#include "storage/db.h"

#define MODEL                                                                                                          \
    "SELECT m.id, m.name, m.private, m.created_at, v.created_at, r.version FROM model m"                               \
    " JOIN ref r ON r.model = m.id AND r.name = 'main' AND m.deleted_at IS NULL JOIN version v ON v.id = r.version"

static void fill(sqlite3_stmt *st, struct am_hub_model_row *m)
{
    *m = (struct am_hub_model_row){
        .id = sqlite3_column_int64(st, 0),
        .name = am_col_text(st, 1),
        .is_private = sqlite3_column_int(st, 2) != 0,
        .created_at = sqlite3_column_int64(st, 3),
        .modified_at = sqlite3_column_int64(st, 4),
        .head = sqlite3_column_int64(st, 5),
    };
}

int am_hub_model_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_hub_model_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, MODEL " WHERE m.name = ?1", "t", name);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    struct am_hub_model_row m;
    fill(st, &m);
    rc = row(ctx, &m);
    return rc < 0 ? rc : 0;
}

#define OF_AUTHOR " WHERE (?1 IS NULL OR substr(m.name, 1, length(?1) + 1) = ?1 || '/')"
#define NEWEST(time)                                                                                                   \
    MODEL OF_AUTHOR " AND (?3 IS NULL OR " time " < ?4 OR (" time " = ?4 AND m.name > ?3)) ORDER BY " time             \
                    " DESC, m.name LIMIT ?2"

int am_hub_model_list(struct am_db *db, enum am_hub_order order, const struct am_hub_place *after, const char *author,
                      int limit, int (*row)(void *, const struct am_hub_model_row *), void *ctx)
{
    static const char *const sql[] = {
        [AM_HUB_BY_NAME] = MODEL OF_AUTHOR " AND (?3 IS NULL OR m.name > ?3) AND ?4 IS NOT NULL"
                                           " ORDER BY m.name LIMIT ?2",
        [AM_HUB_BY_CREATION] = NEWEST("m.created_at"),
        [AM_HUB_BY_CHANGE] = NEWEST("v.created_at"),
    };
    AM_STMT st = am_db_bind(db, sql[order], "titi", author, (int64_t)limit, after->name, after->time);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_hub_model_row m;
        fill(st, &m);
        AM_TRY(row(ctx, &m));
    }
    return rc;
}

int am_hub_bases(struct am_db *db, int64_t version, int (*row)(void *, const char *model, const char *type), void *ctx)
{
    AM_STMT st = am_db_bind(
        db,
        "WITH RECURSIVE own (v) AS (SELECT ?1 UNION SELECT e.parent FROM own JOIN edge e ON e.child = own.v"
        " JOIN version p ON p.id = e.parent WHERE p.model = (SELECT model FROM version WHERE id = ?1) LIMIT 1000)"
        " SELECT m.name, c.type, max(c.id) FROM own JOIN version c ON c.id = own.v JOIN edge e ON e.child = c.id"
        " JOIN version p ON p.id = e.parent JOIN model m ON m.id = p.model WHERE p.model <> c.model"
        " GROUP BY m.id ORDER BY max(c.id) DESC, m.name LIMIT 100",
        "i", version);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, am_col_text(st, 0), am_col_text(st, 1)));
    return rc;
}

int am_hub_children(struct am_db *db, int64_t model, int64_t *ret)
{
    int64_t n = 0;
    AM_TRY(am_db_int(db, &n,
                     "SELECT count(DISTINCT c.model) FROM version p JOIN edge e ON e.parent = p.id"
                     " JOIN version c ON c.id = e.child WHERE p.model = ?1 AND c.model <> ?1",
                     "i", model));
    *ret = n;
    return 0;
}

static int commits(sqlite3_stmt *bound, int (*row)(void *, const struct am_hub_commit *), void *ctx)
{
    AM_STMT st = bound;
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_hub_commit c = {.commit = am_col_text(st, 0),
                                  .message = am_col_text(st, 1),
                                  .author = am_col_text(st, 2),
                                  .at = sqlite3_column_int64(st, 3)};
        AM_TRY(row(ctx, &c));
    }
    return rc;
}

#define COMMIT "SELECT lower(hex(v.oid)), v.message, v.created_by, v.created_at FROM version v"

int am_hub_commits(struct am_db *db, int64_t version, int limit, int (*row)(void *, const struct am_hub_commit *),
                   void *ctx)
{
    /* a parent has a lower id than its child, so the line comes in the order that is wanted */
    return commits(
        am_db_bind(
            db,
            COMMIT
            " WHERE v.id IN (WITH RECURSIVE line (id, parent, live) AS (SELECT id, parent, deleted_at IS NULL FROM"
            " version WHERE id = ?1 UNION ALL SELECT p.id, p.parent, p.deleted_at IS NULL FROM line JOIN version p"
            " ON p.id = line.parent) SELECT id FROM line WHERE live LIMIT ?2) ORDER BY v.id DESC",
            "ii", version, (int64_t)limit),
        row, ctx);
}

int am_hub_commit_get(struct am_db *db, int64_t version, int (*row)(void *, const struct am_hub_commit *), void *ctx)
{
    return commits(am_db_bind(db, COMMIT " WHERE v.id = ?1", "i", version), row, ctx);
}

int am_hub_last_change(struct am_db *db, int64_t version, const char *path, int64_t layout, int64_t *ret)
{
    return am_db_int(db, ret,
                     "WITH RECURSIVE line (v) AS (SELECT ?1 UNION ALL SELECT w.parent FROM line JOIN version w"
                     " ON w.id = line.v JOIN file f ON f.version = w.parent AND f.path = ?2"
                     " WHERE f.layout = ?3 LIMIT 1000) SELECT min(v) FROM line",
                     "iti", version, path, layout);
}

int am_hub_namespaces(struct am_db *db, int (*row)(void *, const char *name), void *ctx)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT DISTINCT substr(name, 1, instr(name, '/') - 1) FROM model WHERE deleted_at IS NULL "
                            "ORDER BY 1 LIMIT 1000",
                            "");
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, am_col_text(st, 0)));
    return rc;
}
