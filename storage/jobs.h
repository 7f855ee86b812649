/*
 * jobs.h - the queue: jobs and tasks as rows, and the one table of allowed moves between states. Every move writes a
 * event (events.h) in the same transaction. A task (type "task", method "import") is work of the store and shares
 * everything.
 */
#ifndef AM_STORAGE_JOBS_H
#define AM_STORAGE_JOBS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

enum am_job_state { AM_QUEUED, AM_RUNNING, AM_CANCELLING, AM_SUCCEEDED, AM_FAILED, AM_CANCELLED_, AM_STATES };
const char *am_state_name(enum am_job_state s);
int am_state_parse(const char *name); /* or -1 */
bool am_state_terminal(enum am_job_state s);
bool am_state_may(enum am_job_state from, enum am_job_state to); /* the table of engineering.md 7.7 */

struct am_job_row {
    int64_t id;
    const char *uid, *type, *method, *created_by;
    enum am_job_state state;
    int priority, attempt, failures, max_attempts, restarts;
    int64_t created_at, started_at, finished_at;             /* 0: not yet */
    int64_t not_before;                                      /* of a queued job that waits for its time; else 0 */
    int64_t time_limit;                                      /* seconds that one attempt may take; 0: none */
    const char *spec, *resolved, *plan, *metadata, *publish; /* JSON text */
    const char *result, *error, *warnings;                   /* JSON text or NULL */
    const char *spec_sha256;                                 /* hex */
    const char *requeued; /* of a queued job that ran before: data of its last job.requeued; else NULL */
    int64_t rev;
    int64_t rank;                    /* who waits for a slot and has the lowest goes first */
    int64_t queue_position;          /* of a queued job that may run among jobs of its kind, from 1; else 0 */
    const char *retry_of, *rerun_of; /* uid or NULL */
    const char *waits_for;           /* uid of the first job that a queued one waits for; else NULL */
    bool archived;
    const char *request_id, *traceparent; /* of the request that made it, or NULL */
};

struct am_job_new {
    const char *uid, *type, *method, *created_by;
    const char *spec, *resolved, *plan, *metadata, *publish, *warnings;
    const char *spec_sha256; /* hex */
    int priority;
    int64_t ageing_ms; /* the waiting time that weighs as much as one point of priority; 0: a minute */
    int64_t now;
    int64_t not_before;              /* ms since 1970; 0: at once */
    int64_t time_limit;              /* seconds that one attempt may take; 0: none */
    int max_attempts;                /* 0: 3 */
    double planned_seconds;          /* negative: not known */
    double short_seconds;            /* jobs planned below it may use the slot that is kept for them */
    int64_t queue_limit;             /* -AM_E_QUEUE_FULL when that many are queued */
    const char *retry_of, *rerun_of; /* uid or NULL */
    const char *const *input;        /* uids of jobs whose results it takes */
    size_t inputs;
};
/* With inputs that have not ended the job waits for them: it stands in no line until the last has succeeded, and fails
   in the transaction in which one of them fails or is cancelled. -AM_E_DEPENDENCY: one has done so already;
   -AM_E_TOO_LARGE: more than AM_JOB_CHAIN_MAX would wait in a row; -AM_E_NOT_FOUND: there is no such input. */
#define AM_JOB_CHAIN_MAX 100
int am_job_insert(struct am_db *db, const struct am_job_new *j);
/* Which request made it: 32 hex digits, and its traceparent (55 characters) or NULL. */
int am_job_origin(struct am_db *db, const char *uid, const char *request_id, const char *traceparent);

int am_job_state_get(struct am_db *db, const char *uid, enum am_job_state *ret); /* -AM_E_NOT_FOUND */
int am_job_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_job_row *),
               void *ctx); /* -NOT_FOUND */
#define AM_JOB_PAIRS 4
struct am_job_filter {
    const char *type, *method, *created_by, *model; /* model: the one published to; NULL = any */
    unsigned states;                                /* 1 << AM_QUEUED | ...: one of these; 0 = any */
    bool archived;                                  /* those that are, or those that are not */
    int64_t since;                                  /* ms: created then or later */
    struct am_job_pair {
        const char *key, *value;
    } pair[AM_JOB_PAIRS]; /* each is in its metadata; NULL = none */
    const char *after;    /* uid; newest first, so the page goes to older ones */
    int limit;
};
/* Tasks are left out unless type is "task". */
int am_job_list(struct am_db *db, const struct am_job_filter *f, int (*row)(void *, const struct am_job_row *),
                void *ctx);
