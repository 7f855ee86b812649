/*
 * engine_slot.c - the way of a job into a slot: claim (writer), then preparation (reads, opens, makes staging), both on
 * the pool.
 */
#include "server/engine_priv.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "server/log.h"

#include <string.h>

/* ---- claim ---- */

static int copy_row(void *ctx, const struct am_job_row *row)
{
    struct am_claim *c = ctx;
    am_claim_done(c);
    return am_claim_copy(c, row);
}

static int claim_row(struct am_db *db, void *arg)
{
    struct am_slot *s = arg;
    return am_job_claim(db, s->lane, am_now_ms(), copy_row, &s->job, &s->next);
}

static void claim_work(uv_work_t *work)
{
    struct am_slot *s = work->data;
    s->next = 0;
    am_failpoint("engine.before_claim");
    s->rc = am_store_write(s->e->store, claim_row, s);
    am_failpoint(s->rc > 0 ? "engine.claimed" : "engine.idle");
}

static void prepare(struct am_slot *s);

static void claim_after(uv_work_t *work, int status)
{
    struct am_slot *s = work->data;
    struct am_engine *e = s->e;
    (void)status; /* claims are never taken back */
    e->claiming[s->lane] = false;
    if (s->rc < 0) {
        am_log(AM_LOG_ERROR, "cannot claim a job, trying again: %s", am_err_title(s->rc));
        e->dirty[s->lane] = true;
        am_engine_again(e);
    }
    if (s->rc == 0 && s->next)
        am_engine_later(e, s->lane, s->next);
    if (s->rc <= 0 || e->stopping) { /* a job claimed too late stays running and is taken up at the next start */
        e->dirty[s->lane] |= s->rc > 0;
        am_slot_free(s);
        return;
    }
    e->dirty[s->lane] = true; /* where one was, there may be more */
    if (s->job.attempt == 1)
        am_metrics_waited(&e->metrics, s->job.type, s->job.waited);
    prepare(s);
    am_engine_pump(e);
}

void am_slot_claim(struct am_slot *s)
{
    s->phase = AM_SLOT_CLAIM;
    s->e->claiming[s->lane] = true;
    s->e->dirty[s->lane] = false;
    if (uv_queue_work(s->e->loop, &s->work, claim_work, claim_after) < 0) {
        s->e->claiming[s->lane] = false;
        s->e->dirty[s->lane] = true;
        s->phase = AM_SLOT_FREE;
        am_engine_again(s->e);
    }
}

/* ---- preparation ---- */

static int see_cancel(void *ctx, const struct am_job_row *row)
{
    struct am_outcome *out = ctx;
    if (row->state == AM_CANCELLING)
        out->kind = AM_END_CANCELLED;
    return 0;
}

static void fail_prepare(struct am_outcome *out, int rc, struct am_faults *faults, const char *why)
{
    if (faults->n == 0)
        am_outcome_fail(out, -rc, "the job could not be started: %s", why[0] ? why : am_err_title(rc));
    else if (faults->total == 1)
        am_outcome_fail(out, -am_faults_worst(faults), "%s", faults->v[0].detail);
    else
        am_outcome_fail(out, -am_faults_worst(faults), "%s (and %zu more)", faults->v[0].detail, faults->total - 1);
    out->faults = *faults;
    *faults = (struct am_faults){0};
}

static void prepare_work(uv_work_t *work)
{
    struct am_slot *s = work->data;
    struct am_faults faults = {0};
    char why[256] = "";
    int rc = 0;
    if (am_claim_unplanned(&s->job) && s->e->plan)
        rc = s->e->plan(s->e->plan_arg, &s->job, &faults, why, sizeof why);
    if (rc > 0) {
        s->out.kind = AM_END_REUSED;
        s->seconds = (double)(am_mono_ms() - s->started) / 1000.0;
    }
    if (rc == 0)
        rc = am_claim_parse(&s->job, why, sizeof why);
    if (rc == 0 && !am_slot_runs_here(s))
        rc = am_launch_make(&s->launch, s->e->store, s->e->cfg, &s->job, &faults);
    if (rc < 0)
        fail_prepare(&s->out, rc, &faults, why);
    am_faults_done(&faults);
    /* A cancel that came before the slot showed its job found nobody to tell; its row tells. */
    struct am_db *db = am_store_read(s->e->store);
    if (db && s->out.kind == AM_END_NONE)
        am_job_get(db, s->job.uid, see_cancel, &s->out);
}

static void prepare_after(uv_work_t *work, int status)
{
    struct am_slot *s = work->data;
    (void)status;
    if (s->out.kind == AM_END_NONE && am_slot_cancel_asked(s))
        s->out.kind = AM_END_CANCELLED;
    if (s->out.kind == AM_END_NONE && s->e->stopping)
        s->out.kind = AM_END_LEFT;
    if (s->out.kind == AM_END_NONE && am_slot_runs_here(s))
        am_slot_task(s);
    else if (s->out.kind == AM_END_NONE)
        am_slot_run(s);
    else
        am_slot_end(s);
}

static void prepare(struct am_slot *s)
{
    s->phase = AM_SLOT_PREPARE;
    s->launch.staging = -1;
    s->started = am_mono_ms();
    am_slot_show(s, s->job.uid);
    if (uv_queue_work(s->e->loop, &s->work, prepare_work, prepare_after) < 0) {
        am_outcome_fail(&s->out, AM_E_INTERNAL, "the daemon has no thread to prepare the job");
        am_slot_end(s);
    }
}

/* ---- and out ---- */

void am_slot_free(struct am_slot *s)
{
    if (am_slot_runs_here(s))
        s->e->dirty[s->lane] = true; /* one of the same kind may wait for this end */
    json_decref(s->task_result);
    s->task_result = NULL;
    am_claim_done(&s->job);
    am_launch_done(&s->launch);
    am_outcome_done(&s->out);
    am_records_done(&s->records);
    am_slot_show(s, "");
    s->cancel = s->stop = s->hung = s->expired = false;
    s->kill_at = s->killed_at = 0;
    s->phase = AM_SLOT_FREE;
    am_engine_pump(s->e);
}
