/*
 * events.c - the event rows of jobs beyond those that moves write.
 */
#include "storage/db.h"
#include "storage/jobs.h"

int am_event_add(struct am_db *db, const char *job_uid, int64_t now, const char *type, const char *data)
{
    AM_TRY(am_db_exec(
        db, "INSERT INTO job_event (job, at, type, data) SELECT id, ?2, ?3, ifnull(?4, '{}') FROM job WHERE uid = ?1",
        "titt", job_uid, now, type, data));
    return am_db_changes(db) == 1 ? 0 : -AM_E_NOT_FOUND;
}

int am_event_list(struct am_db *db, const char *job_uid, int64_t after_seq, int limit,
                  int (*row)(void *, int64_t seq, int64_t at, const char *type, const char *data), void *ctx)
{
    int64_t job = 0;
    int rc = am_db_int(db, &job, "SELECT id FROM job WHERE uid = ?1", "t", job_uid);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    AM_STMT st =
        am_db_bind(db, "SELECT seq, at, type, data FROM job_event WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                   "iii", job, after_seq, (int64_t)limit);
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(
            row(ctx, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), am_col_text(st, 2), am_col_text(st, 3)));
    return rc;
}
