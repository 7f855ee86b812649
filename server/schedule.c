/*
 * schedule.c - see schedule.h. It looks on a pool thread, since queueing waits for the writer.
 */
#include "server/schedule.h"

#include "core/base/clock.h"
#include "server/log.h"
#include "server/tasks.h"
#include "storage/backup.h"
#include "storage/events.h"
#include "storage/jobs.h"
#include "storage/models.h"
#include "storage/verify.h"

#include <stdio.h>

#define HOUR ((int64_t)3600 * 1000)

/* Tasks of one kind are an hour apart, also those that fail; a share is never more than that of a day. */
enum { FIRST_MS = 3000, LOOK_MS = 600000 };

/* ---- scrub ---- */

int am_schedule_scrub(struct am_db *db, const struct am_config *cfg, int64_t now, json_t **ret)
{
    struct am_task_times t;
    int64_t half = (int64_t)cfg->scrub_days * 12 * HOUR, logical, physical;
    if (half == 0)
        return -AM_E_INVALID_PARAMS;
    AM_TRY(am_task_times(db, "scrub", &t));
    AM_TRY(am_store_bytes(db, &logical, &physical));
    int64_t since = now - t.made;
    since = since < HOUR || !t.made ? HOUR : since > 24 * HOUR ? 24 * HOUR : since;
    double budget = (double)physical * (double)since / (double)half;
    int due = am_verify_due(db, now - half);
    AM_TRY(due);
    json_t *o = json_pack("{s:I, s:I}", "before", (json_int_t)(now - half), "budget_bytes", (json_int_t)budget + 1);
    if (!o)
        return -AM_E_OUT_OF_MEMORY;
    *ret = o;
    return due;
}

/* ---- backups ---- */

/* Over the newest rows, so that nothing is due in a store that nothing was done with. */
static int plan_backup(struct am_schedule *s, struct am_db *db, int64_t now, json_t **ret)
{
    struct am_task_times t;
    char target[4200], why[600];
    AM_TRY(am_task_times(db, "backup", &t));
    int64_t last = t.succeeded ? t.succeeded : t.first;
    if (!last || now - last < (int64_t)s->cfg->backup_hours * HOUR)
        return 0;
    int rc = am_task_backup_name(s->store, s->cfg, AM_BACKUP_PREFIX, now, target, sizeof target);
    if (rc < 0)
        snprintf(why, sizeof why, "the folder of backups cannot be made");
    else
        rc = am_backup_target(am_store_path(s->store), target, why, sizeof why);
    if (rc < 0) {
        am_log(AM_LOG_ERROR, "no backup: %s", why);
        return rc;
    }
    *ret = json_pack("{s:s}", "target", target);
    return *ret ? 1 : -AM_E_OUT_OF_MEMORY;
}

/* ---- the look ---- */

/* Queues a task of that kind, unless one is at work or was made within the hour. plan: 1 and a recipe when it is time.
 */
static void consider(struct am_schedule *s, const char *kind,
                     int (*plan)(struct am_schedule *s, struct am_db *db, int64_t now, json_t **ret))
{
    struct am_db *db = am_store_read(s->store);
    struct am_task_times t;
    json_t *more = NULL;
    char uid[64];
    int64_t now = am_now_ms();
    if (!db || am_task_times(db, kind, &t) < 0 || t.open || (t.made && now - t.made < HOUR && now >= t.made))
        return;
    if (plan(s, db, now, &more) <= 0) {
        json_decref(more);
        return;
    }
    json_object_set_new(more, "scheduled", json_true());
    int rc = am_task_queue(s->store, s->cfg, &(struct am_task_new){.kind = kind, .more = more}, uid);
    if (rc < 0) {
        am_log(AM_LOG_WARN, "the %s that is due cannot be queued: %s", kind, am_err_title(rc));
        return;
    }
    am_log(AM_LOG_INFO, "it is time for a %s job=%s", kind, uid);
    s->queued = true;
}

/* Over the newest rows like a backup: in a store that nothing was done with nothing expires. */
static int plan_daily(struct am_db *db, const char *kind, int64_t now, json_t **ret)
{
    struct am_task_times t;
    AM_TRY(am_task_times(db, kind, &t));
    int64_t last = t.succeeded ? t.succeeded : t.first;
    if (!last || now - last < 24 * HOUR)
        return 0;
    *ret = json_object();
    return *ret ? 1 : -AM_E_OUT_OF_MEMORY;
}

static int plan_retention(struct am_schedule *s, struct am_db *db, int64_t now, json_t **ret)
{
    (void)s;
    return plan_daily(db, "retention", now, ret);
}

static int plan_gc(struct am_schedule *s, struct am_db *db, int64_t now, json_t **ret)
{
    (void)s;
    return plan_daily(db, "gc", now, ret);
}

static int plan_scrub(struct am_schedule *s, struct am_db *db, int64_t now, json_t **ret)
{
    return am_schedule_scrub(db, s->cfg, now, ret);
}

/* ---- events ---- */

/* Old events go a few at a time, so that no commit waits for them. */
enum { PRUNE_STEP = 500, PRUNE_STEPS = 100 };

static int prune_some(struct am_db *db, void *arg)
{
    return am_event_prune(db, *(int64_t *)arg, PRUNE_STEP);
}

static void prune_events(struct am_schedule *s)
{
    int64_t before = am_now_ms() - (int64_t)s->cfg->events_keep_days * 24 * HOUR, total = 0;
    int n = PRUNE_STEP;
    for (int step = 0; step < PRUNE_STEPS && n == PRUNE_STEP; step++) {
        n = am_store_write(s->store, prune_some, &before);
        total += n > 0 ? n : 0;
    }
    if (n < 0)
        am_log(AM_LOG_WARN, "old events cannot be removed: %s", am_err_title(n));
    if (total > 0)
        am_log(AM_LOG_INFO, "old events removed events=%lld", (long long)total);
}

static void look(uv_work_t *work)
{
    struct am_schedule *s = work->data;
    prune_events(s);
    if (s->cfg->scrub_days)
        consider(s, "scrub", plan_scrub);
    if (s->cfg->backup_hours)
        consider(s, "backup", plan_backup);
    consider(s, "retention", plan_retention);
    consider(s, "gc", plan_gc);
}

static void looked(uv_work_t *work, int status)
{
    struct am_schedule *s = work->data;
    (void)status;
    s->busy = false;
    if (s->queued)
        am_engine_wake(s->engine);
    s->queued = false;
}

static void on_time(uv_timer_t *timer)
{
    struct am_schedule *s = timer->data;
    if (!s->busy && uv_queue_work(timer->loop, &s->work, look, looked) == 0)
        s->busy = true;
}

void am_schedule_start(struct am_schedule *s, uv_loop_t *loop, struct am_store *store, const struct am_config *cfg,
                       struct am_engine *engine)
{
    *s = (struct am_schedule){.store = store, .cfg = cfg, .engine = engine};
    uv_timer_init(loop, &s->timer);
    s->timer.data = s->work.data = s;
    uv_timer_start(&s->timer, on_time, FIRST_MS, LOOK_MS);
}

void am_schedule_stop(struct am_schedule *s)
{
    if (!s->stopped)
        uv_close((uv_handle_t *)&s->timer, NULL);
    s->stopped = true;
}
