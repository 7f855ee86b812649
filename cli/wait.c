/*
 * wait.c - following a job to its end (job.h). On a terminal one live line, on a pipe one line for each change of its
 * status.
 */
#include "cli/job.h"

#include "cli/compat.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define POLL_FIRST_MS 50
#define POLL_LAST_MS 1000

const char *am_job_reason(const json_t *job)
{
    return am_js_text(job, "status_reason.code", am_js_text(job, "status_reason", NULL));
}

char *am_version_name(const json_t *version)
{
    const char *model = am_js_text(version, "model", "?");
    int64_t number = am_js_int(version, "number", -1);
    if (number >= 0)
        return am_xprintf("%s@v%lld", model, (long long)number);
    return am_xprintf("%s@%.12s", model, am_js_text(version, "commit", "?"));
}

void am_print_version(const struct am_cli *c, const json_t *version)
{
    AM_CLEANUP(am_xfreep) char *name = am_version_name(version);
    am_put_clean(stdout, name);
    if (c->out != AM_OUT_NAME) {
        putchar(' ');
        am_put_clean(stdout, am_js_text(version, "commit", "?"));
    }
    putchar('\n');
}

static double fraction_of(const json_t *job)
{
    double total = am_js_real(job, "progress.bytes_total", 0), done = am_js_real(job, "progress.bytes_done", 0);
    if (total <= 0) {
        total = am_js_real(job, "progress.total", 0);
        done = am_js_real(job, "progress.done", 0);
    }
    return total > 0 ? done / total : -1;
}

static void draw(const struct am_cli *c, const json_t *job)
{
    const char *status = am_js_text(job, "status", "?"), *reason = am_job_reason(job);
    const char *phase = am_js_text(job, "progress.phase", NULL);
    bool running = am_streq(status, "running");
    struct am_live live = {.fraction = -1, .eta_seconds = -1};
    AM_CLEANUP(am_xfreep)
    char *words = am_xprintf("%s%s%s", running && phase ? phase : status, !running && reason ? ": " : "",
                             !running && reason ? reason : "");
    live.phase = words;
    if (running) {
        live.fraction = fraction_of(job);
        live.bytes_done = am_js_int(job, "progress.bytes_done", 0);
        live.bytes_total = am_js_int(job, "progress.bytes_total", 0);
        live.bytes_per_second = am_js_real(job, "progress.bytes_per_second", 0);
        live.eta_seconds = am_js_int(job, "progress.eta_seconds", -1);
    }
    am_live_draw(c, &live);
}

static void note_change(const struct am_cli *c, const char *id, const json_t *job)
{
    const char *reason = am_job_reason(job);
    int64_t attempt = am_js_int(job, "attempt", 1);
    AM_CLEANUP(am_xfreep) char *again = attempt > 1 ? am_xprintf(", attempt %lld", (long long)attempt) : am_xdup("");
    am_say_note(c, "%s %s%s%s%s%s", id, am_js_text(job, "status", "?"), reason ? " (" : "", reason ? reason : "",
                reason ? ")" : "", again);
}

static int ended(struct am_cli *c, const char *id, const json_t *job)
{
    const char *status = am_js_text(job, "status", "");
    if (am_streq(status, "succeeded"))
        return AM_EXIT_OK;
    if (am_streq(status, "cancelled"))
        am_say_error(c, "submit it again if it is still wanted; amend job get tells when it was cancelled",
                     "%s was cancelled", id);
    else if (am_streq(status, "failed"))
        am_problem_say_job(c, job);
    else
        return -1;
    return AM_EXIT_JOB;
}

static int gave_up(struct am_cli *c, const char *id, int rc)
{
    const char *why = rc == AM_EXIT_INTERRUPTED ? "interrupted"
                      : rc == AM_EXIT_TIMEOUT   ? "the time of --timeout is over"
                                                : NULL;
    if (why)
        am_say_error(c, NULL, "%s; the job goes on. Attach again with: amend job watch %s", why, id);
    else
        am_say_note(c, "  the job may go on; attach again with: amend job watch %s", id);
    return rc;
}

int am_job_wait(struct am_cli *c, const char *id, json_t **ret)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, NULL);
    AM_CLEANUP(am_xfreep) char *last = NULL;
    int64_t start = am_mono_ms(), attempt = 0, pause = POLL_FIRST_MS;
    am_interrupt_watch();
    for (;;) {
        AM_CLEANUP(am_reply_done) struct am_reply r = {0};
        int rc = am_http_poll(c, path, &r);
        if (rc)
            return rc == AM_EXIT_NOT_FOUND ? rc : gave_up(c, id, rc);
        const char *status = am_js_text(r.json, "status", "?");
        if (!am_streq(status, last) || am_js_int(r.json, "attempt", 1) != attempt) {
            if (!c->err_tty && !am_streq(status, "succeeded")) /* that is said with the time it took */
                note_change(c, id, r.json);
            free(last);
            last = am_xdup(status);
            attempt = am_js_int(r.json, "attempt", 1);
        }
        rc = ended(c, id, r.json);
        if (rc >= 0) {
            am_live_clear();
            *ret = json_incref(r.json);
            return rc;
        }
        draw(c, r.json);
        int64_t left = c->timeout > 0 ? start + (int64_t)(c->timeout * 1000) - am_mono_ms() : pause;
        if (left <= 0)
            return gave_up(c, id, AM_EXIT_TIMEOUT);
        am_nap(left < pause ? left : pause);
        if (am_interrupted())
            return gave_up(c, id, AM_EXIT_INTERRUPTED);
        pause = pause * 5 / 4 < POLL_LAST_MS ? pause * 5 / 4 : POLL_LAST_MS;
    }
}

