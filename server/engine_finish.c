/*
 * engine_finish.c - after the worker: publication, or the row's end; staging goes first, since a cancelled or failed
 * job has none. On the pool. While the store refuses (a full disk), the slot stays taken and tries again: a job is
 * never lost silently.
 */
#include "server/engine_priv.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/text.h"
#include "server/log.h"
#include "server/publisher.h"
#include "server/publisher_index.h"
#include "server/publisher_pack.h"
#include "server/publisher_report.h"
#include "storage/blobs.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 2000 };

static void publish(struct am_slot *s)
{
    char why[1024];
    struct am_publication p = {.store = s->e->store,
                               .job = &s->job,
                               .staging = s->launch.staging,
                               .unreferenced_days = (int64_t)s->e->cfg->unreferenced_days,
                               .verify = am_streq(s->e->cfg->publish_verify, "full"),
                               .done = &s->records.result,
                               .kernels = s->records.kernels,
                               .seconds = s->seconds,
                               .read_bytes = s->launch.read_bytes,
                               .written = &s->e->metrics.write_bytes,
                               .faults = &s->out.faults};
    atomic_fetch_add(&s->e->metrics.read_bytes, p.read_bytes);
    int rc = am_claim_packs(&s->job)      ? am_publish_pack(&p, why, sizeof why)
             : am_claim_indexes(&s->job)  ? am_publish_index(&p, why, sizeof why)
             : am_claim_compares(&s->job) ? am_publish_report(&p, why, sizeof why)
                                          : am_publish(&p, why, sizeof why);
    if (rc < 0) {
        snprintf(s->out.phase, sizeof s->out.phase, "publish");
        am_outcome_fail(&s->out, -rc, "%s", why);
    }
}

static void end_work(uv_work_t *work)
{
    struct am_slot *s = work->data;
    s->rc = 0;
    if (s->out.kind == AM_END_PUBLISH)
        publish(s);
    if (s->out.kind == AM_END_DONE)
        s->rc = am_slot_task_record(s);
    am_failpoint(s->out.kind == AM_END_CANCELLED ? "engine.cancelled" : "engine.ended");
    if (!s->out.lost)
        am_staging_drop(s->e->store, s->job.staging); /* what cannot be removed now is removed at the next start */
    if (s->out.kind == AM_END_FAILED || s->out.kind == AM_END_CANCELLED)
        s->rc = am_outcome_write(&s->out, s->e->store, &s->job, (int64_t)s->e->cfg->retry_pause_ms);
    bool uploaded = am_claim_packs(&s->job) || am_claim_indexes(&s->job);
    if (uploaded && s->rc == 0 && (s->out.kind == AM_END_FAILED || s->out.kind == AM_END_CANCELLED))
        am_pack_forget(s->e->store, &s->job);
}

static void count_end(struct am_slot *s)
{
    struct am_job_metrics *m = &s->e->metrics;
    if (s->out.kind == AM_END_PUBLISH || s->out.kind == AM_END_REUSED || s->out.kind == AM_END_DONE)
        am_metrics_ended(m, s->job.type, AM_ENDED_SUCCEEDED, s->seconds);
    else if (s->out.kind == AM_END_CANCELLED)
        am_metrics_ended(m, s->job.type, AM_ENDED_CANCELLED, s->seconds);
    else if (s->out.kind == AM_END_FAILED)
        am_metrics_ended(m, s->job.type, AM_ENDED_FAILED, s->seconds);
}

static void log_end(const struct am_slot *s)
{
    switch (s->out.kind) {
    case AM_END_PUBLISH:
        am_log(AM_LOG_INFO, "job published job=%s attempt=%d request=%s", s->job.uid, s->job.attempt, s->job.request);
        break;
    case AM_END_REUSED:
        am_log(AM_LOG_INFO, "job was done before job=%s request=%s", s->job.uid, s->job.request);
        break;
    case AM_END_DONE:
        am_log(AM_LOG_INFO, "task done job=%s request=%s kind=%s seconds=%.3f", s->job.uid, s->job.request,
               s->job.method, s->seconds);
        break;
    case AM_END_CANCELLED:
        am_log(AM_LOG_INFO, "job cancelled job=%s attempt=%d request=%s", s->job.uid, s->job.attempt, s->job.request);
        break;
    case AM_END_REQUEUED:
        am_log(AM_LOG_WARN, "job goes back to the queue job=%s attempt=%d request=%s code=%s: %s", s->job.uid,
               s->job.attempt, s->job.request, am_err_slug(s->out.code), s->out.detail ? s->out.detail : "");
        break;
    case AM_END_LEFT:
        am_log(AM_LOG_INFO, "job goes back to the queue at the next start job=%s attempt=%d", s->job.uid,
               s->job.attempt);
        break;
    default:
        am_log(AM_LOG_WARN, "job failed job=%s attempt=%d request=%s code=%s: %s", s->job.uid, s->job.attempt,
               s->job.request, am_err_slug(s->out.code), s->out.detail ? s->out.detail : "");
        break;
    }
}

static void on_again(uv_timer_t *timer);

static void end_after(uv_work_t *work, int status)
{
    struct am_slot *s = work->data;
    (void)status;
    if (s->rc < 0 && !s->e->stopping) {
        am_log(AM_LOG_ERROR, "cannot record the end of job=%s, trying again: %s", s->job.uid, am_err_title(s->rc));
        uv_timer_start(&s->timer, on_again, AGAIN_MS, 0);
        return;
    }
    log_end(s);
    count_end(s);
    if (s->out.kind == AM_END_REQUEUED || s->out.kind == AM_END_PUBLISH ||
        s->out.kind == AM_END_REUSED) /* others may have waited for its result */
        am_engine_dirty(s->e);
    am_slot_free(s);
}

static void on_again(uv_timer_t *timer)
{
    am_slot_end(timer->data);
}

void am_slot_end(struct am_slot *s)
{
    s->phase = AM_SLOT_END;
    if (s->out.kind == AM_END_PUBLISH) {
        pthread_mutex_lock(&s->e->lock);
        snprintf(s->progress.phase, sizeof s->progress.phase, "publish");
        s->progress.updated_at = am_now_ms();
        s->progress.eta_seconds = -1;
        atomic_fetch_add(&s->e->changes, 1);
        pthread_mutex_unlock(&s->e->lock);
    }
    if (uv_queue_work(s->e->loop, &s->work, end_work, end_after) < 0)
        uv_timer_start(&s->timer, on_again, AGAIN_MS, 0);
}
