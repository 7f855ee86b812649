/*
 * damage.c - see damage.h. Every question starts from the marked rows, which an index holds alone: a store without
 * damage answers at once, however large it is.
 */
#include "storage/damage.h"
#include "storage/db.h"

#include "core/base/text.h"

#include <stdio.h>

#define SHA 32

static int look(struct am_db *db, const struct am_damage *d, const unsigned char sha[SHA], bool *ret_marked, bool *same)
{
    AM_STMT st = am_db_bind(db,
                            d->assembled ? "SELECT damage IS NOT NULL, damage IS ?2 FROM layout WHERE sha256 = ?1"
                                         : "SELECT damage IS NOT NULL, damage IS ?2 FROM blob WHERE sha256 = ?1",
                            "bt", sha, (size_t)SHA, d->reason);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    *ret_marked = sqlite3_column_int(st, 0) != 0;
    *same = sqlite3_column_int(st, 1) != 0;
    return 0;
}

int am_damage_mark(struct am_db *db, const struct am_damage *d, int64_t now, bool *ret_was)
{
    unsigned char sha[SHA];
    bool same = false;
    AM_TRY(am_unhex(d->sha256, sizeof sha, sha));
    AM_TRY(look(db, d, sha, ret_was, &same));
    if (same)
        return 0;
    if (d->assembled)
        AM_TRY(am_db_exec(db, "UPDATE layout SET damage = ?2 WHERE sha256 = ?1", "bt", sha, (size_t)SHA, d->reason));
    else
        AM_TRY(am_db_exec(db,
                          "UPDATE blob SET damage = ?2, damaged_at = iif(?2 IS NULL, NULL, ifnull(damaged_at, ?3))"
                          " WHERE sha256 = ?1",
                          "bti", sha, (size_t)SHA, d->reason, now));
    return 1;
}

int am_damage_of_blob(struct am_db *db, const char *sha256)
{
    unsigned char sha[SHA];
    int64_t one;
    AM_TRY(am_unhex(sha256, sizeof sha, sha));
    return am_db_int(db, &one, "SELECT 1 FROM blob WHERE sha256 = ?1 AND damage IS NOT NULL", "b", sha, (size_t)SHA);
}

int am_damage_versions(struct am_db *db, const struct am_damage *d, int limit,
                       int (*row)(void *ctx, const char *model, const char *commit), void *ctx, int64_t *ret_total)
{
    unsigned char sha[SHA];
    AM_TRY(am_unhex(d->sha256, sizeof sha, sha));
    AM_STMT st = am_db_bind(
        db,
        d->assembled ? "SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model WHERE v.id IN"
                       " (SELECT f.version FROM layout l JOIN file f ON f.layout = l.id WHERE l.sha256 = ?1)"
                       " ORDER BY v.id"
                     : "SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model WHERE v.id IN"
                       " (SELECT f.version FROM span s JOIN file f ON f.layout = s.layout WHERE s.blob = ?1)"
                       " ORDER BY v.id",
        "b", sha, (size_t)SHA);
    int64_t n = 0;
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        if (n++ < limit)
            AM_TRY(row(ctx, am_col_text(st, 0), am_col_text(st, 1)));
    }
    if (rc == 0)
        *ret_total = n;
    return rc;
}

int am_damage_check(struct am_db *db, int64_t version, struct am_where where, const char *label,
                    struct am_faults *faults)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT f.path, lower(hex(b.sha256)), b.damage FROM blob b INDEXED BY blob_damaged"
                            " JOIN span s ON s.blob = b.sha256 JOIN file f ON f.layout = s.layout AND f.version = ?1"
                            " WHERE b.damage IS NOT NULL"
                            " UNION ALL SELECT f.path, lower(hex(l.sha256)), l.damage"
                            " FROM layout l INDEXED BY layout_damaged JOIN file f ON f.layout = l.id AND f.version = ?1"
                            " WHERE l.damage IS NOT NULL LIMIT 1",
                            "i", version);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    where.reason = "store-damaged";
    where.file = am_col_text(st, 0);
    return am_fault_add(faults, AM_E_STORE_DAMAGED, where,
                        "%s cannot be used: a verify found %s damaged (%s %.12s...). Bring the file back below blobs/ "
                        "from a backup and verify again",
                        label, am_col_text(st, 0), am_col_text(st, 2), am_col_text(st, 1));
}

int am_damage_of_layout(struct am_db *db, int64_t layout, char *why, size_t why_cap)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT lower(hex(b.sha256)), b.damage FROM blob b INDEXED BY blob_damaged"
                            " JOIN span s ON s.blob = b.sha256 AND s.layout = ?1 WHERE b.damage IS NOT NULL"
                            " UNION ALL SELECT lower(hex(sha256)), damage FROM layout INDEXED BY layout_damaged"
                            " WHERE id = ?1 AND damage IS NOT NULL LIMIT 1",
                            "i", layout);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    snprintf(why, why_cap,
             "a verify found the stored bytes of this file damaged (%s, %s). Bring %s back below blobs/ from a backup, "
             "then verify again",
             am_col_text(st, 1), am_col_text(st, 0), am_col_text(st, 0));
    return -AM_E_STORE_DAMAGED;
}
