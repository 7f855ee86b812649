/*
 * mergekit.h - a mergekit configuration as the body of POST /v1/jobs and /v1/plans: it becomes r->json, the body of a
 * job, before anything else looks at the request.
 */
#ifndef AM_SERVER_API_MERGEKIT_H
#define AM_SERVER_API_MERGEKIT_H

#include "core/base/fault.h"
#include "core/recipe/chain.h"
#include "core/recipe/mergekit.h"
#include "server/http.h"

struct am_recipe { /* safe on zero; am_recipe_done() */
    struct am_mergekit mergekit;
    struct am_faults faults; /* of the configuration itself */
    bool yaml;
    struct am_chain *chain; /* several documents, which r->json is a list of; then the rest is of no use. Else NULL */
};

/* True: go on, with r->json set. False: an answer was queued; also for query parameters that go with YAML beside JSON.
 */
bool am_recipe_take(struct am_recipe *ret, struct am_req *r, int *ret_queued);
void am_recipe_done(struct am_recipe *c);

#endif
