/*
 * graph.c - jobs that take the results of other jobs: who waits for whom, and what becomes of those who wait when one
 * ends. A job can name only jobs that are there, so there are no circles. All inside the caller's transaction.
 */
#include "storage/jobs_priv.h"

#include "core/base/text.h"

#include <stdio.h>

#define OPEN "('queued', 'running', 'cancelling')"

/* One input: 1 = it is waited for, 0 = it has its result already. */
static int add_one(struct am_db *db, int64_t id, const char *uid)
{
    struct am_job_now in;
    AM_TRY(am_job_look(db, uid, &in));
    if (in.id >= id)
        return -AM_E_NOT_FOUND;
    if (in.state == AM_SUCCEEDED)
        return 0;
    if (am_state_terminal(in.state))
        return -AM_E_DEPENDENCY;
    AM_TRY(
        am_db_exec(db, "INSERT INTO job_input (job, input) VALUES (?1, ?2) ON CONFLICT DO NOTHING", "ii", id, in.id));
    return am_db_changes(db) > 0;
}

/* How many would wait in a row, from the new one up; it stops counting one above the ceiling. */
static int check_chain(struct am_db *db, int64_t id)
{
    int64_t n = 0;
    AM_TRY(am_db_int(db, &n,
                     "WITH RECURSIVE up (id, n) AS (SELECT ?1, 0 UNION SELECT d.input, up.n + 1 FROM up"
                     " JOIN job_input d ON d.job = up.id JOIN job i ON i.id = d.input"
                     " WHERE i.state IN " OPEN " AND up.n <= ?2) SELECT max(n) FROM up",
                     "ii", id, (int64_t)AM_JOB_CHAIN_MAX));
    return n > AM_JOB_CHAIN_MAX ? -AM_E_TOO_LARGE : 0;
}

int am_graph_add(struct am_db *db, int64_t id, const struct am_job_new *j)
{
    int64_t waiting = 0;
    for (size_t i = 0; i < j->inputs; i++) {
        int rc = add_one(db, id, j->input[i]);
        AM_TRY(rc);
        waiting += rc;
    }
    if (waiting == 0)
        return 0;
    AM_TRY(check_chain(db, id));
    return am_db_exec(db, "UPDATE job SET waiting = ?2 WHERE id = ?1", "ii", id, waiting);
}

static int next_waiting(struct am_db *db, int64_t input, int64_t *ret)
{
    return am_db_int(db, ret,
                     "SELECT j.id FROM job_input d JOIN job j ON j.id = d.job WHERE d.input = ?1 AND j.state = 'queued'"
                     " AND j.waiting > 0 ORDER BY j.id LIMIT 1",
                     "i", input);
}

static int error_text(struct am_db *db, int64_t input, char *out, size_t cap)
{
    const char *slug = am_err_slug(AM_E_DEPENDENCY);
    AM_STMT st = am_db_bind(db, "SELECT uid, state FROM job WHERE id = ?1", "i", input);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    const char *uid = am_col_text(st, 0);
    snprintf(out, cap,
             "{\"type\":\"/v1/problems/%s\",\"title\":\"%s\",\"status\":422,\"code\":\"%s\",\"detail\":\"It waited for "
             "the result of %s, which %s. Retry that job, then submit this one again with the new job in its place.\","
             "\"job\":\"%s\",\"phase\":null,\"tensor\":null,\"attempt\":0,\"retryable\":false,\"errors\":[]}",
             slug, am_err_title(AM_E_DEPENDENCY), slug, uid,
             am_streq(am_col_text(st, 1), "cancelled") ? "was cancelled" : "failed", uid);
    return 0;
}

/* The move of each ends those that wait for it in turn, never deeper than AM_JOB_CHAIN_MAX. */
static int fail_waiting(struct am_db *db, int64_t input, int64_t now)
{
    char error[768];
    int64_t id = 0;
    int rc;
    while ((rc = next_waiting(db, input, &id)) > 0) {
        AM_TRY(error_text(db, input, error, sizeof error));
        AM_TRY(am_job_move(
            db, &(struct am_job_move){
                    .id = id, .now = now, .from = AM_QUEUED, .to = AM_FAILED, .error = error, .event = "job.failed"}));
    }
    return rc;
}

int am_graph_settle(struct am_db *db, int64_t id, enum am_job_state to, int64_t now)
{
    if (to != AM_SUCCEEDED)
        return fail_waiting(db, id, now);
    return am_db_exec(
        db,
        "UPDATE job SET waiting = waiting - 1, rev = rev + 1 WHERE state = 'queued' AND waiting > 0 AND id"
        " IN (SELECT job FROM job_input WHERE input = ?1)",
        "i", id);
}

int am_job_plan(struct am_db *db, const struct am_job_planned *p)
{
    unsigned char sha[32];
    AM_TRY(am_unhex(p->spec_sha256, sizeof sha, sha));
    AM_TRY(am_db_exec(db,
                      "UPDATE job SET resolved = ?2, plan = ?3, publish = ?4, warnings = ?5, spec_sha256 = ?6,"
                      " planned_seconds = ?7, rev = rev + 1 WHERE uid = ?1 AND state = 'running' AND resolved = 'null'",
                      "tttttbr", p->uid, p->resolved, p->plan, p->publish, p->warnings, sha, sizeof sha,
                      p->planned_seconds));
    return am_db_changes(db) == 1 ? 0 : -AM_E_CONFLICT;
}
