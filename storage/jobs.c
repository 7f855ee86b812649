/*
 * jobs.c - jobs: insert, get, list, count. Moves between states are in queue.c.
 */
#include "storage/events_priv.h"
#include "storage/jobs_priv.h"

#include "core/base/text.h"

#include <stdio.h>

enum { AGEING_MS = 60000, ATTEMPTS = 3 }; /* where the caller says nothing */

void am_job_fill(sqlite3_stmt *st, struct am_job_row *j)
{
    int state = am_state_parse(am_col_text(st, 5));
    *j = (struct am_job_row){
        .id = sqlite3_column_int64(st, 0),
        .uid = am_col_text(st, 1),
        .type = am_col_text(st, 2),
        .method = am_col_text(st, 3),
        .created_by = am_col_text(st, 4),
        .state = state < 0 ? AM_FAILED : (enum am_job_state)state, /* the schema allows no other word */
        .priority = sqlite3_column_int(st, 6),
        .attempt = sqlite3_column_int(st, 7),
        .failures = sqlite3_column_int(st, 8),
        .max_attempts = sqlite3_column_int(st, 9),
        .restarts = sqlite3_column_int(st, 10),
        .created_at = sqlite3_column_int64(st, 11),
        .started_at = sqlite3_column_int64(st, 12),
        .finished_at = sqlite3_column_int64(st, 13),
        .spec = am_col_text(st, 14),
        .resolved = am_col_text(st, 15),
        .plan = am_col_text(st, 16),
        .metadata = am_col_text(st, 17),
        .publish = am_col_text(st, 18),
        .result = am_col_text(st, 19),
        .error = am_col_text(st, 20),
        .warnings = am_col_text(st, 21),
        .spec_sha256 = am_col_text(st, 22),
        .rev = sqlite3_column_int64(st, 23),
        .not_before = state == AM_QUEUED ? sqlite3_column_int64(st, 24) : 0,
        .time_limit = sqlite3_column_int64(st, 25),
        .rank = sqlite3_column_int64(st, 26),
        .requeued = am_col_text(st, 27),
        .request_id = am_col_text(st, 28),
        .traceparent = am_col_text(st, 29),
        .retry_of = am_col_text(st, 30),
        .rerun_of = am_col_text(st, 31),
        .archived = sqlite3_column_int(st, 32) != 0,
        .waits_for = am_col_text(st, 33),
    };
}

/* The place in the line: a job waits from its submission, or from when it may run; a lower priority number counts like
   having come earlier. Comparing two of them needs no clock, so an index keeps the order. */
static int64_t rank_of(const struct am_job_new *j)
{
    int64_t since = j->not_before > j->now ? j->not_before : j->now;
    return since + (int64_t)j->priority * (j->ageing_ms > 0 ? j->ageing_ms : AGEING_MS);
}

static int insert_row(struct am_db *db, const struct am_job_new *j, const void *sha, size_t sha_bytes)
{
    return am_db_exec(
        db,
        "INSERT INTO job (uid, type, method, state, priority, created_by, spec, spec_sha256, resolved, plan, metadata,"
        " publish, warnings, created_at, rank, not_before, time_limit, max_attempts, planned_seconds, short, retry_of,"
        " rerun_of) VALUES"
        " (?1, ?2, ?3, 'queued', ?4, ifnull(?5, '-'), ifnull(?6, '{}'), ?7, ifnull(?8, '{}'), ifnull(?9, '{}'),"
        " ifnull(?10, '{}'), ifnull(?11, '{}'), ?12, ?13, ?14, ?15, ?16, ?17, iif(?18 < 0, NULL, ?18),"
        " ?18 BETWEEN 0 AND ?19 AND ?18 <> ?19, ?20, ?21)",
        "tttittbttttt"
        "iiiiirrtt",
        j->uid, j->type, j->method, (int64_t)j->priority, j->created_by, j->spec, sha, sha_bytes, j->resolved, j->plan,
        j->metadata, j->publish, j->warnings, j->now, rank_of(j), j->not_before > j->now ? j->not_before : INT64_C(0),
        j->time_limit, (int64_t)(j->max_attempts > 0 ? j->max_attempts : ATTEMPTS), j->planned_seconds,
        j->short_seconds, j->retry_of, j->rerun_of);
}

int am_job_origin(struct am_db *db, const char *uid, const char *request_id, const char *traceparent)
{
    return am_db_exec(db, "UPDATE job SET request_id = ?2, traceparent = ?3 WHERE uid = ?1", "ttt", uid, request_id,
                      traceparent);
}

/* The kinds, states and bands of priority are few: a sum over them is a handful of rows. */
#define QUEUED "FROM job_tally WHERE state = 'queued' AND (type = 'task') = (?1 = 'task')"

