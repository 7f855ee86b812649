/*
 * hold.c - a request that waits for something: HTTP threads serve many connections each, so none may sleep in a
 * handler. The connection sleeps in the hub (streams.h) until an event, its time, or the end of the service wakes it.
 */
#include "server/streams_priv.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "storage/jobs.h"
#include "storage/models.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PREFER_MAX = 60 };

/* ---- Prefer (RFC 7240) ---- */

/* The value of wait=n among preferences separated by commas; -1: there is none that can be read. */
static int64_t find_wait(const char *p)
{
    for (; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        p += strspn(p, " \t");
        if (strncasecmp(p, "wait", 4) != 0)
            continue;
        const char *v = p + 4 + strspn(p + 4, " \t");
        if (*v++ != '=')
            continue;
        v += strspn(v, " \t\"");
        if (*v >= '0' && *v <= '9') {
            long long n = strtoll(v, NULL, 10); /* saturates */
            return n > PREFER_MAX ? PREFER_MAX : n;
        }
    }
    return -1;
}

int64_t am_req_prefer_ms(struct am_req *r, int64_t def_ms)
{
    const char *prefer = am_req_header(r, "Prefer");
    int64_t n = find_wait(prefer);
    if (r->head || n == 0 || (n < 0 && prefer && strcasestr(prefer, "respond-async")))
        return 0;
    if (n < 0)
        return def_ms;
    r->preferred = (int)n;
    return n * 1000;
}

/* ---- in the hub; all under its lock ---- */

static void link_hold(struct am_streams *h, struct am_req *r)
{
    struct am_hold *w = &r->hold;
    w->linked = true;
    w->next = h->holds;
    if (w->next)
        w->next->prev = w;
    h->holds = w;
    h->held++;
}

static void unlink_hold(struct am_streams *h, struct am_hold *w)
{
    if (!w->linked)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else
        h->holds = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->prev = w->next = NULL;
    w->linked = false;
    h->held--;
}

static void release(struct am_streams *h, struct am_hold *w)
{
    if (!w->asleep)
        return; /* it is about to look by itself */
    w->asleep = false;
    unlink_hold(h, w);
    am_streams_due(h, w->conn);
}

/* The refs of a model end with it. */
static bool ends_with_model(const struct am_hold *w, const struct am_entry *e)
{
    size_t n = strlen(e->subject);
    return am_streq(e->type, "model.deleted") && am_starts(w->subject, e->subject) && w->subject[n] == '@';
}

void am_holds_see(struct am_streams *h, const struct am_entry *e)
{
    for (struct am_hold *w = h->holds, *next; w; w = next) {
        next = w->next;
        if (w->for_end ? e->ends_job && am_streq(w->subject, e->job)
                       : am_streq(w->subject, e->subject) || ends_with_model(w, e)) {
            w->over = true;
            release(h, w);
        }
    }
}

int64_t am_holds_expire(struct am_streams *h, int64_t now)
{
    int64_t first = INT64_MAX;
    for (struct am_hold *w = h->holds, *next; w; w = next) {
        next = w->next;
        if (h->draining || now >= w->until)
            release(h, w);
        else if (w->until < first)
            first = w->until;
    }
    return first;
}

/* ---- of a request ---- */

/* From here on the hub tells it what happens, though it does not sleep yet. false: it may not wait. */
static bool enter(struct am_streams *h, struct am_req *r)
{
    pthread_mutex_lock(&h->lock);
    bool good = !h->draining && h->held < HOLDS_MAX && am_streams_begin(h) == 0;
    if (good)
        link_hold(h, r);
    pthread_mutex_unlock(&h->lock);
    return good;
}

/* true: asleep; false: it is over, or the service stops. */
static bool fall_asleep(struct am_streams *h, struct am_req *r, bool over)
{
    struct am_hold *w = &r->hold;
    pthread_mutex_lock(&h->lock);
    w->over |= over;
    bool sleeps = !w->over && !h->draining;
    w->asleep = sleeps;
    if (sleeps) {
        am_streams_sleep(h, r->conn);
        pthread_cond_signal(&h->news); /* it may have the shortest time of all */
    } else
        unlink_hold(h, w);
    pthread_mutex_unlock(&h->lock);
    return sleeps;
}

static bool is_over(struct am_req *r, const struct am_wait *w)
{
    struct am_db *db = am_store_read(r->srv->store);
    return db && w->over(db, w);
}

int am_req_wait(struct am_req *r, const struct am_wait *w, am_after_wait *then)
{
    struct am_streams *h = r->srv->streams;
    r->hold = (struct am_hold){
        .then = then, .conn = r->conn, .for_end = w->for_end, .until = am_mono_ms() + (w->ms > 0 ? w->ms : 0)};
    snprintf(r->hold.subject, sizeof r->hold.subject, "%s", w->subject);
    bool waits = w->ms > 0 && enter(h, r);
    bool over = is_over(r, w);
    if (waits && fall_asleep(h, r, over))
        return MHD_YES;
    if (!waits && !over)
        r->preferred = 0; /* it would have had to wait and could not */
    r->hold.over |= over;
    return am_hold_answer(r);
}

static bool has_ended(struct am_db *db, const struct am_wait *w)
{
    enum am_job_state state;
    int rc = am_job_state_get(db, w->subject, &state);
    return rc == -AM_E_NOT_FOUND || (rc == 0 && am_state_terminal(state));
}

int am_req_wait_job(struct am_req *r, const char *uid, int64_t ms, am_after_wait *then)
{
    return am_req_wait(r, &(struct am_wait){.subject = uid, .ms = ms, .for_end = true, .over = has_ended}, then);
}

/* "ns/name@ref" */
static bool ref_has_moved(struct am_db *db, const struct am_wait *w)
{
    char model[520];
    int64_t revision = 0;
    snprintf(model, sizeof model, "%s", w->subject);
    char *at = strchr(model, '@');
    if (!at)
        return true;
    *at = 0;
    int rc = am_ref_revision(db, model, at + 1, &revision);
    return rc == -AM_E_NOT_FOUND || (rc == 0 && revision != w->revision);
}

int am_req_wait_ref(struct am_req *r, const char *model, const char *ref, int64_t revision, int64_t ms,
                    am_after_wait *then)
{
    char subject[520];
    snprintf(subject, sizeof subject, "%.200s@%.300s", model, ref);
    return am_req_wait(r, &(struct am_wait){.subject = subject, .ms = ms, .revision = revision, .over = ref_has_moved},
                       then);
}

int am_hold_answer(struct am_req *r)
{
    am_after_wait *then = r->hold.then;
    r->hold.then = NULL;
    r->waited = true;
    return then(r, r->hold.subject, r->hold.over);
}

void am_hold_done(struct am_req *r)
{
    struct am_streams *h = r->srv->streams;
    if (!r->hold.linked)
        return;
    pthread_mutex_lock(&h->lock);
    unlink_hold(h, &r->hold);
    pthread_mutex_unlock(&h->lock);
}
