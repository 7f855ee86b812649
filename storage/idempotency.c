/*
 * idempotency.c - see idempotency.h.
 */
#include "storage/idempotency.h"

#include "core/base/hash.h"
#include "core/base/text.h"
#include "storage/db.h"

#include <string.h>

#define SHA_BYTES 32
/* Rows dropped with each that comes: more than one, so that what has piled up while nobody wrote gets less again. */
#define PRUNE "8"

int am_idem_get(struct am_db *db, const char *principal, const char *key, const char *fingerprint, int64_t since,
                int (*row)(void *ctx, const struct am_idem_row *), void *ctx)
{
    unsigned char sha[SHA_BYTES];
    AM_TRY(am_unhex(fingerprint, sizeof sha, sha));
    AM_STMT st = am_db_bind(db,
                            "SELECT fingerprint, status, body, created_at FROM idempotency"
                            " WHERE principal = ?1 AND key = ?2 AND created_at >= ?3",
                            "tti", principal, key, since);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    if (sqlite3_column_bytes(st, 0) != SHA_BYTES || memcmp(sqlite3_column_blob(st, 0), sha, SHA_BYTES) != 0)
        return -AM_E_KEY_REUSED;
    struct am_idem_row r = {.principal = principal,
                            .key = key,
                            .fingerprint = fingerprint,
                            .status = sqlite3_column_int(st, 1),
                            .body = am_col_text(st, 2),
                            .created_at = sqlite3_column_int64(st, 3)};
    rc = row(ctx, &r);
    return rc < 0 ? rc : 1;
}

int am_idem_put(struct am_db *db, const struct am_idem_row *r, int64_t since)
{
    unsigned char sha[SHA_BYTES];
    AM_TRY(am_unhex(r->fingerprint, sizeof sha, sha));
    AM_TRY(am_db_exec(db,
                      "DELETE FROM idempotency WHERE (principal, key) IN (SELECT principal, key FROM idempotency"
                      " WHERE created_at < ?1 ORDER BY created_at LIMIT " PRUNE ")",
                      "i", since));
    return am_db_exec(db,
                      "INSERT OR REPLACE INTO idempotency (principal, key, fingerprint, status, body, created_at)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                      "ttbiti", r->principal, r->key, sha, sizeof sha, (int64_t)r->status, r->body, r->created_at);
}
