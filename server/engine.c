/*
 * engine.c - the job engine's outside: made, woken, asked, stopped. The way of one job is in engine_slot.c,
 * engine_run.c and engine_finish.c; engine_priv.h says which thread may touch what.
 */
#include "server/engine.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/text.h"
#include "server/engine_priv.h"
#include "server/log.h"
#include "storage/jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The wall clock may be set, so a time far off is looked at again before. */
enum { AGAIN_MS = 1000, LOOK_MS = 60000, SLOTS_MAX = 256 };

/* ---- claims ---- */

static struct am_slot *free_slot(struct am_engine *e, enum am_lane lane)
{
    for (size_t i = 0; i < e->slots; i++)
        if (e->slot[i].lane == lane && e->slot[i].phase == AM_SLOT_FREE)
            return &e->slot[i];
    return NULL;
}

static void maybe_stopped(struct am_engine *e);

void am_engine_pump(struct am_engine *e)
{
    if (e->stopping) {
        maybe_stopped(e);
        return;
    }
    if (am_engine_choked(e))
        return;
    /* The short lane asks first, so that a short job leaves the other slots to those who have no choice. */
    for (enum am_lane lane = 0; lane < AM_LANES; lane++) {
        struct am_slot *s = e->dirty[lane] && !e->claiming[lane] ? free_slot(e, lane) : NULL;
        if (s && !uv_is_active((uv_handle_t *)&e->retry))
            am_slot_claim(s);
    }
}

void am_engine_dirty(struct am_engine *e)
{
    for (enum am_lane lane = 0; lane < AM_LANES; lane++)
        e->dirty[lane] = true;
}

static void on_later(uv_timer_t *timer)
{
    struct am_engine *e = timer->data;
    e->dirty[timer - e->later] = true;
    am_engine_pump(e);
}

void am_engine_later(struct am_engine *e, enum am_lane lane, int64_t at)
{
    int64_t wait = at - am_now_ms();
    if (e->stopping)
        return;
    uv_update_time(e->loop);
    uv_timer_start(&e->later[lane], on_later, wait < 1 ? 1 : wait > LOOK_MS ? LOOK_MS : (uint64_t)wait, 0);
}

static void on_retry(uv_timer_t *timer)
{
    am_engine_pump(timer->data);
}

void am_engine_again(struct am_engine *e)
{
    if (!e->stopping)
        uv_timer_start(&e->retry, on_retry, AGAIN_MS, 0);
}

/* ---- what other threads see and ask ---- */

void am_slot_show(struct am_slot *s, const char *uid)
{
    pthread_mutex_lock(&s->e->lock);
    snprintf(s->shown, sizeof s->shown, "%s", uid);
    s->cancel_asked = false;
    s->progress = (struct am_progress){.eta_seconds = -1};
    atomic_fetch_add(&s->e->changes, 1);
    pthread_mutex_unlock(&s->e->lock);
    am_speed_reset(&s->speed);
}

bool am_slot_cancel_asked(struct am_slot *s)
{
    pthread_mutex_lock(&s->e->lock);
    bool asked = s->cancel_asked;
    pthread_mutex_unlock(&s->e->lock);
    return asked;
}

/* Under the lock. */
static struct am_slot *shown_slot(struct am_engine *e, const char *uid)
{
    for (size_t i = 0; i < e->slots; i++)
        if (e->slot[i].shown[0] && am_streq(e->slot[i].shown, uid))
            return &e->slot[i];
    return NULL;
}

void am_engine_wake(struct am_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->woken = true;
    if (!e->closed)
        uv_async_send(&e->async);
    pthread_mutex_unlock(&e->lock);
}

void am_engine_cancel(struct am_engine *e, const char *uid)
{
    pthread_mutex_lock(&e->lock);
    struct am_slot *s = shown_slot(e, uid);
    if (s)
        s->cancel_asked = true;
    if (s && !e->closed)
        uv_async_send(&e->async);
    pthread_mutex_unlock(&e->lock);
}

