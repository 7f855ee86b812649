/*
 * engine_run.c - a job while its worker lives: start, records, log, deadlines, the ladder SIGTERM - grace - SIGKILL -
 * wait, exit.
 */
#include "server/engine_priv.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/sys.h"
#include "server/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { LOG_MAX = 16 * 1024 * 1024 };

static void arm(struct am_slot *s);

/* ---- deadlines ---- */

static int64_t limit_of(const struct am_slot *s)
{
    return s->job.time_limit > 0 ? s->started + s->job.time_limit * 1000 : INT64_MAX;
}

static int64_t silence_of(const struct am_slot *s)
{
    return s->heard + (int64_t)s->e->cfg->heartbeat_timeout_ms;
}

static void kill_worker(struct am_slot *s)
{
    s->e->executor->signal(s->exec, true);
    s->killed_at = am_mono_ms();
    arm(s); /* its end comes by itself, or never */
}

static void give_up(struct am_slot *s);

static void on_deadline(uv_timer_t *timer)
{
    struct am_slot *s = timer->data;
    const struct am_executor *x = s->e->executor;
    int64_t now = am_mono_ms();
    if (!s->exec || x->poll(s->exec) != AM_EXEC_RUNNING)
        return;
    if (s->killed_at && now >= s->killed_at + (int64_t)s->e->cfg->kill_wait_ms) {
        give_up(s);
        return;
    }
    if (s->killed_at) {
        arm(s);
        return;
    }
    if (s->kill_at && now >= s->kill_at) {
        am_log(AM_LOG_WARN, "worker killed job=%s attempt=%d", s->job.uid, s->job.attempt);
        kill_worker(s);
        return;
    }
    if (!s->kill_at && now >= limit_of(s)) {
        am_log(AM_LOG_WARN, "worker passed its time limit of %lld s job=%s attempt=%d", (long long)s->job.time_limit,
               s->job.uid, s->job.attempt);
        s->expired = true;
        am_slot_stop(s, (int64_t)s->e->cfg->cancel_grace_ms);
        return;
    }
    if (!s->kill_at && now >= silence_of(s)) {
        am_log(AM_LOG_WARN, "worker said nothing for %lld ms job=%s attempt=%d", (long long)(now - s->heard),
               s->job.uid, s->job.attempt);
        s->hung = true;
        am_slot_stop(s, (int64_t)s->e->cfg->cancel_grace_ms);
        return;
    }
    arm(s);
}

static void arm(struct am_slot *s)
{
    int64_t limit = limit_of(s), silence = silence_of(s), now = am_mono_ms();
    int64_t at = s->killed_at      ? s->killed_at + (int64_t)s->e->cfg->kill_wait_ms
                 : s->kill_at      ? s->kill_at
                 : limit < silence ? limit
                                   : silence;
    uv_update_time(s->e->loop);
    uv_timer_start(&s->timer, on_deadline, at > now ? (uint64_t)(at - now) : 0, 0);
}

void am_slot_stop(struct am_slot *s, int64_t grace_ms)
{
    int64_t at = am_mono_ms() + grace_ms;
    s->e->executor->signal(s->exec, false);
    if (!s->kill_at || at < s->kill_at)
        s->kill_at = at;
    arm(s);
}

/* ---- what the worker says ---- */

static void on_record_kind(void *arg, enum am_record kind)
{
    struct am_slot *s = arg;
    s->heard = am_mono_ms();
    if (kind == AM_RECORD_HELLO) {
        pthread_mutex_lock(&s->e->lock);
        s->e->hello = true;
        s->e->holds = s->records.holds;
        pthread_mutex_unlock(&s->e->lock);
    }
    if (kind == AM_RECORD_HELLO)
        am_log(AM_LOG_DEBUG, "worker says hello job=%s attempt=%d pid=%lld program=%s kernels=%s", s->job.uid,
               s->job.attempt, (long long)s->records.pid, s->records.program, s->records.kernels);
    if (kind != AM_RECORD_PROGRESS)
        return;
    am_failpoint("engine.progress");
    pthread_mutex_lock(&s->e->lock);
    am_progress_take(&s->progress, &s->speed, &s->records.progress, s->heard, am_now_ms());
    atomic_fetch_add(&s->e->changes, 1);
    pthread_mutex_unlock(&s->e->lock);
}

static void on_record(void *arg, const char *bytes, size_t n)
{
    struct am_slot *s = arg;
    bool was = s->records.broken;
    int rc = am_records_pace(&s->records, n, am_mono_ms() - s->started);
    if (rc == 0)
        rc = am_records_feed(&s->records, bytes, n, on_record_kind, s);
    if (rc < 0 && !was) {
        am_log(AM_LOG_ERROR, "%s job=%s attempt=%d", s->records.why, s->job.uid, s->job.attempt);
        kill_worker(s);
    }
}

