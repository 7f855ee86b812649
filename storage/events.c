/*
 * events.c - the event rows (events.h).
 */
#include "storage/events_priv.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *word;
    unsigned bit;
} topics[] = {
    {"jobs", "job.", AM_TOPIC_JOBS},
    {"models", "model.", AM_TOPIC_MODELS},
    {"reports", "report.", AM_TOPIC_REPORTS},
    {"reports", "gate.", AM_TOPIC_REPORTS},
    {"datasets", "dataset.", AM_TOPIC_DATASETS},
    {"datasets", "prediction.", AM_TOPIC_DATASETS},
    {"queue", "queue.", AM_TOPIC_QUEUE},
    {"queue", "worker.", AM_TOPIC_QUEUE},
    {"tasks", "task.", AM_TOPIC_TASKS},
};
#define TOPIC_ROWS (sizeof topics / sizeof *topics)

unsigned am_topic_parse(const char *name)
{
    for (size_t i = 0; i < TOPIC_ROWS; i++)
        if (am_streq(topics[i].name, name))
            return topics[i].bit;
    return 0;
}

const char *am_topic_of(const char *type)
{
    for (size_t i = 0; i < TOPIC_ROWS; i++)
        if (am_starts(type, topics[i].word))
            return topics[i].name;
    return NULL;
}