int am_job_insert(struct am_db *db, const struct am_job_new *j)
{
    unsigned char sha[32];
    AM_TRY(am_unhex(j->spec_sha256, sizeof sha, sha));
    int64_t queued = 0;
    AM_TRY(am_db_int(db, &queued, "SELECT ifnull(sum(n), 0) " QUEUED, "t", j->type));
    if (queued >= j->queue_limit)
        return -AM_E_QUEUE_FULL;
    AM_TRY(insert_row(db, j, sha, sizeof sha));
    int64_t id = am_db_last_id(db);
    AM_TRY(am_event_first(db, id, j->now));
    return am_graph_add(db, id, j);
}

#define IN_LINE "FROM job WHERE state = 'queued' AND not_before = 0 AND waiting = 0 AND task = (?1 = 'task')"

/* The place of one near the end of the line, which every newcomer of the same priority is: all less those behind. 0
   when there are many behind, or some that wait for their time or another job and are in no line. */
static int position_from_end(struct am_db *db, struct am_job_row *j)
{
    return am_db_int(
        db, &j->queue_position,
        "SELECT iif(behind > 100 OR EXISTS (SELECT 1 FROM job INDEXED BY job_delayed WHERE"
        " state = 'queued' AND waiting = 0 AND task = (?1 = 'task') AND not_before > 0) OR EXISTS (SELECT 1 FROM job"
        " INDEXED BY job_waiting WHERE state = 'queued' AND waiting > 0), 0, queued - behind) FROM"
        " (SELECT ifnull(sum(n), 0) AS queued " QUEUED "),"
        " (SELECT (SELECT count(*) FROM (SELECT 1 " IN_LINE " AND short = 0 AND (rank, id) > (?2, ?3) LIMIT 101))"
        " + (SELECT count(*) FROM (SELECT 1 " IN_LINE " AND short = 1 AND (rank, id) > (?2, ?3) LIMIT 101)) AS behind)",
        "tii", j->type, j->rank, j->id);
}

/* Counts two index ranges of the jobs that go first. */
static int position_from_start(struct am_db *db, struct am_job_row *j)
{
    return am_db_int(db, &j->queue_position,
                     "SELECT 1 + (SELECT count(*) " IN_LINE " AND short = 0 AND (rank, id) < (?2, ?3))"
                     " + (SELECT count(*) " IN_LINE " AND short = 1 AND (rank, id) < (?2, ?3))",
                     "tii", j->type, j->rank, j->id);
}

static int position(struct am_db *db, struct am_job_row *j)
{
    if (j->state != AM_QUEUED || j->not_before || j->waits_for)
        return 0;
    AM_TRY(position_from_end(db, j));
    return j->queue_position > 0 ? 0 : position_from_start(db, j);
}

int am_job_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_job_row *), void *ctx)
{
    AM_STMT st = am_db_bind(db, AM_JOB_COLUMNS " WHERE uid = ?1", "t", uid);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    struct am_job_row j;
    am_job_fill(st, &j);
    AM_TRY(position(db, &j));
    rc = row(ctx, &j);
    return rc < 0 ? rc : 0;
}

/* "IN ('queued', 'running')" of a set of states. */
static void states_sql(unsigned states, char *sql, size_t cap)
{
    size_t n = 0;
    for (int i = 0; i < AM_STATES && n < cap; i++)
        if (states & 1u << i)
            n += (size_t)snprintf(sql + n, cap - n, "%s'%s'", n ? ", " : "state IN (",
                                  am_state_name((enum am_job_state)i));
    snprintf(n ? sql + n : sql, cap - n, "%s", n ? ")" : "1");
}

#define PAIR(key, value)                                                                                               \
    " AND (" key " IS NULL OR EXISTS (SELECT 1 FROM job_metadata m WHERE m.key = " key " AND m.value = " value         \
    " AND m.job = job.id))"

/* Where the ids come from. One filter has an index of its own; job_listed has all that can be asked for, so that the
   rows that are passed over are not read. Jobs that are open are few. */
static const char *list_source(const struct am_job_filter *f)
{
    const unsigned unended = 1u << AM_QUEUED | 1u << AM_RUNNING | 1u << AM_CANCELLING;
    int filters = (f->type != NULL) + (f->method != NULL) + (f->created_by != NULL) + (f->model != NULL) +
                  (f->states != 0) + ((f->states & (f->states - 1)) != 0);
    if (f->pair[0].key)
        return "job_metadata p CROSS JOIN job INDEXED BY job_listed ON job.id = p.job AND p.key = ?10 AND p.value = ?11"
               " AND p.job < ?1";
    if (f->states && !(f->states & ~unended))
        return "job INDEXED BY job_state";
    return filters == 1 && !f->archived && !f->since ? "job" : "job INDEXED BY job_listed";
}

