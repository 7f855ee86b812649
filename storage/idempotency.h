/*
 * idempotency.h - answers kept under the key that a client gave its request, so that the same request sent again
 * changes nothing and is answered the same. A row is written in the transaction of what it answers for.
 */
#ifndef AM_STORAGE_IDEMPOTENCY_H
#define AM_STORAGE_IDEMPOTENCY_H

#include "core/base/err.h"

#include <stdint.h>

struct am_db;

struct am_idem_row {
    const char *principal, *key;
    const char *fingerprint; /* SHA-256 of the request, hex */
    int status;
    const char *body; /* of the answer */
    int64_t created_at;
};

/* The row that is younger than `since`: 1 and row(), 0 when there is none, -AM_E_KEY_REUSED when it is of another
 * request. */
int am_idem_get(struct am_db *db, const char *principal, const char *key, const char *fingerprint, int64_t since,
                int (*row)(void *ctx, const struct am_idem_row *), void *ctx);
/* Inside am_store_write(). Takes the place of a row of the same key; drops a few rows older than `since` in passing. */
int am_idem_put(struct am_db *db, const struct am_idem_row *row, int64_t since);

#endif