bool am_engine_progress(struct am_engine *e, const char *uid, struct am_progress *ret)
{
    pthread_mutex_lock(&e->lock);
    const struct am_slot *s = shown_slot(e, uid);
    if (s)
        *ret = s->progress;
    pthread_mutex_unlock(&e->lock);
    return s != NULL;
}

uint64_t am_engine_changes(const struct am_engine *e)
{
    return atomic_load(&e->changes);
}

bool am_engine_shown(struct am_engine *e, size_t i, char uid[64], struct am_progress *ret)
{
    if (i >= e->slots)
        return false;
    pthread_mutex_lock(&e->lock);
    snprintf(uid, 64, "%s", e->slot[i].shown);
    *ret = e->slot[i].progress;
    pthread_mutex_unlock(&e->lock);
    return true;
}

bool am_engine_confinement(struct am_engine *e, unsigned *ret_holds)
{
    pthread_mutex_lock(&e->lock);
    bool known = e->hello;
    *ret_holds = e->holds;
    pthread_mutex_unlock(&e->lock);
    return known;
}

struct am_job_metrics *am_engine_metrics(struct am_engine *e)
{
    return &e->metrics;
}

unsigned am_engine_slots(const struct am_engine *e)
{
    return (unsigned)e->slots;
}

unsigned am_engine_running(struct am_engine *e)
{
    unsigned n = 0;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < e->slots; i++)
        n += e->slot[i].shown[0] != 0;
    pthread_mutex_unlock(&e->lock);
    return n;
}

static void on_async(uv_async_t *async)
{
    struct am_engine *e = async->data;
    pthread_mutex_lock(&e->lock);
    bool woken = e->woken;
    e->woken = false;
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < e->slots; i++) {
        struct am_slot *s = &e->slot[i];
        if (s->phase != AM_SLOT_RUN || s->cancel || !am_slot_cancel_asked(s))
            continue; /* in other phases the ask is seen when the phase ends */
        s->cancel = true;
        am_failpoint("engine.cancelling");
        am_log(AM_LOG_INFO, "worker asked to stop job=%s attempt=%d", s->job.uid, s->job.attempt);
        am_slot_stop(s, (int64_t)e->cfg->cancel_grace_ms);
    }
    if (woken)
        am_engine_dirty(e);
    am_engine_pump(e);
}

/* ---- life ---- */

/* Of two job slots and more one is kept for short jobs, so that a short one never waits behind long ones only. */
static enum am_lane lane_of(size_t slot, uint64_t jobs)
{
    if (slot >= jobs)
        return AM_LANE_TASK;
    return slot == 0 && jobs > 1 ? AM_LANE_SHORT : AM_LANE_ANY;
}

static int make_slots(struct am_engine *e)
{
    uint64_t jobs = e->cfg->workers_count, tasks = e->cfg->workers_helpers;
    jobs = jobs < 1 ? 1 : jobs > SLOTS_MAX ? SLOTS_MAX : jobs;
    tasks = tasks < 1 ? 1 : tasks > SLOTS_MAX ? SLOTS_MAX : tasks;
    e->slot = calloc(jobs + tasks, sizeof *e->slot);
    if (!e->slot)
        return -AM_E_OUT_OF_MEMORY;
    e->slots = jobs + tasks;
    for (size_t i = 0; i < e->slots; i++) {
        struct am_slot *s = &e->slot[i];
        *s = (struct am_slot){.e = e, .lane = lane_of(i, jobs), .log = -1, .launch = {.staging = -1}};
        s->timer.data = s->work.data = s;
    }
    return 0;
}

