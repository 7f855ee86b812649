/*
 * made.h - what a job has made, out of its row: for jobs that take its result, make it again or find it made already.
 * Ownership: am_made owns its JSON until am_made_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_API_MADE_H
#define AM_SERVER_API_MADE_H

#include "storage/jobs.h"

#include <jansson.h>

struct am_made {
    char uid[64], type[32], rerun_of[64];
    char reused_from[64]; /* who computed its result; empty: it did */
    enum am_job_state state;
    char model[200], commit[41];   /* the version; empty: it has made none */
    char report[64];               /* uid of the report; empty: it has made none */
    char gate_report[64];          /* of the gate that a version had to pass; empty: it had none */
    char to_model[200];            /* that it publishes to; empty: none */
    char kernels[32], program[64]; /* it was computed with; empty: not known */
    json_t *spec, *resolved;       /* resolved is null when it was never planned */
};

void am_made_fill(struct am_made *ret, const struct am_job_row *j);
/* -AM_E_NOT_FOUND: no such job, or it is a task of the store. */
int am_made_get(struct am_db *db, const char *uid, struct am_made *ret);
void am_made_done(struct am_made *m);

#endif
