/*
 * retention.c - when a version that nothing holds is deleted (life.h). The time is read from what is stored already:
 * when it was made, restored or unpinned, and when a ref last moved away from it. What holds a version is AM_SQL_SINCE.
 */
#include "storage/db.h"
#include "storage/life.h"
#include "storage/models_priv.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

int64_t am_expires_at(int64_t since, int64_t keep_days, int64_t default_days)
{
    int64_t days = keep_days < 0 ? default_days : keep_days;
    return since > 0 && days > 0 ? since + days * DAY_MS : 0;
}

int am_version_expiry(struct am_db *db, int64_t version, int64_t default_days, int64_t *ret)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT " AM_SQL_SINCE ", ifnull(m.keep_days, -1) FROM version v JOIN model m"
                            " ON m.id = v.model WHERE v.id = ?1",
                            "i", version);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    *ret = am_expires_at(sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), default_days);
    return 0;
}

int am_expired(struct am_db *db, int64_t now, int64_t default_days, int64_t after, int limit, int64_t *ret_ids,
               int *ret_n)
{
    /* what was made too late cannot have expired: most of a busy store is passed over by that alone */
    AM_STMT st =
        am_db_bind(db,
                   "SELECT id FROM (SELECT v.id AS id, ifnull(m.keep_days, ?2) AS days, " AM_SQL_SINCE
                   " AS since FROM version v JOIN model m ON m.id = v.model WHERE v.id > ?3 AND v.deleted_at IS"
                   " NULL AND m.deleted_at IS NULL AND ifnull(m.keep_days, ?2) > 0 AND v.created_at <= ?1 -"
                   " ifnull(m.keep_days, ?2) * 86400000) WHERE since > 0 AND since + days * 86400000 <= ?1"
                   " ORDER BY id LIMIT ?4",
                   "iiii", now, default_days, after, (int64_t)limit);
    int rc, n = 0;
    while ((rc = am_db_row(st)) > 0)
        ret_ids[n++] = sqlite3_column_int64(st, 0);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int am_expire(struct am_db *db, int64_t version, int64_t now, int64_t default_days)
{
    int64_t at = 0;
    AM_TRY(am_version_expiry(db, version, default_days, &at));
    if (at == 0 || at > now)
        return 0;
    AM_TRY(am_version_delete(
        db, &(struct am_deletion){.id = version, .now = now, .by = "housekeeping", .reason = "retention"}));
    return 1;
}
