/*
 * engine_end.c - the end of a job that has a worker behind it or never got one. See engine_end.h.
 */
#include "server/engine_end.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/fault_json.h"
#include "storage/jobs.h"

#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void am_outcome_fail(struct am_outcome *o, int code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_utf8_mend(text);
    free(o->detail);
    o->kind = AM_END_FAILED;
    o->code = code;
    o->retryable = am_err_retryable(code);
    o->detail = strdup(text);
}

static void fail_by_record(struct am_outcome *o, struct am_records *r)
{
    o->kind = AM_END_FAILED;
    o->code = r->code;
    o->retryable = r->retryable;
    o->detail = r->detail;
    o->tensor = r->tensor;
    o->faults = r->faults;
    r->detail = r->tensor = NULL;
    r->faults = (struct am_faults){0};
}

static void fail_by_signal(struct am_outcome *o, const struct am_exit *x)
{
    const char *name = sigabbrev_np(x->signal);
    am_outcome_fail(o, AM_E_CRASHED, "the worker was killed by signal %d (SIG%s)%s; see the log, GET /v1/jobs/%s/log",
                    x->signal, name ? name : "?",
                    x->signal == SIGKILL ? ", perhaps by the kernel for want of memory" : "", x->uid);
}

static void fail_by_silence(struct am_outcome *o, const struct am_exit *x)
{
    am_outcome_fail(o, AM_E_HUNG,
                    "the worker said nothing for %g seconds (jobs.heartbeat_timeout) and was stopped; see the log, "
                    "GET /v1/jobs/%s/log",
                    (double)x->silence_ms / 1000, x->uid);
}

static void fail_by_limit(struct am_outcome *o, const struct am_exit *x)
{
    am_outcome_fail(o, AM_E_TIME_LIMIT,
                    "the worker was stopped after options.time_limit_seconds = %lld; give the job more time",
                    (long long)x->time_limit);
}

/* Not tried again by itself: the next one would wait for the same disk or driver. */
static void fail_by_loss(struct am_outcome *o, const struct am_exit *x)
{
    const char *cause = x->cancelled ? "was cancelled"
                        : x->expired ? "passed its time limit"
                        : x->hung    ? "said nothing any more"
                                     : "broke the protocol";
    am_outcome_fail(o, AM_E_HUNG,
                    "the worker %s and was killed, but has not ended %g seconds later (jobs.kill_wait): a process that "
                    "waits for a disk or a driver inside the kernel cannot be killed. Nothing was published. Look at "
                    "the machine, then submit the job again",
                    cause, (double)x->kill_wait_ms / 1000);
}

