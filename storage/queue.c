/*
 * queue.c - the moves of a job between its states. Each is one guarded UPDATE and one event row in the caller's
 * transaction, so of two that race (cancel and finish) the one that commits first wins and the other finds nothing to
 * move.
 */
#include "storage/events_priv.h"
#include "storage/jobs_priv.h"

#include <stdio.h>

int am_job_look(struct am_db *db, const char *uid, struct am_job_now *ret)
{
    AM_STMT st = am_db_bind(db, "SELECT id, state, failures, max_attempts, restarts FROM job WHERE uid = ?1", "t", uid);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    int state = am_state_parse(am_col_text(st, 1));
    if (state < 0)
        return -AM_E_STORE_DAMAGED;
    *ret = (struct am_job_now){.id = sqlite3_column_int64(st, 0),
                               .state = (enum am_job_state)state,
                               .failures = sqlite3_column_int(st, 2),
                               .max_attempts = sqlite3_column_int(st, 3),
                               .restarts = sqlite3_column_int(st, 4)};
    return 0;
}

int am_job_state_get(struct am_db *db, const char *uid, enum am_job_state *ret)
{
    struct am_job_now j;
    AM_TRY(am_job_look(db, uid, &j));
    *ret = j.state;
    return 0;
}

int am_job_move(struct am_db *db, const struct am_job_move *m)
{
    if (!am_state_may(m->from, m->to))
        return -AM_E_CONFLICT;
    AM_TRY(am_db_exec(db,
                      "UPDATE job SET state = ?3, rev = rev + 1, attempt = attempt + ?4, failures = failures + ?5,"
                      " restarts = restarts + ?6, result = ifnull(?7, result), error = ifnull(?8, error),"
                      " warnings = ifnull(?9, warnings),"
                      " started_at = CASE ?3 WHEN 'running' THEN ?10 WHEN 'queued' THEN NULL ELSE started_at END,"
                      " finished_at = iif(?11, ?10, finished_at),"
                      " not_before = CASE ?3 WHEN 'queued' THEN ?12 ELSE not_before END WHERE id = ?1 AND state = ?2",
                      "ittiiitttiii", m->id, am_state_name(m->from), am_state_name(m->to), (int64_t)m->attempts,
                      (int64_t)m->failures, (int64_t)m->restarts, m->result, m->error, m->warnings, m->now,
                      (int64_t)am_state_terminal(m->to), m->not_before));
    if (am_db_changes(db) != 1)
        return -AM_E_CONFLICT;
    AM_TRY(am_event_move(db, m->id, m->now, m->event, m->by, m->reason));
    return am_state_terminal(m->to) ? am_graph_settle(db, m->id, m->to, m->now) : 0;
}

/* Those whose time has come join the line; a bounded number, the rest at the next claim. */
static int release_due(struct am_db *db, bool task, int64_t now)
{
    return am_db_exec(
        db,
        "UPDATE job SET not_before = 0, rev = rev + 1 WHERE id IN (SELECT id FROM job INDEXED BY"
        " job_delayed WHERE state = 'queued' AND waiting = 0 AND task = ?1 AND not_before > 0 AND not_before <= ?2"
        " ORDER BY not_before LIMIT 64)",
        "ii", (int64_t)task, now);
}

/* The better of the heads of two index ranges, or of the one that a short lane may take from. */
static int head_of(struct am_db *db, enum am_lane lane, int64_t *ret_id)
{
    return am_db_int(
        db, ret_id,
        "SELECT id FROM (SELECT * FROM (SELECT id, rank FROM job INDEXED BY job_ready WHERE"
        " state = 'queued' AND not_before = 0 AND waiting = 0 AND task = ?1 AND short = 1 ORDER BY rank, id LIMIT 1)"
        " UNION ALL SELECT * FROM (SELECT id, rank FROM job INDEXED BY job_ready WHERE ?2"
        " AND state = 'queued' AND not_before = 0 AND waiting = 0 AND task = ?1 AND short = 0 ORDER BY rank, id LIMIT "
        "1))"
        " ORDER BY rank, id LIMIT 1",
        "ii", (int64_t)(lane == AM_LANE_TASK), (int64_t)(lane != AM_LANE_SHORT));
}

