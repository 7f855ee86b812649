/*
 * submit.h - what POST /v1/jobs and POST /v1/plans share: a body checked, its inputs pinned and the job planned. What
 * the one refuses the other lists, because both come from am_submit_prepare().
 */
#ifndef AM_SERVER_API_SUBMIT_H
#define AM_SERVER_API_SUBMIT_H

#include "core/table/body.h"
#include "core/table/plan.h"
#include "server/http.h"

struct am_pinned { /* an input, from its name to a commit */
    char *model, *rev;
    char commit[41], manifest[65], architecture[128], label[420];
    int64_t version; /* 0: it names nothing */
};

struct am_submit {
    struct am_req *r;
    struct am_db *db;
    struct am_body body;
    struct am_pinned *in; /* one for each input of the body */
    struct am_plan plan;
    bool planned; /* `plan` was made; there may be faults all the same */
    struct am_faults faults;
    char head[41]; /* of the branch published to; empty when there is none */
    const char *to_model;
    unsigned threads;
    char spec_sha256[65]; /* of a job without faults */
};

/* With r and db set: 0, or an error of a room. Every reason to refuse is in `faults`: those of the body, of names, of
 * tensors, of the target and of room together. */
int am_submit_prepare(struct am_submit *s);
void am_submit_done(struct am_submit *s);

/* recipe.c: fills in spec_sha256. */
int am_submit_digest(struct am_submit *s);
/* Of a submit without faults: the recipe with everything filled in. New references. */
json_t *am_submit_resolved(const struct am_submit *s);
json_t *am_submit_publish(const struct am_submit *s);
/* {"tensors","read_bytes",...}: the numbers of the plan, null where none could be made. */
json_t *am_submit_plan(const struct am_submit *s);

#endif