int am_job_counts(struct am_db *db, int64_t ret[AM_STATES]); /* of jobs, without tasks */
/* All jobs and tasks by type, state and band of priority (0 to 4: priority / 25), counts of zero left out. */
int am_job_tally(struct am_db *db, int (*row)(void *, const char *type, const char *state, int band, int64_t n),
                 void *ctx);
int am_task_last(struct am_db *db, const char *kind, int64_t *ret); /* ms: when one last succeeded; 0: never */

/* Takes the next queued job by rank: priority, and age in the place of priority. The row is as after the move. 1 = one
   taken, 0 = none; *ret_next then: when the next of this lane may run (ms since 1970), 0 = nothing waits for its time.
   Its cost does not grow with the queue. */
enum am_lane { AM_LANE_SHORT, AM_LANE_ANY, AM_LANE_TASK, AM_LANES }; /* short jobs only, any job, tasks */
int am_job_claim(struct am_db *db, enum am_lane lane, int64_t now, int (*row)(void *, const struct am_job_row *),
                 void *ctx, int64_t *ret_next);
/* Asks for the end of a job: queued -> cancelled, running -> cancelling; cancelling stays. *ret: the state after.
   -AM_E_JOB_TERMINAL, -AM_E_NOT_FOUND. */
int am_job_cancel(struct am_db *db, const char *uid, int64_t now, const char *by, enum am_job_state *ret);
/* Moves `uid` from any state the table allows. -AM_E_CONFLICT when the table forbids it (the caller's transaction then
   rolls back). result, error, warnings: JSON text to store, NULL = leave. From running to queued is am_job_requeue()
   without a pause and a reason. */
int am_job_finish(struct am_db *db, const char *uid, enum am_job_state to, int64_t now, const char *result,
                  const char *error, const char *warnings);
/* The worker failed in a way that may pass: running -> queued, failures + 1, not claimed before `pause_ms` times 1, 5,
   25, 25, ... for the first, second, ... failure. reason: JSON object for the event, e.g. {"code","detail"}.
   -AM_E_ATTEMPTS and nothing changed when it would be the last of max_attempts (finish it as failed then). */
int am_job_requeue(struct am_db *db, const char *uid, int64_t now, int64_t pause_ms, const char *reason);
/* After a start: running -> queued with restarts + 1 (or failed attempts-exhausted beyond max_restarts), cancelling ->
 *cancelled. ret_n: how many rows moved. */
int am_job_recover(struct am_db *db, int64_t now, int max_restarts, int64_t *ret_n);

/* Of the last hundred scheduled tasks of a kind (their recipe says "scheduled"); ms since 1970, 0: none. */
struct am_task_times {
    int64_t made, succeeded; /* the newest; the newest that succeeded */
    int64_t first;           /* the oldest row of the queue, of whatever kind */
    bool open;               /* one is queued or running */
};
int am_task_times(struct am_db *db, const char *kind, struct am_task_times *ret);

/* A job that was inserted before all its inputs were known is planned now, while it runs: what was left open is filled
   in, once. -AM_E_CONFLICT: it runs no more, or was planned already. */
struct am_job_planned {
    const char *uid, *resolved, *plan, *publish, *warnings, *spec_sha256;
    double planned_seconds;
};
int am_job_plan(struct am_db *db, const struct am_job_planned *p);

/* What may be changed of a job that has the revision `rev`: priority and metadata of a queued one, archived of one that
   has ended. -AM_E_PRECONDITION_FAILED: it is another revision by now; -AM_E_NOT_FOUND; -AM_E_CONFLICT: the state does
   not allow it. */
struct am_job_change {
    int priority;         /* -1: left */
    int64_t ageing_ms;    /* what a point of priority weighs; 0: a minute */
    const char *metadata; /* JSON text; NULL: left */
    int archived;         /* -1: left */
    int64_t now;
    const char *by;
};
int am_job_change(struct am_db *db, const char *uid, int64_t rev, const struct am_job_change *c);

/* The jobs that did the same (spec_sha256, hex) and succeeded, those published to `model` (NULL: whereto ever), newest
   first, at most `limit`. row returns 1 to end the walk, which is then passed on. */
int am_job_same(struct am_db *db, const char *spec_sha256, const char *model, int limit,
                int (*row)(void *, const struct am_job_row *), void *ctx);

#endif
