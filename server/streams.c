/*
 * streams.c - the hub's thread and its life (streams.h). The ring is in stream_ring.c, what a connection reads in
 * stream_read.c, requests that wait in hold.c.
 */
#include "server/streams_priv.h"

#include "core/base/clock.h"
#include "server/log.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 128 };

/* ---- who comes and goes ---- */

static void on_commit(void *arg)
{
    struct am_streams *h = arg;
    if (!atomic_load(&h->watching))
        return;
    pthread_mutex_lock(&h->lock);
    h->dirty = true;
    pthread_cond_signal(&h->news);
    pthread_mutex_unlock(&h->lock);
}

int am_streams_begin(struct am_streams *h)
{
    int64_t pruned;
    if (!h->idle)
        return 0;
    /* first the watch, then the look: a commit in between is seen by one of them */
    atomic_store(&h->watching, true);
    struct am_db *db = am_store_read(h->store);
    int rc = db ? am_event_bounds(db, &h->seq, &pruned) : -AM_E_INTERNAL;
    atomic_store(&h->watching, rc == 0);
    h->idle = rc < 0;
    pthread_cond_signal(&h->news);
    return rc;
}

void am_streams_sleep(struct am_streams *h, struct MHD_Connection *conn)
{
    atomic_fetch_add(&h->suspended, 1);
    MHD_suspend_connection(conn);
}

void am_streams_due(struct am_streams *h, struct MHD_Connection *conn)
{
    h->due[h->dues++] = conn;
}

int am_streams_join(struct am_streams *h, struct am_stream *s)
{
    pthread_mutex_lock(&h->lock);
    int rc = h->draining ? -AM_E_SHUTTING_DOWN : h->streams >= h->max ? -AM_E_TOO_MANY_STREAMS : am_streams_begin(h);
    if (rc == 0) {
        s->hub = h;
        s->next = h->first;
        if (s->next)
            s->next->prev = s;
        h->first = s;
        h->streams++;
        s->pos = h->head;
        if (!s->replaying)
            s->seen = h->seq;
        pthread_cond_signal(&h->news);
    }
    pthread_mutex_unlock(&h->lock);
    return rc;
}

void am_streams_leave(struct am_streams *h, struct am_stream *s)
{
    pthread_mutex_lock(&h->lock);
    if (s->prev)
        s->prev->next = s->next;
    else
        h->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h->streams--;
    pthread_mutex_unlock(&h->lock);
}

/* ---- the thread ---- */

static void resume_due(struct am_streams *h)
{
    for (size_t i = 0; i < h->dues; i++) {
        MHD_resume_connection(h->due[i]);
        atomic_fetch_sub(&h->suspended, 1);
    }
    h->dues = 0;
}

struct batch {
    struct am_entry *v[BATCH];
    size_t n;
};

static int keep_event(void *ctx, const struct am_event_row *e)
{
    struct batch *b = ctx;
    struct am_entry *entry = am_entry_new(e, true);
    if (!entry)
        return -AM_E_OUT_OF_MEMORY;
    b->v[b->n++] = entry;
    return 0;
}

/* What was committed since the last look. */
static void take_events(struct am_streams *h)
{
    struct am_db *db = am_store_read(h->store);
    for (size_t n = BATCH; n == BATCH;) {
        struct batch b = {.n = 0};
        const struct am_event_query q = {.after = h->seq, .limit = BATCH};
        int rc = db ? am_event_list(db, &q, keep_event, &b) : -AM_E_INTERNAL;
        if (rc < 0) {
            am_log(AM_LOG_WARN, "events cannot be read, streams wait: %s", am_err_title(rc));
            usleep(200000); /* and look again */
        }
        n = rc < 0 ? 0 : b.n;
        pthread_mutex_lock(&h->lock);
        h->dirty |= rc < 0;
        for (size_t i = 0; i < b.n; i++)
            am_ring_put(h, b.v[i]);
        pthread_mutex_unlock(&h->lock);
        resume_due(h);
    }
}