/* Of the store's own work one of each kind runs at a time: two would only do the same twice. Imports and uploads are
 * many. */
static int head_of_tasks(struct am_db *db, int64_t *ret_id)
{
    return am_db_int(
        db, ret_id,
        "SELECT id FROM job AS j INDEXED BY job_ready WHERE state = 'queued' AND not_before = 0 AND waiting = 0 AND "
        "task = 1"
        " AND short = 0 AND (method IN ('import', 'pack') OR NOT EXISTS (SELECT 1 FROM job r INDEXED BY job_open WHERE"
        " r.state IN ('running', 'cancelling') AND r.task = 1 AND r.method = j.method))"
        " ORDER BY rank, id LIMIT 1",
        "");
}

static int next_delayed(struct am_db *db, bool task, int64_t *ret)
{
    int rc = am_db_int(db, ret,
                       "SELECT min(not_before) FROM job INDEXED BY job_delayed WHERE state = 'queued' AND waiting = 0"
                       " AND task = ?1 AND not_before > 0",
                       "i", (int64_t)task);
    return rc < 0 ? rc : 0;
}

static int give_row(struct am_db *db, int64_t id, int (*row)(void *, const struct am_job_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, AM_JOB_COLUMNS " WHERE id = ?1", "i", id);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    struct am_job_row j;
    am_job_fill(st, &j);
    rc = row(ctx, &j);
    return rc < 0 ? rc : 1;
}

int am_job_claim(struct am_db *db, enum am_lane lane, int64_t now, int (*row)(void *, const struct am_job_row *),
                 void *ctx, int64_t *ret_next)
{
    int64_t id = 0, next = 0;
    AM_TRY(release_due(db, lane == AM_LANE_TASK, now));
    int rc = lane == AM_LANE_TASK ? head_of_tasks(db, &id) : head_of(db, lane, &id);
    if (rc == 0) {
        AM_TRY(next_delayed(db, lane == AM_LANE_TASK, &next));
        *ret_next = next;
    }
    if (rc <= 0)
        return rc;
    AM_TRY(am_job_move(
        db, &(struct am_job_move){
                .id = id, .now = now, .from = AM_QUEUED, .to = AM_RUNNING, .attempts = 1, .event = "job.running"}));
    return give_row(db, id, row, ctx);
}

int am_job_cancel(struct am_db *db, const char *uid, int64_t now, const char *by, enum am_job_state *ret)
{
    struct am_job_now j;
    AM_TRY(am_job_look(db, uid, &j));
    if (am_state_terminal(j.state))
        return -AM_E_JOB_TERMINAL;
    if (j.state != AM_CANCELLING) {
        struct am_job_move m = {.id = j.id, .now = now, .from = j.state, .by = by};
        m.to = j.state == AM_QUEUED ? AM_CANCELLED_ : AM_CANCELLING;
        m.event = j.state == AM_QUEUED ? "job.cancelled" : "job.cancelling";
        AM_TRY(am_job_move(db, &m));
        j.state = m.to;
    }
    *ret = j.state;
    return 0;
}

static const char *event_of(enum am_job_state to)
{
    switch (to) {
    case AM_QUEUED:
        return "job.requeued";
    case AM_RUNNING:
        return "job.running";
    case AM_CANCELLING:
        return "job.cancelling";
    case AM_SUCCEEDED:
        return "job.succeeded";
    case AM_CANCELLED_:
        return "job.cancelled";
    default:
        return "job.failed";
    }
}

