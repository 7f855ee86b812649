/*
 * engine_end.h - how a job ended, from what its worker said and did, and the row of a job that did not succeed.
 * Private to the engine. am_outcome_judge is pure; am_outcome_write waits for the writer (pool thread).
 * Ownership: am_outcome owns its texts and faults until am_outcome_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_ENGINE_END_H
#define AM_SERVER_ENGINE_END_H

#include "core/base/fault.h"
#include "server/engine_claim.h"
#include "server/records.h"
#include "storage/store.h"

#include <stdbool.h>
#include <stdint.h>

enum am_ending {
    AM_END_NONE,
    AM_END_PUBLISH,   /* the worker is done: its result is to be published */
    AM_END_REUSED,    /* the same was done before: the row has ended with that result */
    AM_END_DONE,      /* a task of the store is done: its result is to be recorded */
    AM_END_FAILED,    /* with `code` and the rest */
    AM_END_REQUEUED,  /* failed, and back in the queue: there are attempts left */
    AM_END_CANCELLED, /* asked for by a person */
    AM_END_LEFT,      /* stopped by the daemon's own end: the row stays running and is taken up at the next start */
};

struct am_outcome {
    enum am_ending kind;
    int code;     /* AM_E_..., positive */
    char *detail; /* NULL: out of memory while it was made */
    char *tensor; /* or NULL */
    char phase[32];
    bool retryable;
    bool again; /* of a failure: the worker's own, and of a kind that may pass; else one is the end */
    bool lost;  /* the worker could not be killed: its staging is not ours to touch */
    struct am_faults faults;
};

struct am_exit {
    int64_t status;
    int signal;
    bool cancelled, stopped, hung, expired; /* why the engine asked the worker to stop */
    bool lost;                              /* it was killed and has not ended: there is no status */
    int64_t kill_wait_ms;                   /* of lost */
    int64_t silence_ms;                     /* of hung */
    int64_t time_limit;                     /* of expired: seconds */
    const char *uid;
};

/* Takes texts and faults out of `r`. */
void am_outcome_judge(struct am_outcome *ret, const struct am_exit *x, struct am_records *r);
void am_outcome_fail(struct am_outcome *o, int code, const char *fmt, ...) AM_PRINTF(3, 4);
/* Moves the row to failed, cancelled or, when the failure may pass and attempts are left, back to queued; as it stands
   then: a job that is cancelling ends cancelled whatever the worker said, but failed when the worker is lost. o->kind
   says what it was. */
int am_outcome_write(struct am_outcome *o, struct am_store *store, const struct am_claim *job, int64_t pause_ms);
void am_outcome_done(struct am_outcome *o);

#endif
