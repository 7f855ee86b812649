/*
 * engine.h - the job engine: takes queued jobs from the store, runs them in worker processes, publishes what they made.
 * Lives on the main libuv loop; claims, preparation and publication run on libuv's thread pool.
 * Not a queue (storage/jobs.h is) and not HTTP.
 * Ownership: am_engine_new() gives an object for am_engine_free(), called after am_engine_stop() has called back.
 * Functions marked (any thread) may be called from HTTP threads.
 */
#ifndef AM_SERVER_ENGINE_H
#define AM_SERVER_ENGINE_H

#include "core/base/fault.h"
#include "server/config.h"
#include "server/metrics.h"
#include "storage/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct am_progress {
    char phase[32], unit[16];
    uint64_t done, total, bytes_done, bytes_total;
    double bytes_per_second; /* over the last seconds; 0 = not known yet */
    int64_t eta_seconds;     /* -1 = not known yet */
    int64_t updated_at;      /* ms; 0 = nothing reported yet */
};

struct am_engine;

struct am_engine *am_engine_new(uv_loop_t *loop, struct am_store *store, const struct am_config *cfg,
                                const char *registry_sha256);
/* (before the loop runs) Who plans a claimed job that waited for others: called on a pool thread, fills in the job's
   recipe, here and in its row. 1: the same was done before, and the job has ended with that. A negative error with
   faults, or with a sentence in `why`. */
struct am_claim;
typedef int am_planner(void *arg, struct am_claim *job, struct am_faults *faults, char *why, size_t why_cap);
void am_engine_planner(struct am_engine *e, am_planner *plan, void *arg);
void am_engine_wake(struct am_engine *e);                    /* (any thread) something was queued */
void am_engine_cancel(struct am_engine *e, const char *uid); /* (any thread) the row says cancelling: stop its worker */
bool am_engine_progress(struct am_engine *e, const char *uid,
                        struct am_progress *ret); /* (any thread) false: not running here */
/* (any thread) A number that changes with all that am_engine_progress() tells: equal before and after, nothing has. */
uint64_t am_engine_changes(const struct am_engine *e);
/* (any thread) What slot i shows: a job's uid and progress, or "". false: there is no slot i. */
bool am_engine_shown(struct am_engine *e, size_t i, char uid[64], struct am_progress *ret);
unsigned am_engine_running(struct am_engine *e); /* (any thread) */
/* (any thread) Workers that were killed and have not ended; *ret_choked: so many that none is started. */
unsigned am_engine_lost(struct am_engine *e, bool *ret_choked);
struct am_job_metrics *am_engine_metrics(struct am_engine *e); /* (any thread) lives as long as the engine */
unsigned am_engine_slots(const struct am_engine *e);           /* (any thread) for jobs and tasks together */
/* (any thread) What bounds workers, as the last hello said: enum am_holds of records.h. false: none has come yet. */
bool am_engine_confinement(struct am_engine *e, unsigned *ret_holds);
/* Starts nothing new, asks workers to stop (their jobs go back to the queue at the next start), kills them after
   grace_ms, gives up what does not end even then, and calls `stopped` on the loop. */
void am_engine_stop(struct am_engine *e, int64_t grace_ms, void (*stopped)(void *arg), void *arg);
void am_engine_free(struct am_engine *e);

#endif