/* 1, 5, 25, 25, ... times the pause: what was not over after seconds may need half a minute, and more helps nobody. */
static int64_t pause_after(int failures, int64_t pause_ms)
{
    return pause_ms * (failures == 0 ? 1 : failures == 1 ? 5 : 25);
}

int am_job_requeue(struct am_db *db, const char *uid, int64_t now, int64_t pause_ms, const char *reason)
{
    struct am_job_now j;
    AM_TRY(am_job_look(db, uid, &j));
    if (j.state != AM_RUNNING)
        return -AM_E_CONFLICT;
    if (j.failures + 1 >= j.max_attempts)
        return -AM_E_ATTEMPTS;
    struct am_job_move m = {.id = j.id,
                            .now = now,
                            .from = j.state,
                            .to = AM_QUEUED,
                            .failures = 1,
                            .reason = reason,
                            .not_before = pause_ms > 0 ? now + pause_after(j.failures, pause_ms) : 0,
                            .event = event_of(AM_QUEUED)};
    return am_job_move(db, &m);
}

int am_job_finish(struct am_db *db, const char *uid, enum am_job_state to, int64_t now, const char *result,
                  const char *error, const char *warnings)
{
    struct am_job_now j;
    AM_TRY(am_job_look(db, uid, &j));
    if (!am_state_may(j.state, to))
        return -AM_E_CONFLICT;
    if (to == AM_QUEUED)
        return am_job_requeue(db, uid, now, 0, NULL);
    struct am_job_move m = {.id = j.id,
                            .now = now,
                            .from = j.state,
                            .to = to,
                            .attempts = to == AM_RUNNING,
                            .result = result,
                            .error = error,
                            .warnings = warnings,
                            .event = event_of(to)};
    return am_job_move(db, &m);
}

static int recover_one(struct am_db *db, const struct am_job_now *j, int64_t now, int max_restarts)
{
    struct am_job_move m = {.id = j->id, .now = now, .from = j->state};
    char error[512];
    if (j->state == AM_CANCELLING) {
        m.to = AM_CANCELLED_;
    } else if (j->restarts < max_restarts) {
        m.to = AM_QUEUED;
        m.restarts = 1;
    } else {
        const char *slug = am_err_slug(AM_E_ATTEMPTS);
        snprintf(error, sizeof error,
                 "{\"type\":\"/v1/problems/%s\",\"title\":\"%s\",\"code\":\"%s\",\"detail\":\"The service or its "
                 "machine stopped %d "
                 "times while this job ran; jobs.max_restarts allows %d. Submit it again when the cause is found.\","
                 "\"retryable\":false}",
                 slug, am_err_title(AM_E_ATTEMPTS), slug, j->restarts + 1, max_restarts);
        m.to = AM_FAILED;
        m.error = error;
    }
    m.event = event_of(m.to);
    m.by = "recovery";
    return am_job_move(db, &m);
}

/* One row a turn: each move takes the row out of the set that is searched. 1 = there was one. */
static int next_open(struct am_db *db, struct am_job_now *ret)
{
    AM_STMT st =
        am_db_bind(db,
                   "SELECT id, state, restarts FROM job INDEXED BY job_open WHERE state IN ('running', 'cancelling')"
                   " LIMIT 1",
                   "");
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    int state = am_state_parse(am_col_text(st, 1));
    *ret = (struct am_job_now){.id = sqlite3_column_int64(st, 0),
                               .state = state == AM_CANCELLING ? AM_CANCELLING : AM_RUNNING,
                               .restarts = sqlite3_column_int(st, 2)};
    return 1;
}

int am_job_recover(struct am_db *db, int64_t now, int max_restarts, int64_t *ret_n)
{
    int64_t n = 0;
    struct am_job_now j;
    int rc;
    for (; (rc = next_open(db, &j)) > 0; n++)
        AM_TRY(recover_one(db, &j, now, max_restarts));
    if (rc == 0)
        *ret_n = n;
    return rc;
}
