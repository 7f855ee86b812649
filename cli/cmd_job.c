/*
 * cmd_job.c - amend job submit, list, get, watch, cancel.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/read.h"
#include "cli/recipe.h"
#include "cli/watch.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_cmd_job_submit(struct am_cli *c, int argc, char **argv)
{
    const char *file = NULL, *key = NULL;
    bool wait = false, dry_run = false;
    for (int i = 0; i + 1 < argc; i++) /* a configuration has options of its own */
        if ((am_streq(argv[i], "-f") || am_streq(argv[i], "--file")) && am_recipe_is(argv[i + 1])) {
            file = argv[i + 1];
            memmove(argv + i, argv + i + 2, (size_t)(argc - i - 2) * sizeof *argv);
            return am_recipe_run(c, file, argc - 2, argv);
        }
    const struct am_opt opts[] = {{"file", 'f', &file, NULL},
                                  {"wait", 0, NULL, &wait},
                                  {"dry-run", 0, NULL, &dry_run},
                                  {"idempotency-key", 0, &key, NULL},
                                  {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    if (rc)
        return rc;
    if (!file)
        return am_say_usage(c, "-f FILE names the job's body; -f - reads standard input");
    AM_CLEANUP(am_jsonp) json_t *body = NULL;
    rc = am_read_json(c, file, &body);
    if (rc)
        return rc;
    return dry_run ? am_job_plan(c, body) : am_job_submit(c, body, wait, key);
}

static void put_row(struct am_grid *g, const json_t *job)
{
    const char *status = am_js_text(job, "status", "?");
    const json_t *version = am_js(job, "result.version");
    AM_CLEANUP(am_xfreep) char *name = json_is_object(version) ? am_version_name(version) : NULL;
    double total = am_js_real(job, "progress.total", 0);
    am_grid_put(g, am_js_text(job, "id", "?"));
    am_grid_putf(g, "%s/%s", am_js_text(job, "type", "?"), am_js_text(job, "method", "?"));
    am_grid_put(g, status);
    double done = am_js_real(job, "progress.done", 0);
    if (am_streq(status, "running") && total > 0)
        am_grid_putf(g, "%.0f%%", 100 * (done < total ? done / total : 1));
    else
        am_grid_put(g, NULL);
    am_grid_time(g, am_js_text(job, "created_at", NULL));
    am_grid_put(g, name ? name : am_js_text(job, "error.code", NULL));
    am_grid_put(g, am_js_text(job, "spec.publish.model", am_js_text(job, "spec.model", NULL)));
    am_grid_putf(g, "%lld", (long long)am_js_int(job, "priority", 0));
    am_grid_putf(g, "%lld", (long long)am_js_int(job, "attempt", 0));
    am_grid_time(g, am_js_text(job, "started_at", NULL));
    am_grid_time(g, am_js_text(job, "finished_at", NULL));
    am_grid_put(g, am_js_text(job, "created_by", NULL));
}

static const char *const job_head[] = {"JOB",       "METHOD",   "STATUS",   "DONE",      "CREATED", "RESULT", "+MODEL",
                                       "+PRIORITY", "+ATTEMPT", "+STARTED", "+FINISHED", "+BY",     NULL};
#define JOB_RIGHT (1u << 3 | 1u << 7 | 1u << 8)

int am_cmd_job_list(struct am_cli *c, int argc, char **argv)
{
    bool watch = am_watch_asked(&argc, argv);
    AM_CLEANUP(am_xfreep) char *path = NULL;
    size_t want;
    int rc = am_job_query(c, argc, argv, &path, &want);
    if (rc)
        return rc;
    if (watch)
        return am_watch(c, &(struct am_watch){.path = path,
                                              .want = want,
                                              .paged = true,
                                              .head = job_head,
                                              .right = JOB_RIGHT,
                                              .row = put_row,
                                              .when_empty = "no jobs"});
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    rc = am_http_list(c, path, want, true, &list);
    return rc ? rc : am_print_list(c, list, job_head, JOB_RIGHT, put_row, "no jobs");
}

static void put_inputs(struct am_grid *g, const json_t *job)
{
    const json_t *in = am_js(job, "resolved.inputs"), *e;
    size_t i;
    json_array_foreach(in, i, e)
    {
        AM_CLEANUP(am_xfreep)
        char *params = json_object_size(am_js(e, "params")) ? am_js_dump(am_js(e, "params"), false) : NULL;
        am_grid_put(g, am_js_text(e, "role", "input"));
        am_grid_putf(g, "%s@%s %s", am_js_text(e, "model", "?"), am_js_text(e, "rev", am_js_text(e, "commit", "?")),
                     params ? params : "");
    }
}

static void put_reports(struct am_grid *g, const json_t *job)
{
    const json_t *id, *decision = am_js(job, "result.decision");
    size_t i;
    json_array_foreach(am_js(job, "result.reports"), i, id) am_grid_pair(g, "report", json_string_value(id));
    if (!json_is_object(decision))
        return;
    am_grid_put(g, "decision");
    am_grid_putf(g, "%s %s", am_js_text(decision, "verdict", "?"), am_js_text(decision, "id", ""));
}

static void show(const struct am_cli *c, const json_t *job)
{
    static const char *const times[] = {"created_at", "started_at", "finished_at"};
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    am_grid_pair(&g, "job", am_js_text(job, "id", "?"));
    am_grid_put(&g, "method");
    am_grid_putf(&g, "%s/%s", am_js_text(job, "type", "?"), am_js_text(job, "method", "?"));
    am_grid_put(&g, "status");
    const char *reason = am_job_reason(job);
    am_grid_putf(&g, "%s%s%s", am_js_text(job, "status", "?"), reason ? ": " : "", reason ? reason : "");
    am_grid_put(&g, "attempt");
    am_grid_putf(&g, "%lld of %lld", (long long)am_js_int(job, "attempt", 0),
                 (long long)am_js_int(job, "max_attempts", 0));
    for (size_t i = 0; i < 3; i++) {
        am_grid_put(&g, times[i]);
        am_grid_time(&g, am_js_text(job, times[i], NULL));
    }
    put_inputs(&g, job);
    const json_t *version = am_js(job, "result.version");
    AM_CLEANUP(am_xfreep) char *name = json_is_object(version) ? am_version_name(version) : NULL;
    if (name) {
        am_grid_put(&g, "version");
        am_grid_putf(&g, "%s %s", name, am_js_text(version, "commit", "?"));
    }
    put_reports(&g, job);
    if (json_is_object(am_js(job, "error"))) {
        am_grid_put(&g, "error");
        am_grid_putf(&g, "%s: %s", am_js_text(job, "error.code", "?"), am_js_text(job, "error.detail", ""));
    }
    am_grid_print(&g);
    am_grid_done(&g);
}

static int one_id(struct am_cli *c, int argc, char **argv, const char **ret)
{
    return am_opt_parse(c, NULL, argc, argv, 1, 1, ret);
}

static int ended(const json_t *job)
{
    const char *status = am_js_text(job, "status", "");
    bool bad = am_streq(status, "failed") || am_streq(status, "cancelled");
    return bad ? AM_EXIT_JOB : am_streq(status, "succeeded") ? 0 : -1;
}

int am_cmd_job_get(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    bool watch = am_watch_asked(&argc, argv);
    int rc = one_id(c, argc, argv, &id);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, NULL);
    if (watch)
        return am_watch(
            c, &(struct am_watch){.path = path, .head = job_head, .row = put_row, .show = show, .ended = ended});
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_get(c, path, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else if (c->out == AM_OUT_NAME)
        puts(id);
    else
        show(c, r.json);
    return 0;
}

int am_cmd_job_watch(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    int rc = one_id(c, argc, argv, &id);
    return rc ? rc : am_job_follow(c, id);
}

int am_cmd_job_cancel(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    int rc = one_id(c, argc, argv, &id);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, "cancel", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_json(c, "POST", path, NULL, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        am_say_note(c, "%s %s", id, am_js_text(r.json, "status", "asked to stop"));
    return 0;
}