static void take_progress(struct am_streams *h)
{
    struct am_entry *e = NULL;
    for (size_t i = 0; am_progress_entry(h, i, &e); i++) {
        if (!e)
            continue;
        pthread_mutex_lock(&h->lock);
        am_ring_put(h, e);
        pthread_mutex_unlock(&h->lock);
        e = NULL;
    }
    resume_due(h);
}

/* Under the lock: those whose time has come; returns when the next look is due. */
static int64_t look_at_times(struct am_streams *h, int64_t now)
{
    int64_t next = now + 60000;
    bool poll_logs = now >= h->log_at, logs = false, events = false;
    for (struct am_stream *s = h->first; s; s = s->next) {
        logs |= s->is_log;
        events |= !s->is_log;
        bool due = h->draining || (s->is_log ? poll_logs : now - s->given_at >= BEAT_MS);
        if (s->asleep && due) {
            s->asleep = false;
            am_streams_due(h, s->conn);
        }
    }
    if (poll_logs)
        h->log_at = now + LOG_MS;
    if (logs && h->log_at < next)
        next = h->log_at;
    if (events && h->progress_at < next)
        next = h->progress_at;
    int64_t wait = am_holds_expire(h, now);
    return wait < next ? wait : next;
}

static void wait_until(struct am_streams *h, int64_t until)
{
    int64_t ms = until - am_mono_ms();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (ms > 0 ? ms % 1000 : 0) * 1000000;
    t.tv_sec += (time_t)((ms > 0 ? ms / 1000 : 0) + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    if (ms > 0)
        pthread_cond_timedwait(&h->news, &h->lock, &t);
}

static bool goes_idle(struct am_streams *h)
{
    if (h->streams || h->held)
        return false;
    if (!h->idle)
        am_ring_clear(h);
    h->idle = true;
    atomic_store(&h->watching, false);
    return true;
}

static void *run(void *arg)
{
    struct am_streams *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (goes_idle(h)) {
            pthread_cond_wait(&h->news, &h->lock);
            continue;
        }
        int64_t now = am_mono_ms(), until = look_at_times(h, now);
        bool news = h->dirty, progress = h->first && now >= h->progress_at;
        h->dirty = false;
        if (progress)
            h->progress_at = now + PROGRESS_MS;
        if (!h->dues && !news && !progress) {
            wait_until(h, until);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        resume_due(h);
        if (news)
            take_events(h);
        if (progress)
            take_progress(h);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- life ---- */

struct am_streams *am_streams_new(struct am_store *store, struct am_engine *engine, size_t max)
{
    struct am_streams *h = calloc(1, sizeof *h);
    struct MHD_Connection **due = calloc(max + HOLDS_MAX, sizeof(struct MHD_Connection *));
    if (!h || !due) {
        free(h);
        free(due);
        return NULL;
    }
    *h = (struct am_streams){.store = store, .engine = engine, .max = max, .due = due, .idle = true};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->news, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&h->lock, NULL);
    if (pthread_create(&h->thread, NULL, run, h) != 0) {
        h->stop = true;
        am_streams_free(h);
        return NULL;
    }
    am_store_on_commit(store, on_commit, h);
    return h;
}

void am_streams_drain(struct am_streams *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->draining = true;
    pthread_cond_signal(&h->news);
    pthread_mutex_unlock(&h->lock);
}

unsigned am_streams_open(struct am_streams *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = (unsigned)h->streams;
    pthread_mutex_unlock(&h->lock);
    return n;
}

unsigned am_streams_suspended(struct am_streams *h)
{
    return atomic_load(&h->suspended);
}

void am_streams_stop(struct am_streams *h)
{
    if (!h || h->stop)
        return;
    am_store_on_commit(h->store, NULL, NULL);
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->news);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
}

void am_streams_free(struct am_streams *h)
{
    if (!h)
        return;
    am_ring_clear(h);
    pthread_cond_destroy(&h->news);
    pthread_mutex_destroy(&h->lock);
    free(h->slot);
    free(h->due);
    free(h);
}
