/*
 * engine_task.c - a slot whose job is the store's own work (tasks.h): it has no process, a pool thread runs it. Cancel
 * and the end of the daemon are seen by that thread between its steps.
 */
#include "server/engine_priv.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/log.h"
#include "server/tasks.h"

#include <stdio.h>

bool am_slot_runs_here(const struct am_slot *s)
{
    return am_streq(s->job.type, "task") && am_task_known(s->job.method);
}

static bool asked_to_stop(void *arg)
{
    struct am_slot *s = arg;
    pthread_mutex_lock(&s->e->lock);
    bool stop = s->cancel_asked || s->quit_asked;
    pthread_mutex_unlock(&s->e->lock);
    return stop;
}

static void on_progress(void *arg, const struct am_work_step *step)
{
    struct am_slot *s = arg;
    struct am_record_progress r = {
        .done = step->done, .total = step->total, .bytes_done = step->bytes_done, .bytes_total = step->bytes_total};
    snprintf(r.phase, sizeof r.phase, "%s", step->phase);
    snprintf(r.unit, sizeof r.unit, "%s", step->unit);
    pthread_mutex_lock(&s->e->lock);
    am_progress_take(&s->progress, &s->speed, &r, am_mono_ms(), am_now_ms());
    atomic_fetch_add(&s->e->changes, 1);
    pthread_mutex_unlock(&s->e->lock);
}

static void task_work(uv_work_t *work)
{
    struct am_slot *s = work->data;
    const struct am_work how = {.stop = asked_to_stop, .progress = on_progress, .arg = s};
    char why[1024];
    int rc = am_task_run(s->e->store, s->e->cfg, &s->job, &how, &s->task_result, why, sizeof why);
    s->seconds = (double)(am_mono_ms() - s->started) / 1000.0;
    if (rc == 0)
        s->out.kind = AM_END_DONE;
    else if (rc == -AM_E_CANCELLED)
        s->out.kind = am_slot_cancel_asked(s) ? AM_END_CANCELLED : AM_END_LEFT;
    else
        am_outcome_fail(&s->out, -rc, "%s", why);
}

static void task_after(uv_work_t *work, int status)
{
    (void)status;
    am_slot_end(work->data);
}

void am_slot_task(struct am_slot *s)
{
    s->phase = AM_SLOT_TASK;
    s->started = am_mono_ms();
    am_log(AM_LOG_INFO, "task started job=%s kind=%s", s->job.uid, s->job.method);
    if (uv_queue_work(s->e->loop, &s->work, task_work, task_after) < 0) {
        am_outcome_fail(&s->out, AM_E_INTERNAL, "the daemon has no thread to run the task");
        am_slot_end(s);
    }
}

int am_slot_task_record(struct am_slot *s)
{
    return am_task_finish(s->e->store, &s->job, s->task_result);
}