/* On a terminal the progress line stays, full. A small job ends before it was ever drawn. */
static void say_success(const struct am_cli *c, const char *id, const json_t *job)
{
    double seconds = am_js_real(job, "result.measured.seconds", -1);
    AM_CLEANUP(am_xfreep)
    char *words =
        seconds >= 0 ? am_xprintf("succeeded in %.*f s", seconds < 10 ? 2 : 0, seconds) : am_xdup("succeeded");
    if (!c->err_tty) {
        am_say_note(c, "%s %s", id, words);
        return;
    }
    int64_t bytes = am_js_int(job, "result.measured.write_bytes", 0);
    struct am_live live = {.phase = words, .fraction = 1, .bytes_done = bytes, .bytes_total = bytes, .eta_seconds = -1};
    am_live_draw(c, &live);
    am_live_keep();
}

/* What a rerun proved. A difference is an error of the command: the job itself went well. */
static int say_reproduced(const struct am_cli *c, const json_t *job)
{
    const json_t *same = am_js(job, "result.reproduced"), *files = am_js(job, "result.reproduction.differ"), *f;
    const char *of = am_js_text(job, "result.reproduction.job", "?");
    size_t i;
    if (json_is_true(same))
        am_say_note(c, "the same bytes as %s made: %lld files", of,
                    (long long)am_js_int(job, "result.reproduction.files", 0));
    else if (json_is_object(am_js(job, "result.reproduction")) && !json_is_false(same))
        am_say_note(c, "whether these are the bytes of %s cannot be said: %s", of,
                    am_js_text(job, "result.reproduction.reason", "?"));
    if (!json_is_false(same))
        return 0;
    am_say_error(c, "look at the warnings of the job: kernels or program may differ", "other bytes than %s made", of);
    json_array_foreach(files, i, f) am_say_note(c, "  differs: %s", json_string_value(f));
    return AM_EXIT_ERROR;
}

/* What the gate of a job said: not to let its result pass is an exit code of its own, though the job went well. */
static int say_decision(const struct am_cli *c, const json_t *job)
{
    const json_t *decision = am_js(job, "result.decision");
    int rc = am_verdict_exit(decision);
    if (json_is_object(decision))
        am_verdict_say(c, decision);
    return rc;
}

static int say_ended(const struct am_cli *c, const json_t *job)
{
    int differs = say_reproduced(c, job), gate = say_decision(c, job);
    return differs ? differs : gate;
}

static void print_reports(const struct am_cli *c, const json_t *job)
{
    const json_t *id;
    size_t i;
    json_array_foreach(am_js(job, "result.reports"), i, id)
    {
        am_put_clean(stdout, json_is_string(id) ? json_string_value(id) : "?");
        putchar('\n');
        if (json_is_string(id))
            am_say_note(c, "read it with: amend compat report %s", json_string_value(id));
    }
}

int am_job_follow(struct am_cli *c, const char *id)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    int rc = am_job_wait(c, id, &job);
    if (!job)
        return rc;
    if (rc == 0)
        say_success(c, id, job);
    if (c->out == AM_OUT_JSON)
        am_print_json(c, job);
    if (rc)
        return rc;
    if (c->out == AM_OUT_JSON)
        return say_ended(c, job);
    const json_t *version = am_js(job, "result.version");
    if (json_is_object(version))
        am_print_version(c, version);
    print_reports(c, job);
    const char *detached = am_js_text(job, "result.detached_reason", NULL);
    if (detached)
        am_say_note(c, "published without a branch: %s", detached);
    const char *reused = am_js_text(job, "result.reused_from", NULL);
    if (reused)
        am_say_note(c, "nothing was computed: %s had done the same (--no-reuse computes it again)", reused);
    return say_ended(c, job);
}

int am_job_submit(struct am_cli *c, const json_t *body, bool wait, const char *key)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_post(c, "/v1/jobs", body, key, &r);
    return rc ? rc : am_job_accepted(c, &r, wait);
}

int am_job_accepted(struct am_cli *c, const struct am_reply *r, bool wait)
{
    const char *id = am_js_text(r->json, "id", NULL);
    if (!id) {
        am_say_error(c, "ask: amend doctor", "the daemon took the job but its answer has no id");
        return AM_EXIT_ERROR;
    }
    if (wait) {
        if (!am_streq(am_js_text(r->json, "status", NULL), "succeeded")) /* it was done before */
            am_say_note(c, "%s accepted", id);
        return am_job_follow(c, id);
    }
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, r->json);
    } else {
        am_put_clean(stdout, id);
        putchar('\n');
    }
    am_say_note(c, "follow it with: amend job watch %s", id);
    return 0;
}