static void fail_by_status(struct am_outcome *o, const struct am_exit *x)
{
    static const struct {
        int64_t status;
        int code;
        const char *what;
    } table[] = {
        {64, AM_E_BAD_SPEC, "could not read its job"},
        {65, AM_E_BAD_INPUT, "could not use an input"},
        {69, AM_E_UNSUPPORTED, "does not support what the job asks for"},
        {73, AM_E_CANNOT_WRITE, "could not write its result"},
        {75, AM_E_CRASHED, "was asked to stop by somebody else than the daemon"},
        {137, AM_E_OUT_OF_MEMORY, "ran out of memory"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == x->status) {
            am_outcome_fail(o, table[i].code, "the worker %s (exit %d); see the log, GET /v1/jobs/%s/log",
                            table[i].what, (int)x->status, x->uid);
            return;
        }
    am_outcome_fail(o, AM_E_INTERNAL,
                    "the worker ended with exit %d and said nothing; see the log, GET /v1/jobs/%s/log", (int)x->status,
                    x->uid);
}

void am_outcome_judge(struct am_outcome *ret, const struct am_exit *x, struct am_records *r)
{
    struct am_outcome o = {0};
    snprintf(o.phase, sizeof o.phase, "%s", r->progress.phase);
    o.lost = x->lost;
    if (!x->signal && !x->lost)
        am_records_end(r);
    bool done = r->done && !r->broken && !x->signal && x->status == 0;
    bool said = r->failed && !r->broken && r->code != AM_E_CANCELLED;
    if (x->lost && x->stopped && !x->cancelled)
        o.kind = AM_END_LEFT;
    else if (x->lost)
        fail_by_loss(&o, x);
    else if (x->cancelled)
        o.kind = AM_END_CANCELLED;
    else if (done)
        o.kind = AM_END_PUBLISH;
    else if (x->expired && !said)
        fail_by_limit(&o, x);
    else if (x->stopped && !said)
        o.kind = AM_END_LEFT;
    else if (x->hung && !said)
        fail_by_silence(&o, x);
    else if (r->broken)
        am_outcome_fail(&o, r->broken, "%s", r->why);
    else if (said)
        fail_by_record(&o, r);
    else if (x->signal)
        fail_by_signal(&o, x);
    else if (r->done)
        am_outcome_fail(&o, AM_E_CRASHED, "the worker said that it was done, then ended with exit %d", (int)x->status);
    else if (x->status == 0)
        am_outcome_fail(&o, AM_E_CRASHED, "the worker ended without a result; see the log, GET /v1/jobs/%s/log",
                        x->uid);
    else
        fail_by_status(&o, x);
    /* The worker may say that trying again is useless, never that it helps: bad input stays bad. That it is of another
       build (broken: internal) passes only with a restart. */
    o.again =
        o.kind == AM_END_FAILED && o.retryable && am_err_retryable(o.code) && r->broken != AM_E_INTERNAL && !x->lost;
    *ret = o;
}

/* A problem document of `code`. errors: stolen. */
static char *problem_text(int code, const char *detail, bool retryable, const struct am_outcome *o,
                          const struct am_claim *job, json_t *errors)
{
    char type[80];
    int status = am_err_status(code);
    snprintf(type, sizeof type, "/v1/problems/%s", am_err_slug(code));
    json_auto_t *doc = json_pack("{s:s,s:s,s:i,s:s,s:s,s:s?,s:s?,s:i,s:b,s:o}", "type", type, "title",
                                 am_err_title(code), "status", status ? status : 500, "code", am_err_slug(code),
                                 "detail", detail, "phase", o->phase[0] ? o->phase : NULL, "tensor", o->tensor,
                                 "attempt", job->attempt, "retryable", retryable, "errors", errors);
    return doc ? json_dumps(doc, JSON_COMPACT) : NULL;
}

static const char *detail_of(const struct am_outcome *o)
{
    return o->detail ? o->detail : am_err_title(o->code);
}

static char *error_text(const struct am_outcome *o, const struct am_claim *job)
{
    return problem_text(o->code, detail_of(o), o->retryable, o, job, am_faults_to_json(&o->faults));
}

/* What a job says that failed as often as it may: how often, and the last cause; its own code is the first of errors.
 */
static char *exhausted_text(const struct am_outcome *o, const struct am_claim *job)
{
    char *detail = NULL, *text = NULL;
    json_t *errors = am_faults_to_json(&o->faults);
    json_t *cause = json_pack("{s:s,s:s,s:s,s:s*}", "pointer", "", "code", am_err_slug(o->code), "detail", detail_of(o),
                              "tensor", o->tensor);
    if (!errors || json_array_insert_new(errors, 0, cause) < 0) {
        json_decref(errors);
        return NULL;
    }
    if (asprintf(&detail, "the worker failed %d times, as often as options.max_attempts allows; the last time: %s (%s)",
                 job->failures + 1, detail_of(o), am_err_slug(o->code)) < 0)
        json_decref(errors);
    else
        text = problem_text(AM_E_ATTEMPTS, detail, am_err_retryable(AM_E_ATTEMPTS), o, job, errors);
    free(detail);
    return text;
}

static char *reason_text(const struct am_outcome *o)
{
    json_auto_t *reason = json_pack("{s:s,s:s}", "code", am_err_slug(o->code), "detail", detail_of(o));
    return reason ? json_dumps(reason, JSON_COMPACT) : NULL;
}

struct ending {
    const struct am_claim *job;
    const char *error, *warnings;
    const char *reason; /* to be queued again; NULL: this failure is the end */
    int64_t pause_ms;
    enum am_job_state state; /* before */
    bool lost, requeued;
};

static int end_row(struct am_db *db, void *arg)
{
    struct ending *e = arg;
    int64_t now = am_now_ms();
    AM_TRY(am_job_state_get(db, e->job->uid, &e->state));
    if (am_state_terminal(e->state))
        return 0;
    if (e->state == AM_CANCELLING && !e->lost)
        return am_job_finish(db, e->job->uid, AM_CANCELLED_, now, NULL, NULL, NULL);
    if (!e->reason)
        return am_job_finish(db, e->job->uid, AM_FAILED, now, NULL, e->error, e->warnings);
    e->requeued = true;
    return am_job_requeue(db, e->job->uid, now, e->pause_ms, e->reason);
}

int am_outcome_write(struct am_outcome *o, struct am_store *store, const struct am_claim *job, int64_t pause_ms)
{
    static const struct am_outcome stopped = {.kind = AM_END_FAILED, .code = AM_E_CANCELLED};
    bool again = o->kind == AM_END_FAILED && o->again, last = job->failures + 1 >= job->max_attempts;
    char *error = again && last && job->max_attempts > 1 ? exhausted_text(o, job)
                                                         : error_text(o->kind == AM_END_CANCELLED ? &stopped : o, job);
    char *reason = again && !last ? reason_text(o) : NULL;
    char *warnings = job->warnings ? json_dumps(job->warnings, JSON_COMPACT) : NULL;
    struct ending e = {
        .job = job, .error = error, .reason = reason, .warnings = warnings, .pause_ms = pause_ms, .lost = o->lost};
    int rc = error && (reason || !again || last) ? am_store_write(store, end_row, &e) : -AM_E_OUT_OF_MEMORY;
    free(error);
    free(reason);
    free(warnings);
    if (rc == 0 && e.state == AM_CANCELLING && !o->lost)
        o->kind = AM_END_CANCELLED;
    else if (rc == 0 && e.requeued)
        o->kind = AM_END_REQUEUED;
    return rc;
}

void am_outcome_done(struct am_outcome *o)
{
    free(o->detail);
    free(o->tensor);
    am_faults_done(&o->faults);
    memset(o, 0, sizeof *o);
}