bool am_event_ends_job(const char *type)
{
    static const char *const ends[] = {"job.succeeded", "job.failed", "job.cancelled", "task.finished"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (am_streq(type, ends[i]))
            return true;
    return false;
}

/* ---- writing ---- */

static int next_in_job(struct am_db *db, int64_t job, int64_t *ret)
{
    int64_t n = 0;
    AM_TRY(am_db_int(db, &n, "SELECT job_seq FROM event WHERE job = ?1 ORDER BY job_seq DESC LIMIT 1", "i", job));
    *ret = n + 1;
    return 0;
}

int am_event_put(struct am_db *db, const struct am_event_new *e)
{
    const char *topic = am_topic_of(e->type);
    int64_t job = 0, job_seq = 0;
    if (!topic)
        return -AM_E_INVALID_REQUEST;
    if (e->job)
        AM_TRY(am_db_int(db, &job, "SELECT id FROM job WHERE uid = ?1", "t", e->job));
    if (job)
        AM_TRY(next_in_job(db, job, &job_seq));
    if (!job && !e->subject)
        return -AM_E_NOT_FOUND;
    return am_db_exec(db,
                      "INSERT INTO event (at, topic, type, job, job_seq, subject, model, revision, data) VALUES"
                      " (?1, ?2, ?3, nullif(?4, 0), nullif(?5, 0), ?6, ?7, nullif(?8, 0), ifnull(?9, '{}'))",
                      "ittiittit", e->at, topic, e->type, job, job_seq, e->subject, e->model, e->revision, e->data);
}

int am_event_once(struct am_db *db, sqlite3_stmt *st, const char *type, int64_t at)
{
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return am_event_put(db, &(struct am_event_new){.at = at,
                                                   .type = type,
                                                   .subject = am_col_text(st, 0),
                                                   .model = am_col_text(st, 1),
                                                   .data = am_col_text(st, 2),
                                                   .job = am_ends(type, ".deleted") ? NULL : am_col_text(st, 3),
                                                   .revision = 1});
}

/* "job.x" in the words for tasks. */
static void task_type(const char *type, char out[32])
{
    const char *word = am_event_ends_job(type)         ? "finished"
                       : am_streq(type, "job.running") ? "started"
                                                       : type + strlen("job.");
    snprintf(out, 32, "task.%s", word);
}

int am_event_move(struct am_db *db, int64_t job, int64_t at, const char *type, const char *by, const char *reason)
{
    char of_task[32];
    int64_t job_seq = 0;
    AM_TRY(next_in_job(db, job, &job_seq));
    task_type(type, of_task);
    return am_db_exec(db,
                      "INSERT INTO event (at, topic, type, job, job_seq, model, revision, data) SELECT ?2,"
                      " iif(task, 'tasks', 'jobs'), iif(task, ?4, ?3), id, ?5, publish_model, rev,"
                      " json_patch(json_patch(json_object('attempt', attempt), json_object('by', ?6,"
                      " 'status', iif(task AND finished_at IS NOT NULL, state, NULL),"
                      " 'code', iif(state = 'failed', error ->> '$.code', NULL),"
                      " 'detail', iif(state = 'failed', error ->> '$.detail', NULL))),"
                      " ifnull(?7, '{}')) FROM job WHERE id = ?1",
                      "iittitt", job, at, type, of_task, job_seq, by, reason);
}

int am_event_first(struct am_db *db, int64_t job, int64_t at)
{
    return am_db_exec(db,
                      "INSERT INTO event (at, topic, type, job, job_seq, model, revision, data) SELECT ?2,"
                      " iif(task, 'tasks', 'jobs'), iif(task, 'task.queued', 'job.queued'), id, 1, publish_model, rev,"
                      " '{}' FROM job WHERE id = ?1",
                      "ii", job, at);
}

int am_event_prune(struct am_db *db, int64_t before, int max)
{
    int64_t last = 0;
    { /* the numbers stay without gap also when the clock was set back for a while */
        AM_STMT st = am_db_bind(db, "SELECT seq, at FROM event ORDER BY seq LIMIT ?1", "i", (int64_t)max);
        int rc;
        while ((rc = am_db_row(st)) > 0 && sqlite3_column_int64(st, 1) < before)
            last = sqlite3_column_int64(st, 0);
        AM_TRY(rc);
    }
    if (!last)
        return 0;
    AM_TRY(am_db_exec(db, "DELETE FROM event WHERE seq <= ?1", "i", last));
    return (int)am_db_changes(db);
}

/* ---- reading ---- */

int am_event_bounds(struct am_db *db, int64_t *ret_last, int64_t *ret_pruned)
{
    int64_t last = 0, first = 0;
    AM_TRY(am_db_int(db, &last, "SELECT seq FROM sqlite_sequence WHERE name = 'event'", ""));
    AM_TRY(am_db_int(db, &first, "SELECT seq FROM event ORDER BY seq LIMIT 1", ""));
    *ret_last = last;
    *ret_pruned = first ? first - 1 : last;
    return 0;
}

#define COLUMNS                                                                                                        \
    "SELECT e.seq, e.at, ifnull(e.job_seq, 0), ifnull(e.revision, 0), e.topic, e.type, j.uid,"                         \
    " ifnull(e.subject, j.uid), e.model, e.data FROM event e LEFT JOIN job j ON j.id = e.job"
#define OF_TOPIC(n) "SELECT * FROM (SELECT seq FROM event WHERE topic = ?" #n " AND seq > ?1 ORDER BY seq LIMIT ?2)"

/* The names of the topics asked for, each once; the rest is "". */
static void name_topics(unsigned mask, const char *ret[6])
{
    size_t n = 0;
    for (size_t i = 0; i < TOPIC_ROWS && n < 6; i++) {
        if (mask & topics[i].bit)
            ret[n++] = topics[i].name;
        mask &= ~topics[i].bit;
    }
    while (n < 6)
        ret[n++] = "";
}

/* Each shape walks one index from `after` on, so its cost does not grow with what lies before. */
static sqlite3_stmt *bind(struct am_db *db, const struct am_event_query *q, int64_t job)
{
    const char *t[6];
    int64_t limit = q->limit;
    name_topics(q->topics ? q->topics : AM_TOPICS, t);
    if (job)
        return am_db_bind(db, COLUMNS " WHERE e.job = ?1 AND e.seq > ?2 ORDER BY e.job_seq LIMIT ?3", "iii", job,
                          q->after, limit);
    if (q->model)
        return am_db_bind(db,
                          COLUMNS " WHERE e.model = ?3 AND e.seq > ?1 AND e.topic IN (?4, ?5, ?6, ?7, ?8, ?9)"
                                  " ORDER BY e.seq LIMIT ?2",
                          "iittttttt", q->after, limit, q->model, t[0], t[1], t[2], t[3], t[4], t[5]);
    if (q->topics && q->topics != AM_TOPICS)
        return am_db_bind(
            db,
            COLUMNS
            " WHERE e.seq IN (" OF_TOPIC(3) " UNION ALL " OF_TOPIC(4) " UNION ALL " OF_TOPIC(5) " UNION ALL " OF_TOPIC(
                6) " UNION ALL " OF_TOPIC(7) " UNION ALL " OF_TOPIC(8) ")"
                                                                       " ORDER BY e.seq LIMIT ?2",
            "iitttttt", q->after, limit, t[0], t[1], t[2], t[3], t[4], t[5]);
    return am_db_bind(db, COLUMNS " WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2", "ii", q->after, limit);
}

int am_event_list(struct am_db *db, const struct am_event_query *q, int (*row)(void *, const struct am_event_row *),
                  void *ctx)
{
    int64_t job = 0;
    int rc = q->job ? am_db_int(db, &job, "SELECT id FROM job WHERE uid = ?1", "t", q->job) : 1;
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    AM_STMT st = bind(db, q, job);
    while ((rc = am_db_row(st)) > 0) {
        struct am_event_row e = {.seq = sqlite3_column_int64(st, 0),
                                 .at = sqlite3_column_int64(st, 1),
                                 .job_seq = sqlite3_column_int64(st, 2),
                                 .revision = sqlite3_column_int64(st, 3),
                                 .topic = am_col_text(st, 4),
                                 .type = am_col_text(st, 5),
                                 .job = am_col_text(st, 6),
                                 .subject = am_col_text(st, 7),
                                 .model = am_col_text(st, 8),
                                 .data = am_col_text(st, 9)};
        AM_TRY(row(ctx, &e));
    }
    return rc;
}