static void on_log(void *arg, const char *bytes, size_t n)
{
    static const char full[] = "\n(the log ends here: more than 16 MiB)\n";
    struct am_slot *s = arg;
    if (s->log < 0)
        return;
    size_t room = LOG_MAX - (size_t)s->log_bytes, take = n < room ? n : room;
    int rc = am_sys_write(s->log, bytes, take);
    s->log_bytes += take;
    if (rc == 0 && take < n)
        rc = am_sys_write(s->log, full, sizeof full - 1);
    if (rc < 0 || take < n) /* a log that cannot be written does not stop the job */
        am_sys_closep(&s->log);
}

static void open_log(struct am_slot *s)
{
    char name[120];
    snprintf(name, sizeof name, "%s.log", s->job.staging);
    s->log = am_sys_open(am_store_logs(s->e->store), name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    s->log_bytes = 0;
    if (s->log < 0)
        am_log(AM_LOG_WARN, "cannot write the log of job=%s: %s", s->job.uid, am_err_title(s->log));
}

/* ---- start and exit ---- */

static int exit_reason(const struct am_outcome *o)
{
    return o->kind == AM_END_PUBLISH     ? AM_EXIT_DONE
           : o->kind == AM_END_CANCELLED ? AM_EXIT_CANCELLED
           : o->kind == AM_END_LEFT      ? AM_EXIT_STOPPED
                                         : o->code;
}

/* `x` says how it ended, or that it did not. */
static void end_run(struct am_slot *s, struct am_exit x)
{
    s->exec = NULL;
    s->seconds = (double)(am_mono_ms() - s->started) / 1000.0;
    uv_timer_stop(&s->timer);
    am_failpoint("engine.worker_ended");
    am_sys_closep(&s->log);
    x.cancelled = am_slot_cancel_asked(s);
    x.stopped = s->stop;
    x.hung = s->hung;
    x.expired = s->expired;
    x.silence_ms = (int64_t)s->e->cfg->heartbeat_timeout_ms;
    x.kill_wait_ms = (int64_t)s->e->cfg->kill_wait_ms;
    x.time_limit = s->job.time_limit;
    x.uid = s->job.uid;
    am_outcome_judge(&s->out, &x, &s->records);
    am_metrics_exit(&s->e->metrics, exit_reason(&s->out));
    am_slot_end(s);
}

static void on_exit_seen(void *arg, int64_t status, int signal)
{
    struct am_slot *s = arg;
    s->seconds = (double)(am_mono_ms() - s->started) / 1000.0;
    am_log(AM_LOG_INFO,
           "worker ended job=%s attempt=%d request=%s exit=%lld signal=%d seconds=%.3f unknown_records=%llu",
           s->job.uid, s->job.attempt, s->job.request, (long long)status, signal, s->seconds,
           (unsigned long long)s->records.unknown);
    end_run(s, (struct am_exit){.status = status, .signal = signal});
}

static void give_up(struct am_slot *s)
{
    if (am_slot_forget(s)) {
        end_run(s, (struct am_exit){.lost = true});
        return;
    }
    s->killed_at = am_mono_ms();
    arm(s);
}

void am_slot_run(struct am_slot *s)
{
    struct am_engine *e = s->e;
    const struct am_exec_launch launch = {.worker = e->cfg->worker,
                                          .mode = s->launch.mode,
                                          .spec = s->launch.spec,
                                          .spec_bytes = s->launch.spec_bytes,
                                          .staging = s->launch.staging,
                                          .input = s->launch.input,
                                          .inputs = s->launch.inputs,
                                          .trace = s->job.trace};
    const struct am_exec_events events = {.on_record = on_record, .on_log = on_log, .on_exit = on_exit_seen, .arg = s};
    struct am_exec_about about;
    char why[512];
    am_records_init(&s->records, e->registry);
    s->started = s->heard = am_mono_ms();
    int rc = e->executor->start(e->loop, &launch, &s->exec, why, sizeof why);
    am_launch_close_inputs(&s->launch);
    if (rc < 0) {
        am_outcome_fail(&s->out, -rc, "%s", why);
        s->out.again = s->out.retryable;
        am_slot_end(s);
        return;
    }
    s->phase = AM_SLOT_RUN;
    am_failpoint("engine.spawned");
    open_log(s);
    e->executor->describe(s->exec, &about);
    am_log(AM_LOG_INFO,
           "worker started job=%s attempt=%d request=%s trace=%.32s type=%s method=%s pid=%lld executor=%s", s->job.uid,
           s->job.attempt, s->job.request, s->job.trace + 3, s->job.type, s->job.method, (long long)about.id,
           about.name);
    e->executor->collect(s->exec, &events);
    arm(s);
}