struct am_engine *am_engine_new(uv_loop_t *loop, struct am_store *store, const struct am_config *cfg,
                                const char *registry_sha256)
{
    struct am_engine *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct am_engine){.loop = loop, .store = store, .cfg = cfg, .executor = &am_executor_local};
    snprintf(e->registry, sizeof e->registry, "%s", registry_sha256);
    pthread_mutex_init(&e->lock, NULL);
    if (make_slots(e) < 0 || uv_async_init(loop, &e->async, on_async) < 0) {
        am_engine_free(e);
        return NULL;
    }
    e->async.data = e;
    for (size_t i = 0; i < e->slots; i++)
        uv_timer_init(loop, &e->slot[i].timer);
    uv_timer_init(loop, &e->retry);
    e->retry.data = e;
    for (enum am_lane lane = 0; lane < AM_LANES; lane++) {
        uv_timer_init(loop, &e->later[lane]);
        e->later[lane].data = e;
    }
    e->handles = (unsigned)e->slots + 2 + AM_LANES;
    signal(SIGPIPE, SIG_IGN); /* a worker that dies before it has read its spec must not take the daemon along */
    am_engine_wake(e);        /* what a former life left queued */
    return e;
}

void am_engine_planner(struct am_engine *e, am_planner *plan, void *arg)
{
    e->plan = plan;
    e->plan_arg = arg;
}

static void handle_closed(struct am_engine *e)
{
    if (--e->handles == 0)
        e->stopped(e->stopped_arg);
}

static void on_own_closed(uv_handle_t *handle) /* async, retry and later */
{
    handle_closed(handle->data);
}

static void on_slot_closed(uv_handle_t *handle)
{
    handle_closed(((struct am_slot *)handle->data)->e);
}

/* When every slot is free, nothing of the engine is left on the loop or the pool. */
static void maybe_stopped(struct am_engine *e)
{
    for (size_t i = 0; i < e->slots; i++)
        if (e->slot[i].phase != AM_SLOT_FREE)
            return;
    if (uv_is_closing((uv_handle_t *)&e->retry))
        return;
    pthread_mutex_lock(&e->lock);
    e->closed = true; /* from here on nobody may send */
    pthread_mutex_unlock(&e->lock);
    uv_close((uv_handle_t *)&e->async, on_own_closed);
    uv_close((uv_handle_t *)&e->retry, on_own_closed);
    for (enum am_lane lane = 0; lane < AM_LANES; lane++)
        uv_close((uv_handle_t *)&e->later[lane], on_own_closed);
    for (size_t i = 0; i < e->slots; i++)
        uv_close((uv_handle_t *)&e->slot[i].timer, on_slot_closed);
}

void am_engine_stop(struct am_engine *e, int64_t grace_ms, void (*stopped)(void *arg), void *arg)
{
    e->stopping = true;
    e->stopped = stopped;
    e->stopped_arg = arg;
    uv_timer_stop(&e->retry);
    for (enum am_lane lane = 0; lane < AM_LANES; lane++)
        uv_timer_stop(&e->later[lane]);
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < e->slots; i++)
        e->slot[i].quit_asked = true;
    pthread_mutex_unlock(&e->lock);
    for (size_t i = 0; i < e->slots; i++) {
        struct am_slot *s = &e->slot[i];
        if (s->phase == AM_SLOT_RUN) {
            s->stop = true;
            am_slot_stop(s, grace_ms);
        } else if (s->phase == AM_SLOT_END && uv_is_active((uv_handle_t *)&s->timer)) {
            uv_timer_stop(&s->timer); /* no more waiting for a store that refuses: one last try */
            am_slot_end(s);
        }
    }
    maybe_stopped(e);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

void am_engine_free(struct am_engine *e)
{
    if (!e)
        return;
    if (e->handles) { /* never stopped, as when the start of the daemon failed: its handles must leave the loop first */
        am_engine_stop(e, 0, on_nothing, NULL);
        while (e->handles)
            uv_run(e->loop, UV_RUN_ONCE);
    }
    am_engine_forget_all(e);
    pthread_mutex_destroy(&e->lock);
    free(e->slot);
    free(e);
}
