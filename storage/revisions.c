/*
 * revisions.c - from what a person writes after '@' to a version (hub.md 2.4).
 */
#include "storage/db.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define PREFIX_MIN 8
#define OID 20

static int by_commit(struct am_db *db, int64_t model, const char *rev, bool deleted, int64_t *ret)
{
    unsigned char oid[OID];
    if (!am_is_hex(rev, AM_COMMIT_LEN) || am_unhex(rev, OID, oid) < 0)
        return 0;
    return am_db_int(db, ret, "SELECT id FROM version WHERE model = ?1 AND oid = ?2 AND (?3 OR deleted_at IS NULL)",
                     "ibi", model, oid, sizeof oid, (int64_t)deleted);
}

static int by_ref(struct am_db *db, int64_t model, const char *rev, int64_t *ret)
{
    static const struct {
        const char *prefix, *kind;
    } long_form[] = {{"refs/heads/", "branch"}, {"refs/tags/", "tag"}, {"refs/aliases/", "alias"}};
    for (size_t i = 0; i < sizeof long_form / sizeof *long_form; i++) {
        if (am_starts(rev, long_form[i].prefix))
            return am_db_int(db, ret, "SELECT version FROM ref WHERE model = ?1 AND name = ?2 AND kind = ?3", "itt",
                             model, rev + strlen(long_form[i].prefix), long_form[i].kind);
    }
    return am_db_int(db, ret, "SELECT version FROM ref WHERE model = ?1 AND name = ?2", "it", model, rev);
}

static int by_number(struct am_db *db, int64_t model, const char *rev, bool deleted, int64_t *ret)
{
    uint64_t n;
    bool plain = rev[0] == 'v' && (rev[1] != '0' || rev[2] == '\0');
    if (!plain || am_parse_u64(rev + 1, &n) < 0 || n > INT64_MAX)
        return 0;
    return am_db_int(db, ret, "SELECT id FROM version WHERE model = ?1 AND number = ?2 AND (?3 OR deleted_at IS NULL)",
                     "iii", model, (int64_t)n, (int64_t)deleted);
}

static int by_prefix(struct am_db *db, int64_t model, const char *rev, bool deleted, int64_t *ret)
{
    size_t n = strlen(rev);
    if (n < PREFIX_MIN || n >= AM_COMMIT_LEN || !am_is_hex(rev, n))
        return 0;
    char text[AM_COMMIT_LEN + 1];
    unsigned char lo[OID], hi[OID];
    snprintf(text, sizeof text, "%.*s%.*s", (int)n, rev, (int)(AM_COMMIT_LEN - n),
             "0000000000000000000000000000000000000000");
    AM_TRY(am_unhex(text, OID, lo));
    snprintf(text, sizeof text, "%.*s%.*s", (int)n, rev, (int)(AM_COMMIT_LEN - n),
             "ffffffffffffffffffffffffffffffffffffffff");
    AM_TRY(am_unhex(text, OID, hi));
    AM_STMT st = am_db_bind(db,
                            "SELECT id FROM version WHERE model = ?1 AND oid BETWEEN ?2 AND ?3"
                            " AND (?4 OR deleted_at IS NULL) LIMIT 2",
                            "ibbi", model, lo, sizeof lo, hi, sizeof hi, (int64_t)deleted);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    int64_t id = sqlite3_column_int64(st, 0);
    rc = am_db_row(st);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* two of them: not a name of either */
    *ret = id;
    return 1;
}

/* `deleted`: also in a model, and among versions, that are deleted; those have no refs. */
static int resolve(struct am_db *db, const char *model, const char *rev, bool deleted, int64_t *ret_version,
                   bool *ret_fixed)
{
    int64_t id = 0, version = 0;
    int rc = am_db_int(db, &id, "SELECT id FROM model WHERE name = ?1 AND (?2 OR deleted_at IS NULL)", "ti", model,
                       (int64_t)deleted);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    rc = by_commit(db, id, rev, deleted, &version);
    bool fixed = rc > 0;
    if (rc == 0)
        rc = by_ref(db, id, rev, &version);
    if (rc == 0)
        rc = by_number(db, id, rev, deleted, &version);
    if (rc == 0)
        rc = by_prefix(db, id, rev, deleted, &version);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    *ret_version = version;
    if (ret_fixed)
        *ret_fixed = fixed;
    return 0;
}

int am_rev_resolve(struct am_db *db, const char *model, const char *rev, int64_t *ret_version, bool *ret_fixed)
{
    return resolve(db, model, rev, false, ret_version, ret_fixed);
}

int am_rev_resolve_any(struct am_db *db, const char *model, const char *rev, int64_t *ret_version)
{
    return resolve(db, model, rev, true, ret_version, NULL);
}

int am_rev_names(struct am_db *db, const char *model, int (*name)(void *, const char *), void *ctx)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT 0, 0, r.name FROM model m JOIN ref r ON r.model = m.id WHERE m.name = ?1 AND m.deleted_at IS"
                   " NULL UNION ALL"
                   " SELECT * FROM (SELECT 1, -v.number, 'v' || v.number FROM model m JOIN version v ON v.model = m.id"
                   " WHERE m.name = ?1 AND m.deleted_at IS NULL AND v.deleted_at IS NULL AND v.number IS NOT NULL "
                   "ORDER BY v.number DESC LIMIT 10) ORDER BY 1, 2, 3",
                   "t", model);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(name(ctx, am_col_text(st, 2)));
    return rc;
}
