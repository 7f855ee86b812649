/*
 * job_filter.c - the query parameters of GET /v1/jobs. `status` may be repeated: any of them.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <stdio.h>
#include <string.h>

struct filter {
    struct am_req *r;
    struct am_job_filter *f;
    size_t pairs;
    int *ret_queued;
    bool refused;
};

static int refuse(struct filter *c, const char *pointer, const char *why)
{
    *c->ret_queued = am_reply_fault(c->r, AM_E_INVALID_REQUEST, pointer, "%s", why);
    c->refused = true;
    return -AM_E_INVALID_REQUEST;
}

static int take_status(struct filter *c, const char *value)
{
    int state = am_state_parse(value);
    if (state < 0)
        return refuse(c, "?status", "status must be queued, running, cancelling, succeeded, failed or cancelled");
    c->f->states |= 1u << state;
    return 0;
}

static int take_pair(struct filter *c, const char *key, const char *value)
{
    if (c->pairs == AM_JOB_PAIRS)
        return refuse(c, "?metadata", "at most 4 pairs of metadata can be asked for at once");
    c->f->pair[c->pairs++] = (struct am_job_pair){.key = key, .value = value};
    return 0;
}

static int take(void *ctx, const char *name, const char *value)
{
    struct filter *c = ctx;
    if (am_streq(name, "status"))
        return take_status(c, value);
    if (am_starts(name, "metadata."))
        return take_pair(c, name + strlen("metadata."), value);
    if (am_streq(name, "since") && am_time_parse(value, &c->f->since) < 0)
        return refuse(c, "?since", "since must be a time such as 2026-11-23T01:48:10Z (a + in a URL is written %2B)");
    return 0;
}

bool am_job_filter_read(struct am_req *r, struct am_job_filter *f, int *ret_queued)
{
    struct filter c = {.r = r, .f = f, .ret_queued = ret_queued};
    f->type = am_req_query(r, "type");
    f->method = am_req_query(r, "method");
    f->model = am_req_query(r, "model");
    f->created_by = am_req_query(r, "created_by");
    f->after = am_req_query(r, "after");
    am_req_query_each(r, take, &c);
    return !c.refused && am_req_flag(r, "archived", &f->archived, ret_queued);
}
