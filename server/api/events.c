/*
 * events.c - what happened: lists of events, and the streams of them (server/streams.h).
 */
#include "storage/events.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/event_json.h"
#include "server/reply.h"
#include "server/streams.h"
#include "storage/jobs.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

/* ---- what is asked for ---- */

struct topics {
    const char *name;
    unsigned mask;
    char bad[32];
};

/* "jobs,models"; the parameter may also come several times. */
static int add_topics(void *arg, const char *name, const char *value)
{
    struct topics *t = arg;
    if (!am_streq(name, t->name))
        return 0;
    for (const char *p = value; !t->bad[0]; p += strcspn(p, ",") + 1) {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(p, ","), p);
        unsigned bit = am_topic_parse(word);
        if (!bit)
            snprintf(t->bad, sizeof t->bad, "%s", word[0] ? word : "nothing");
        t->mask |= bit;
        if (!p[strcspn(p, ",")])
            break;
    }
    return 0;
}

/* *ret 0: all. false: a problem was queued. */
static bool read_topics(struct am_req *r, const char *name, unsigned *ret, int *ret_queued)
{
    struct topics t = {.name = name};
    char pointer[16];
    am_req_query_each(r, add_topics, &t);
    snprintf(pointer, sizeof pointer, "?%s", name);
    if (t.bad[0])
        *ret_queued =
            am_reply_fault(r, AM_E_INVALID_REQUEST, pointer,
                           "%s is no topic; there are jobs, models, reports, datasets, queue and tasks", t.bad);
    *ret = t.mask;
    return !t.bad[0];
}

static bool read_model(struct am_req *r, const char **ret, int *ret_queued)
{
    *ret = am_req_query(r, "model");
    const char *why = *ret ? am_model_name_fault(*ret) : NULL;
    if (why)
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, "?model", "%.200s: %s", *ret, why);
    return !why;
}

/* Whether the job of the route has ended. false: there is none, and a problem was queued. */
static bool find_job(struct am_req *r, bool *ret_over, int *ret_queued)
{
    enum am_job_state state;
    struct am_db *db = am_reader(r, ret_queued);
    int rc = db ? am_job_state_get(db, r->arg[0], &state) : 0;
    if (rc < 0)
        *ret_queued = am_reply_no_job(r, rc);
    else if (db)
        *ret_over = am_state_terminal(state);
    return db && rc == 0;
}

/* ---- lists ---- */

static int add_event(void *ctx, const struct am_event_row *e)
{
    return am_json_add(ctx, am_event_json(e, true));
}

static int reply_list(struct am_req *r, struct am_event_query *q)
{
    int queued = MHD_NO;
    int64_t limit;
    if (!am_req_int(r, "after", 0, INT64_MAX, 0, &q->after, &queued) ||
        !am_req_int(r, "limit", 1, 100, 20, &limit, &queued))
        return queued;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    q->limit = (int)limit + 1;
    json_t *data = json_array();
    int rc = am_event_list(db, q, add_event, data);
    return am_reply_page(r, rc, data, limit, "seq", "events");
}

int am_api_events(struct am_req *r)
{
    int queued = MHD_NO;
    struct am_event_query q = {.after = 0};
    if (!read_topics(r, "topic", &q.topics, &queued) || !read_model(r, &q.model, &queued))
        return queued;
    return reply_list(r, &q);
}

int am_api_job_events(struct am_req *r)
{
    int queued = MHD_NO;
    bool over;
    if (!find_job(r, &over, &queued))
        return queued;
    return reply_list(r, &(struct am_event_query){.job = r->arg[0]});
}

/* ---- streams ---- */

/* false: neither form was asked for, and a problem was queued. */
static bool read_accept(struct am_req *r, bool *ret_ndjson, int *ret_queued)
{
    const char *accept = am_req_header(r, MHD_HTTP_HEADER_ACCEPT);
    bool sse = !accept || strcasestr(accept, "text/event-stream"),
         lines = accept && strcasestr(accept, "application/x-ndjson"),
         any = accept && (strstr(accept, "*/*") || strcasestr(accept, "text/*"));
    *ret_ndjson = !sse && lines;
    if (sse || lines || any)
        return true;
    *ret_queued = am_reply_problem(r, AM_E_NOT_ACCEPTABLE,
                                   "events are text/event-stream or application/x-ndjson, not %.100s", accept);
    return false;
}

/* *ret -1: the client has no last event. */
static bool read_last(struct am_req *r, int64_t *ret, int *ret_queued)
{
    uint64_t v;
    const char *header = am_req_header(r, "Last-Event-ID");
    *ret = -1;
    if (!header || !header[0])
        return am_req_int(r, "last_event_id", 0, INT64_MAX, -1, ret, ret_queued);
    if (am_parse_u64(header, &v) < 0 || v > INT64_MAX) {
        *ret_queued = am_reply_problem(r, AM_E_INVALID_REQUEST,
                                       "Last-Event-ID must be the id of an event of a stream, a whole number");
        return false;
    }
    *ret = (int64_t)v;
    return true;
}

/* Only GET opens a stream. */
static int reply_head(struct am_req *r, bool ndjson)
{
    const char *headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE, ndjson ? "application/x-ndjson" : "text/event-stream",
                             "X-Accel-Buffering", "no", NULL};
    return am_reply_queue(r, 200, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
}

int am_api_events_stream(struct am_req *r)
{
    int queued = MHD_NO;
    struct am_stream_new n = {.after = -1};
    if (!read_accept(r, &n.ndjson, &queued) || !read_last(r, &n.after, &queued) ||
        !read_topics(r, "topics", &n.topics, &queued) || !read_model(r, &n.model, &queued))
        return queued;
    return r->head ? reply_head(r, n.ndjson) : am_stream_reply(r, &n);
}

static int count_event(void *ctx, const struct am_event_row *e)
{
    (void)e;
    ++*(int *)ctx;
    return 0;
}

int am_api_job_events_stream(struct am_req *r)
{
    int queued = MHD_NO, more = 0;
    struct am_stream_new n = {.job = r->arg[0]};
    if (!find_job(r, &n.over, &queued) || !read_accept(r, &n.ndjson, &queued) || !read_last(r, &n.after, &queued))
        return queued;
    if (n.over && n.after > 0) { /* a client that comes again has nothing to come for once it has had all */
        struct am_event_query q = {.job = n.job, .after = n.after, .limit = 1};
        int rc = am_event_list(am_store_read(r->srv->store), &q, count_event, &more);
        if (rc < 0)
            return am_reply_error(r, rc, "the events could not be listed");
        if (!more)
            return am_reply_queue(r, MHD_HTTP_NO_CONTENT,
                                  MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), NULL);
    }
    n.after = n.after < 0 ? 0 : n.after;
    return r->head ? reply_head(r, n.ndjson) : am_stream_reply(r, &n);
}
