/*
 * stream_ring.c - the newest events, rendered once for all streams. A stream that has taken everything sleeps; one that
 * is slow is reset when too much waits for it, so that it costs the others nothing.
 */
#include "server/streams_priv.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/event_json.h"
#include "storage/jobs.h"

#include <stdlib.h>
#include <string.h>

static const char *put_text(char **at, const char *text)
{
    if (!text)
        return NULL;
    size_t n = strlen(text) + 1;
    memcpy(*at, text, n);
    *at += n;
    return *at - n;
}

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

struct am_entry *am_entry_new(const struct am_event_row *e, bool stored)
{
    char *json = am_event_text(e, stored);
    size_t bytes = sizeof(struct am_entry) + size_of(json) + size_of(e->type) + size_of(e->subject) + size_of(e->job) +
                   size_of(e->model);
    struct am_entry *entry = json ? malloc(bytes) : NULL;
    if (entry) {
        char *at = (char *)(entry + 1);
        *entry = (struct am_entry){.seq = e->seq,
                                   .stored = stored,
                                   .ends_job = am_event_ends_job(e->type),
                                   .topic = am_topic_parse(e->topic),
                                   .bytes = bytes};
        entry->type = put_text(&at, e->type);
        entry->subject = put_text(&at, e->subject);
        entry->job = put_text(&at, e->job);
        entry->model = put_text(&at, e->model);
        entry->json = put_text(&at, json);
    }
    free(json);
    return entry;
}

bool am_stream_wants(const struct am_stream *s, const struct am_entry *e)
{
    if (s->job[0])
        return am_streq(s->job, e->job);
    return (s->topics & e->topic) && (!s->model || am_streq(s->model, e->model));
}

static void wake(struct am_streams *h, struct am_stream *s)
{
    if (!s->asleep)
        return;
    s->asleep = false;
    am_streams_due(h, s->conn);
}

/* The entry is at h->head, not yet counted. */
static void offer(struct am_streams *h, struct am_stream *s, const struct am_entry *e)
{
    bool end = e->ends_job && s->job[0] && am_streq(s->job, e->job);
    s->over |= end;
    if (s->is_log) {
        if (end)
            wake(h, s);
        return;
    }
    if (s->replaying || s->reset)
        return;
    if (!am_stream_wants(s, e)) {
        s->pos += s->asleep; /* it has taken all before this one */
        return;
    }
    s->pending += e->bytes;
    s->reset = s->pending > BACKLOG_BYTES;
    wake(h, s);
}

static void drop_oldest(struct am_streams *h)
{
    struct am_entry *e = h->ring[h->tail % RING_ENTRIES];
    h->bytes -= e->bytes;
    free(e);
    h->tail++;
    for (struct am_stream *s = h->first; s; s = s->next) {
        if (s->is_log || s->replaying || s->pos >= h->tail)
            continue;
        s->reset |= s->pending > 0;
        s->pos = h->tail;
    }
}

void am_ring_put(struct am_streams *h, struct am_entry *e)
{
    while (h->head > h->tail && (h->head - h->tail == RING_ENTRIES || h->bytes + e->bytes > RING_BYTES))
        drop_oldest(h);
    if (e->stored)
        am_holds_see(h, e);
    for (struct am_stream *s = h->first; s; s = s->next)
        offer(h, s, e);
    h->ring[h->head++ % RING_ENTRIES] = e;
    h->bytes += e->bytes;
    if (e->stored)
        h->seq = e->seq;
}

void am_ring_clear(struct am_streams *h)
{
    for (; h->tail < h->head; h->tail++)
        free(h->ring[h->tail % RING_ENTRIES]);
    h->bytes = 0;
}

/* ---- progress ---- */

struct running { /* what an event says of a job */
    bool ended, task;
    int64_t rev;
    char model[200];
};

static int take_row(void *ctx, const struct am_job_row *j)
{
    struct running *r = ctx;
    r->ended = am_state_terminal(j->state);
    r->task = am_streq(j->type, "task");
    r->rev = j->rev;
    json_auto_t *publish = am_json_stored(j->publish);
    const char *model = json_string_value(json_object_get(publish, "model"));
    snprintf(r->model, sizeof r->model, "%s", model ? model : "");
    return 0;
}

static struct am_entry *make_entry(struct am_streams *h, const char *uid, const struct am_progress *p)
{
    struct running r = {.ended = false};
    struct am_db *db = am_store_read(h->store);
    if (!db || am_job_get(db, uid, take_row, &r) < 0 || r.ended)
        return NULL;
    json_auto_t *data = am_progress_json(p);
    char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
    struct am_event_row row = {.seq = h->seq,
                               .at = p->updated_at,
                               .revision = r.rev,
                               .topic = r.task ? "tasks" : "jobs",
                               .type = r.task ? "task.progress" : "job.progress",
                               .job = uid,
                               .subject = uid,
                               .model = r.model[0] ? r.model : NULL,
                               .data = text};
    struct am_entry *e = text ? am_entry_new(&row, false) : NULL;
    free(text);
    return e;
}

static bool remember_slot(struct am_streams *h, size_t i)
{
    if (i < h->slots)
        return true;
    struct am_seen *more = reallocarray(h->slot, i + 1, sizeof *more);
    if (!more)
        return false;
    h->slot = more;
    while (h->slots <= i)
        h->slot[h->slots++] = (struct am_seen){.at = 0};
    return true;
}

bool am_progress_entry(struct am_streams *h, size_t i, struct am_entry **ret)
{
    char uid[64];
    struct am_progress p;
    if (!am_engine_shown(h->engine, i, uid, &p) || !remember_slot(h, i))
        return false;
    struct am_seen *seen = &h->slot[i];
    if (uid[0] && p.updated_at && (p.updated_at > seen->at || !am_streq(seen->uid, uid)))
        *ret = make_entry(h, uid, &p);
    snprintf(seen->uid, sizeof seen->uid, "%s", uid);
    seen->at = p.updated_at;
    return true;
}
