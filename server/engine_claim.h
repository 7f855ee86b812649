/*
 * engine_claim.h - one claimed job or task: copies of what the engine needs of its row. Private to the engine.
 * Ownership: am_claim owns its texts and JSON until am_claim_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_ENGINE_CLAIM_H
#define AM_SERVER_ENGINE_CLAIM_H

#include "server/trace.h"
#include "storage/jobs.h"

#include <jansson.h>
#include <stdbool.h>

struct am_claim {
    char uid[64], type[32], method[64];
    char staging[96]; /* "<uid>.<attempt>": one folder for each attempt */
    int attempt;
    int failures, max_attempts;  /* of the worker before this attempt; how many end the job */
    int64_t time_limit;          /* seconds of this attempt; 0: none */
    int64_t waited;              /* ms from its submission to this attempt */
    char request[40];            /* id of the request that made it, or "-" */
    char trace[AM_TRACE_PARENT]; /* traceparent for its worker */
    char *created_by, *resolved_text, *publish_text, *plan_text, *warnings_text;
    json_t *moving; /* of an import in mode move: the files it takes out of their folder (move.h) */
    json_t *resolved, *publish, *plan, *warnings; /* after am_claim_parse: two objects, object or null, a list */
};

int am_claim_copy(struct am_claim *ret, const struct am_job_row *row);
/* Apart from copying, so that a row that cannot be read ends as a failed job instead of being claimed again and again.
 */
int am_claim_parse(struct am_claim *c, char *why, size_t why_cap);
/* Whether it waited for other jobs and has no recipe yet. Of a copied claim. */
bool am_claim_unplanned(const struct am_claim *c);
bool am_claim_imports(const struct am_claim *c);
bool am_claim_packs(const struct am_claim *c);     /* an upload (launch.c, publisher_pack.c) */
bool am_claim_indexes(const struct am_claim *c);   /* the upload of a dataset (launch.c, publisher_index.c) */
bool am_claim_compares(const struct am_claim *c);  /* prediction sets (launch_compare.c, publisher_report.c) */
bool am_claim_continues(const struct am_claim *c); /* of a line of versions */
/* {"code","detail"} at the end of the warnings. */
int am_claim_warn(struct am_claim *c, const char *code, const char *detail);
void am_claim_done(struct am_claim *c);

#endif
