/*
 * engine_priv.h - the inside of the job engine: its slots and who may touch what.
 *
 * A slot carries one job from claim to end. All of it belongs to the loop's thread, except while a work item is on the
 * pool (then `job`, `launch` and `out` belong to that item) and except what is marked (lock), which HTTP threads read
 * and write under e->lock.
 */
#ifndef AM_SERVER_ENGINE_PRIV_H
#define AM_SERVER_ENGINE_PRIV_H

#include "server/engine.h"
#include "server/engine_claim.h"
#include "server/engine_end.h"
#include "server/executor.h"
#include "server/launch.h"
#include "server/records.h"

#include <pthread.h>
#include <stdatomic.h>

enum am_slot_phase { AM_SLOT_FREE, AM_SLOT_CLAIM, AM_SLOT_PREPARE, AM_SLOT_RUN, AM_SLOT_TASK, AM_SLOT_END };

#define AM_SPEED_SAMPLES 32
struct am_speed { /* bytes over the last seconds, as a ring of samples */
    struct {
        int64_t at; /* monotonic ms */
        uint64_t bytes;
    } v[AM_SPEED_SAMPLES];
    unsigned next, n;
};

struct am_slot {
    struct am_engine *e;
    enum am_lane lane; /* what it takes */
    enum am_slot_phase phase;
    uv_work_t work;
    uv_timer_t timer; /* running: the next deadline; ending: the next try */
    struct am_claim job;
    struct am_launch launch;
    struct am_outcome out;
    struct am_records records;
    struct am_exec *exec;       /* NULL: no process */
    json_t *task_result;        /* of a task that ran here */
    int rc;                     /* of the work item */
    int64_t next;               /* of a claim that found nothing: when there may be something; 0: unknown */
    bool cancel, stop;          /* asked of the worker: by a person, by the end of the daemon */
    bool hung, expired;         /* asked to stop for silence, for its time limit */
    int64_t started, heard;     /* monotonic ms */
    int64_t kill_at, killed_at; /* the same; 0: no ladder has begun, it was not killed yet */
    double seconds;             /* from start to exit */
    int log;                    /* descriptor, or -1 */
    uint64_t log_bytes;
    char shown[64];              /* (lock) uid, empty when free */
    bool cancel_asked;           /* (lock) */
    bool quit_asked;             /* (lock) the daemon ends: for tasks, which have no process to signal */
    struct am_progress progress; /* (lock) */
    struct am_speed speed;
};

struct am_lost {         /* a worker that was killed and has not ended: its slot carries other jobs by now */
    struct am_engine *e; /* NULL: the engine is gone */
    char uid[64];
    int attempt;
    struct am_lost *next;
};

struct am_engine {
    uv_loop_t *loop;
    struct am_store *store;
    const struct am_config *cfg;
    const struct am_executor *executor;
    char registry[65];
    am_planner *plan;
    void *plan_arg;
    struct am_slot *slot;
    size_t slots;
    bool dirty[AM_LANES], claiming[AM_LANES]; /* something may be queued; a claim is on its way */
    uv_timer_t later[AM_LANES];               /* until the next queued one may run */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
    unsigned handles; /* libuv handles still open */
    struct am_lost *lost;
    unsigned losses; /* (lock to write) length of `lost` */
    uv_async_t async;
    uv_timer_t retry;
    pthread_mutex_t lock;
    atomic_uint_fast64_t changes;  /* (lock to write) of what slots show: uid, progress */
    bool hello;                    /* (lock) a worker has said hello, and what bounds it: */
    unsigned holds;                /* (lock) enum am_holds */
    struct am_job_metrics metrics; /* (any thread) */
    bool woken, closed;            /* (lock) closed: the async handle may no longer be touched */
};

/* engine.c */
void am_engine_pump(struct am_engine *e);  /* claims for free slots */
void am_engine_again(struct am_engine *e); /* the same a second from now: the store refused */
void am_engine_dirty(struct am_engine *e); /* something was queued, in whatever lane */
void am_engine_later(struct am_engine *e, enum am_lane lane, int64_t at); /* looks again at that time, ms since 1970 */
void am_slot_show(struct am_slot *s, const char *uid); /* what other threads see of the slot; "" when free */
bool am_slot_cancel_asked(struct am_slot *s);

/* engine_slot.c: claim and preparation */
void am_slot_claim(struct am_slot *s);
void am_slot_free(struct am_slot *s); /* back to the free ones, and the next claim */

/* engine_run.c: the process */
void am_slot_run(struct am_slot *s);
void am_slot_stop(struct am_slot *s, int64_t grace_ms); /* SIGTERM now, SIGKILL after the grace */

/* engine_lost.c: a worker that cannot be killed */
bool am_slot_forget(struct am_slot *s); /* false: not now */
void am_engine_forget_all(struct am_engine *e);
bool am_engine_choked(const struct am_engine *e); /* as many are lost as there are slots: start no more */

/* engine_task.c: the store's own work, which has no process */
bool am_slot_runs_here(const struct am_slot *s);
void am_slot_task(struct am_slot *s);
int am_slot_task_record(struct am_slot *s); /* (pool) the row's end of one that is done */

/* engine_finish.c: publication and the row's end */
void am_slot_end(struct am_slot *s);

/* engine_progress.c: pure */
void am_speed_reset(struct am_speed *s);
/* Takes a report of the worker into `p`; `now` monotonic, `wall` ms since 1970. */
void am_progress_take(struct am_progress *p, struct am_speed *s, const struct am_record_progress *r, int64_t now,
                      int64_t wall);

#endif