/* Every parameter is named in every variant; a filter that is set is a plain equality, which an index answers. */
static void list_sql(const struct am_job_filter *f, char *sql, size_t cap)
{
    char states[160];
    states_sql(f->states, states, sizeof states);
    snprintf(sql, cap,
             AM_JOB_COLUMNS
             " WHERE id IN (SELECT job.id FROM %s WHERE job.id < ?1 AND task = ?2 AND %s AND %s AND %s"
             " AND %s AND %s AND archived = ?7 AND created_at >= ?9 AND ?10 IS ?10 AND ?11 IS ?11" PAIR("?12", "?13")
                 PAIR("?14", "?15") PAIR("?16", "?17") " ORDER BY %s DESC LIMIT ?8) ORDER BY id DESC",
             list_source(f), f->type ? "type = ?3" : "?3 IS NULL", f->method ? "method = ?4" : "?4 IS NULL",
             f->created_by ? "created_by = ?5" : "?5 IS NULL", f->model ? "publish_model = ?6" : "?6 IS NULL", states,
             f->pair[0].key ? "p.job" : "job.id");
}

int am_job_list(struct am_db *db, const struct am_job_filter *f, int (*row)(void *, const struct am_job_row *),
                void *ctx)
{
    int64_t before = INT64_MAX;
    int rc = 1;
    if (f->after)
        rc = am_db_int(db, &before, "SELECT id FROM job WHERE uid = ?1", "t", f->after);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    char sql[3072];
    const struct am_job_pair *p = f->pair;
    list_sql(f, sql, sizeof sql);
    AM_STMT st = am_db_bind(db, sql, "iittttiiitttttttt", before, (int64_t)am_streq(f->type, "task"), f->type,
                            f->method, f->created_by, f->model, (int64_t)f->archived, (int64_t)f->limit, f->since,
                            p[0].key, p[0].value, p[1].key, p[1].value, p[2].key, p[2].value, p[3].key, p[3].value);
    while ((rc = am_db_row(st)) > 0) {
        struct am_job_row j;
        am_job_fill(st, &j);
        AM_TRY(row(ctx, &j));
    }
    return rc;
}

int am_task_times(struct am_db *db, const char *kind, struct am_task_times *ret)
{
    struct am_task_times t = {0};
    AM_STMT st = am_db_bind(
        db,
        "SELECT ifnull(max(created_at), 0), ifnull(max(iif(state = 'succeeded', created_at, 0)), 0),"
        " ifnull(max(state IN ('queued', 'running', 'cancelling')), 0) FROM (SELECT created_at, state FROM job"
        " INDEXED BY job_method WHERE method = ?1 AND task = 1 AND resolved ->> '$.scheduled'"
        " ORDER BY id DESC LIMIT 100)",
        "t", kind);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    t.made = sqlite3_column_int64(st, 0);
    t.succeeded = sqlite3_column_int64(st, 1);
    t.open = sqlite3_column_int(st, 2) != 0;
    AM_TRY(am_db_int(db, &t.first, "SELECT created_at FROM job ORDER BY id LIMIT 1", ""));
    *ret = t;
    return 0;
}

int am_job_tally(struct am_db *db, int (*row)(void *, const char *type, const char *state, int band, int64_t n),
                 void *ctx)
{
    AM_STMT st = am_db_bind(db, "SELECT type, state, band, n FROM job_tally WHERE n > 0", "");
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(
            row(ctx, am_col_text(st, 0), am_col_text(st, 1), sqlite3_column_int(st, 2), sqlite3_column_int64(st, 3)));
    return rc;
}

int am_task_last(struct am_db *db, const char *kind, int64_t *ret)
{
    *ret = 0;
    int rc = am_db_int(db, ret,
                       "SELECT ifnull(finished_at, 0) FROM job INDEXED BY job_method WHERE method = ?1 AND task = 1 AND"
                       " state = 'succeeded' ORDER BY id DESC LIMIT 1",
                       "t", kind);
    return rc < 0 ? rc : 0;
}

int am_job_counts(struct am_db *db, int64_t ret[AM_STATES])
{
    int64_t n[AM_STATES] = {0};
    AM_STMT st = am_db_bind(db, "SELECT state, sum(n) FROM job_tally WHERE type <> 'task' GROUP BY state", "");
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        int s = am_state_parse(am_col_text(st, 0));
        if (s >= 0)
            n[s] = sqlite3_column_int64(st, 1);
    }
    for (int s = 0; rc == 0 && s < AM_STATES; s++)
        ret[s] = n[s];
    return rc;
}
