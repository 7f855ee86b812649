/*
 * publisher_gate.h - the end of a comparison beside its report: the decision that the worker left, and the refs that it
 * lets move. On the writer, in the transaction of the report, which is that of the version when the job makes one.
 */
#ifndef AM_SERVER_PUBLISHER_GATE_H
#define AM_SERVER_PUBLISHER_GATE_H

#include "server/engine_claim.h"

struct am_db;

struct am_gated {
    struct am_claim *job;   /* its warnings tell of refs that stay */
    const char *old, *new;  /* commits, or names elsewhere */
    const json_t *decision; /* as the worker left it; NULL: the job has no gate */
    const char *report;     /* uid; NULL: there was nothing to compare with */
    int64_t old_version, new_version, now;
    /* what came of it */
    json_t *refs;              /* list of {"ref","from","to"}; the caller's */
    char uid[64], verdict[16]; /* of the decision; empty: none */
    int64_t row;               /* of the decision */
    const char *detached;      /* why a ref stays that the decision would have moved, or NULL */
};

/* What is wrong with a decision that a worker left, or NULL. */
const char *am_gated_fault(const json_t *decision);
int am_gated_decide(struct am_db *db, struct am_gated *g);
int am_gated_move(struct am_db *db, struct am_gated *g);
/* Whether the result of the job may be committed on the branch, as far as the branch is protected by a gate: 1; 0: it
   stays, and that is said; or an error. */
int am_gated_commit(struct am_db *db, struct am_gated *g, int64_t model, const char *branch);

#endif
