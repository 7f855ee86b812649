/*
 * stream_read.c - what the connection of an event stream reads: first the stored events that were asked for, then the
 * ring. Server-sent events (WHATWG HTML 9.2), or JSON lines.
 */
#include "server/streams_priv.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/event_json.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { REPLAY = 64, ENOUGH = 16 << 10, OUT_MAX = 8 << 20, PIECE = 4096 };

static int put(struct am_stream *s, int64_t seq, const char *type, const char *json)
{
    return s->ndjson ? am_buf_printf(&s->out, "%s\n", json)
                     : am_buf_printf(&s->out, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)seq, type, json);
}

/* What is no event: reset, end, and for readers of lines the heartbeat. */
static int put_control(struct am_stream *s, const char *type)
{
    char json[80];
    snprintf(json, sizeof json, "{\"object\":\"control\",\"type\":\"%s\",\"seq\":%lld}", type, (long long)s->seen);
    return put(s, s->seen, type, json);
}

static int put_row(void *ctx, const struct am_event_row *e)
{
    struct am_stream *s = ctx;
    char *text = am_event_text(e, true);
    int rc = text ? put(s, e->seq, e->type, text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    if (rc == 0)
        s->seen = e->seq;
    if (s->job[0] && am_event_ends_job(e->type)) {
        pthread_mutex_lock(&s->hub->lock);
        s->over = true;
        pthread_mutex_unlock(&s->hub->lock);
    }
    return rc;
}

struct counted {
    struct am_stream *s;
    int n;
};

static int count_row(void *ctx, const struct am_event_row *e)
{
    struct counted *c = ctx;
    c->n++;
    return put_row(c->s, e);
}

/* Once nothing stored is left that the ring may not have, the ring takes over. */
static int replay(struct am_stream *s)
{
    struct am_streams *h = s->hub;
    struct am_db *db = am_store_read(h->store);
    struct counted c = {.s = s};
    struct am_event_query q = {.after = s->seen, .model = s->model, .topics = s->topics, .limit = REPLAY};
    q.job = s->job[0] ? s->job : NULL;
    pthread_mutex_lock(&h->lock);
    int64_t known = h->seq;
    pthread_mutex_unlock(&h->lock);
    AM_TRY(db ? am_event_list(db, &q, count_row, &c) : -AM_E_INTERNAL);
    if (c.n == REPLAY)
        return 0;
    s->seen = known > s->seen ? known : s->seen;
    pthread_mutex_lock(&h->lock);
    if (h->seq <= s->seen) {
        s->replaying = false;
        s->pos = h->head;
    }
    pthread_mutex_unlock(&h->lock);
    return 0;
}

/* Under the lock. */
static int take_ring(struct am_stream *s)
{
    struct am_streams *h = s->hub;
    if (s->reset) {
        s->reset = false;
        s->pending = 0;
        s->pos = h->head;
        s->seen = h->seq > s->seen ? h->seq : s->seen;
        AM_TRY(put_control(s, "reset"));
    }
    for (; s->pos < h->head && s->out.len < ENOUGH; s->pos++) {
        const struct am_entry *e = h->ring[s->pos % RING_ENTRIES];
        if (!am_stream_wants(s, e))
            continue;
        s->pending -= e->bytes < s->pending ? e->bytes : s->pending;
        if (e->stored && e->seq <= s->seen)
            continue;
        AM_TRY(put(s, e->seq > s->seen ? e->seq : s->seen, e->type, e->json));
        s->seen = e->seq > s->seen ? e->seq : s->seen;
    }
    if (s->over && s->pos == h->head && !s->closing) {
        s->closing = true;
        return put_control(s, "end");
    }
    return 0;
}

/* Under the lock, with nothing to give: 0 asleep, 1 a heartbeat, negative: the end. */
static int rest(struct am_stream *s, int64_t now)
{
    if (s->hub->draining)
        return -AM_E_SHUTTING_DOWN;
    if (now - s->given_at >= BEAT_MS) {
        int rc = s->ndjson ? put_control(s, "heartbeat") : am_buf_puts(&s->out, ": hb\n\n");
        return rc < 0 ? rc : 1;
    }
    s->asleep = true;
    am_streams_sleep(s->hub, s->conn);
    return 0;
}

/* 1: there is something in `out`; 0: nothing now; negative: the end. */
static int refill(struct am_stream *s)
{
    int64_t now = am_mono_ms();
    int rc = 0;
    if (s->closing)
        return -AM_E_SHUTTING_DOWN;
    am_buf_done(&s->out); /* hundreds of streams sleep: none keeps memory for what it has given */
    am_buf_init(&s->out, OUT_MAX);
    s->sent = 0;
    if (!s->greeted && !s->ndjson)
        rc = am_buf_puts(&s->out, "retry: 3000\n\n");
    s->greeted = true;
    while (rc == 0 && s->replaying && s->out.len < ENOUGH)
        rc = replay(s);
    AM_TRY(rc);
    pthread_mutex_lock(&s->hub->lock);
    if (!s->replaying && s->out.len < ENOUGH)
        rc = take_ring(s);
    if (rc == 0)
        rc = s->out.len ? 1 : rest(s, now);
    if (rc > 0)
        s->given_at = now;
    pthread_mutex_unlock(&s->hub->lock);
    return rc;
}

static ssize_t read_stream(void *cls, uint64_t at, char *buf, size_t max)
{
    struct am_stream *s = cls;
    (void)at;
    if (s->sent == s->out.len) {
        int rc = refill(s);
        if (rc <= 0)
            return rc == 0 ? 0 : MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t n = s->out.len - s->sent < max ? s->out.len - s->sent : max;
    memcpy(buf, s->out.data + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}

static void free_stream(void *cls)
{
    struct am_stream *s = cls;
    if (s->hub)
        am_streams_leave(s->hub, s);
    am_buf_done(&s->out);
    free(s->model);
    free(s);
}

static struct am_stream *make(struct am_req *r, const struct am_stream_new *n)
{
    struct am_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct am_stream){.conn = r->conn,
                            .over = n->over,
                            .topics = n->topics ? n->topics : AM_TOPICS,
                            .ndjson = n->ndjson,
                            .replaying = n->after >= 0,
                            .seen = n->after,
                            .given_at = am_mono_ms()};
    snprintf(s->job, sizeof s->job, "%s", n->job ? n->job : "");
    s->model = n->model ? strdup(n->model) : NULL;
    if (n->model && !s->model) {
        free(s);
        return NULL;
    }
    return s;
}

/* What was pruned, or given by another database, cannot be told again. */
static int check_start(struct am_req *r, struct am_stream *s)
{
    int64_t last, pruned;
    if (s->seen <= 0)
        return 0;
    struct am_db *db = am_store_read(r->srv->store);
    AM_TRY(db ? am_event_bounds(db, &last, &pruned) : -AM_E_INTERNAL);
    if (s->seen < pruned || s->seen > last) {
        s->reset = true;
        s->replaying = false;
    }
    return 0;
}

int am_stream_refuse(struct am_req *r, int rc)
{
    if (rc == -AM_E_TOO_MANY_STREAMS)
        return am_reply_problem(r, AM_E_TOO_MANY_STREAMS,
                                "limits.streams (%llu) event streams are open; close one, or poll",
                                (unsigned long long)r->srv->cfg->streams);
    return am_reply_error(r, rc,
                          rc == -AM_E_SHUTTING_DOWN ? "the service is stopping; try again in a few seconds"
                                                    : "no stream can be opened");
}

int am_stream_reply(struct am_req *r, const struct am_stream_new *n)
{
    struct am_stream *s = make(r, n);
    int rc = s ? check_start(r, s) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_streams_join(r->srv->streams, s);
    if (rc < 0) {
        if (s)
            free_stream(s);
        return am_stream_refuse(r, rc);
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_stream, s, free_stream);
    if (!response) {
        free_stream(s);
        return MHD_NO;
    }
    const char *headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE, n->ndjson ? "application/x-ndjson" : "text/event-stream",
                             "X-Accel-Buffering", "no", NULL};
    return am_reply_queue(r, 200, response, headers);
}
