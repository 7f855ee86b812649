/*
 * line.c - see line.h. Files are spans of blobs; what two versions share are the bytes of the same blob.
 */
#include "storage/line.h"

#include "core/base/err.h"
#include "storage/db.h"

#include <sqlite3.h>

int am_line_walk(struct am_db *db, int64_t version, int limit, int (*row)(void *, int64_t version), void *ctx)
{
    for (int i = 0; i < limit && version > 0; i++) {
        int64_t parent = 0;
        int rc = am_db_int(db, &parent, "SELECT ifnull(parent, 0) FROM version WHERE id = ?1 AND number IS NOT 0", "i",
                           version);
        if (rc <= 0)
            return rc;
        AM_TRY(row(ctx, version));
        version = parent;
    }
    return 0;
}

/* Spans of one version do not lie upon each other but for files that are the same, which count once. */
int am_line_growth(struct am_db *db, int64_t version, int64_t *ret_bytes)
{
    int rc = am_db_int(
        db, ret_bytes,
        "WITH mine AS (SELECT DISTINCT s.blob, s.offset, s.bytes FROM file f JOIN span s ON s.layout = f.layout"
        " WHERE f.version = ?1),"
        " before AS (SELECT DISTINCT s.blob, s.offset, s.bytes FROM version v JOIN file f ON f.version = v.parent"
        " JOIN span s ON s.layout = f.layout WHERE v.id = ?1)"
        " SELECT ifnull(sum(max(0, m.bytes - ifnull((SELECT sum(max(0, min(m.offset + m.bytes, b.offset + b.bytes)"
        " - max(m.offset, b.offset))) FROM before b WHERE b.blob = m.blob), 0))), 0) FROM mine m",
        "i", version);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_INTERNAL;
}
