/*
 * jobs_priv.h - what the files behind jobs.h share: reading a row and moving it. Nobody outside storage/ includes it.
 */
#ifndef AM_STORAGE_JOBS_PRIV_H
#define AM_STORAGE_JOBS_PRIV_H

#include "storage/db.h"
#include "storage/jobs.h"

#define AM_JOB_COLUMNS                                                                                                 \
    "SELECT id, uid, type, method, created_by, state, priority, attempt, failures, max_attempts, restarts, "           \
    "created_at,"                                                                                                      \
    " started_at, finished_at, spec, resolved, plan, metadata, publish, result, error, warnings,"                      \
    " lower(hex(spec_sha256)), rev, not_before, time_limit, rank, iif(state = 'queued' AND failures + restarts > 0,"   \
    " (SELECT data FROM event WHERE event.job = job.id AND event.type IN ('job.requeued', 'task.requeued')"            \
    " ORDER BY job_seq DESC LIMIT 1), NULL), request_id, traceparent,"                                                 \
    " retry_of, rerun_of, archived, iif(state = 'queued' AND waiting > 0, (SELECT i.uid FROM job_input d"              \
    " JOIN job i ON i.id = d.input WHERE d.job = job.id AND i.state IN ('queued', 'running', 'cancelling')"            \
    " ORDER BY i.id LIMIT 1), NULL)"                                                                                   \
    " FROM job"
void am_job_fill(sqlite3_stmt *st, struct am_job_row *j); /* of AM_JOB_COLUMNS; borrowed until the next step */

/* What a move needs to know of the row before it. */
struct am_job_now {
    int64_t id;
    enum am_job_state state;
    int failures, max_attempts, restarts;
};
int am_job_look(struct am_db *db, const char *uid, struct am_job_now *ret); /* -NOT_FOUND */

/* The only statement that changes a state. Guarded by `from`: -AM_E_CONFLICT when the row is elsewhere or the table
 * forbids it. */
struct am_job_move {
    int64_t id, now;
    enum am_job_state from, to;
    int attempts, failures, restarts;      /* added */
    const char *result, *error, *warnings; /* NULL: left */
    const char *event, *by;                /* event type; by: NULL = none */
    const char *reason;                    /* JSON object that the event's data repeats; NULL = none */
    int64_t not_before;                    /* of a move to queued */
};
int am_job_move(struct am_db *db, const struct am_job_move *m);

/* graph.c: a new job with what it waits for; and, in the transaction in which a job ends, those that wait for it. */
int am_graph_add(struct am_db *db, int64_t id, const struct am_job_new *j);
int am_graph_settle(struct am_db *db, int64_t id, enum am_job_state to, int64_t now);

#endif
