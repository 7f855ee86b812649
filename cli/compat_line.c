/*
 * compat_line.c - amend compat continual: a line of versions on the tasks that it learned, and how its report reads.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS_MAX = 16 };

/* ---- the command ---- */

/* --task D or --task D=RANDOM, the score of a model that was not trained. */
static int add_task(struct am_cli *c, json_t *tasks, const char *text)
{
    const char *external = am_starts(text, "external:") ? text + 9 : NULL, *name = external ? external : text,
               *equals = strrchr(name, '=');
    double random = 0;
    char *end = NULL;
    if (equals) {
        random = strtod(equals + 1, &end);
        if (!equals[1] || *end || !(random >= 0 && random <= 1))
            return am_say_usage(c, "--task %s: after = stands the score of an untrained model, from 0 to 1", text);
    }
    AM_CLEANUP(am_xfreep) char *own = am_xprintf("%.*s", (int)(equals ? equals - name : (long)strlen(name)), name);
    json_t *o = json_pack("{s:s}", external ? "external" : "name", own);
    if (!o)
        return am_say_usage(c, "names must be UTF-8 text");
    if (equals)
        json_object_set_new(o, "random", json_real(random));
    json_array_append_new(tasks, o);
    return 0;
}

static int take_tasks(struct am_cli *c, int *argc, char **argv, json_t *tasks)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        const char *value = am_starts(argv[i], "--task=") ? argv[i] + 7 : NULL;
        if (!value && !am_streq(argv[i], "--task")) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!value && i + 1 < *argc)
            value = argv[++i];
        if (!value || !*value)
            return am_say_usage(c, "--task needs the name of a dataset after it");
        if (json_array_size(tasks) == TASKS_MAX)
            return am_say_usage(c, "at most %d tasks", TASKS_MAX);
        int rc = add_task(c, tasks, value);
        if (rc)
            return rc;
    }
    *argc = kept;
    return 0;
}

/* One name is a model, whose newest versions are meant; several are the versions. */
static json_t *inputs_of(const char *const *word, size_t words, const char *branch, json_t *tasks)
{
    json_t *o = json_pack("{s:O}", "tasks", tasks), *versions = json_array();
    for (size_t i = 0; i < words; i++)
        json_array_append_new(versions, json_string(word[i]));
    if (words > 1 || strchr(word[0], '@')) {
        json_object_set(o, "versions", versions);
    } else {
        json_object_set_new(o, "model", json_string(word[0]));
        if (branch)
            json_object_set_new(o, "branch", json_string(branch));
    }
    json_decref(versions);
    return o;
}

static int put_number(struct am_cli *c, json_t *o, const char *name, const char *flag, const char *text, uint64_t max)
{
    uint64_t v;
    int rc = text ? am_opt_number(c, flag, text, 0, max, &v) : 0;
    if (rc == 0 && text)
        json_object_set_new(o, name, json_integer((json_int_t)v));
    return rc;
}

static int print_result(struct am_cli *c, const json_t *job)
{
    const char *id = json_string_value(json_array_get(am_js(job, "result.reports"), 0));
    AM_CLEANUP(am_jsonp) json_t *report = NULL;
    AM_CLEANUP(am_jsonp) json_t *decision = NULL;
    if (!id) {
        am_say_error(c, "ask: amend doctor", "%s succeeded without a report", am_js_text(job, "id", "the job"));
        return AM_EXIT_ERROR;
    }
    int rc = am_report_get(c, id, &report, &decision);
    if (rc)
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, report);
    else if (c->out == AM_OUT_NAME)
        puts(id);
    else
        am_compat_show(c, report, decision);
    return 0;
}

int am_cmd_compat_continual(struct am_cli *c, int argc, char **argv)
{
    const char *word[TASKS_MAX] = {NULL}, *branch = NULL, *bootstrap = NULL, *seed = NULL;
    const struct am_opt opts[] = {
        {"branch", 0, &branch, NULL}, {"bootstrap", 0, &bootstrap, NULL}, {"seed", 0, &seed, NULL}, {0}};
    AM_CLEANUP(am_jsonp) json_t *tasks = json_array();
    AM_CLEANUP(am_jsonp) json_t *params = json_object();
    AM_CLEANUP(am_jsonp) json_t *options = json_object();
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    AM_CLEANUP(am_reply_done) struct am_reply reply = {0};
    size_t words = 0;
    int rc = take_tasks(c, &argc, argv, tasks);
    if (rc || (rc = am_opt_parse(c, opts, argc, argv, 1, TASKS_MAX, word)) ||
        (rc = put_number(c, params, "bootstrap", "--bootstrap", bootstrap, 1000000)) ||
        (rc = put_number(c, options, "seed", "--seed", seed, INT64_MAX)))
        return rc;
    while (words < TASKS_MAX && word[words])
        words++;
    if (!json_array_size(tasks))
        return am_say_usage(c, "give --task D for each task, in the order in which they were learned");
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:s,s:s,s:o,s:O,s:O}", "type", "evaluate", "method", "continual", "inputs",
                             inputs_of(word, words, branch, tasks), "params", params, "options", options);
    if (!body)
        return am_say_usage(c, "names must be UTF-8 text");
    if ((rc = am_http_post(c, "/v1/jobs", body, NULL, &reply)))
        return rc;
    const char *id = am_js_text(reply.json, "id", "");
    am_say_note(c, "%s accepted", id);
    rc = am_job_wait(c, id, &job);
    return rc ? rc : print_result(c, job);
}

/* ---- the report ---- */

static void put_row(struct am_grid *g, const json_t *version, const json_t *row)
{
    AM_CLEANUP(am_xfreep) char *text = am_xdup("");
    char share[AM_RATE];
    json_t *cell;
    size_t i;
    json_array_foreach(row, i, cell)
    {
        am_fmt_share(am_js(cell, "value"), share);
        char *longer = am_xprintf("%s%s%s", text, i ? "   " : "", share);
        free(text);
        text = longer;
    }
    am_grid_putf(g, "  %.60s", am_js_text(version, "version", "?"));
    am_grid_putf(g, "%s", text);
}

void am_line_show(struct am_grid *g, const json_t *report)
{
    static const struct {
        const char *name, *title;
        void (*fmt)(const json_t *, char[AM_RATE]);
    } rows[] = {{"average_incremental", "average incremental", am_fmt_share},
                {"final_average", "final average", am_fmt_share},
                {"bwt", "backward transfer", am_fmt_points},
                {"forgetting", "forgetting", am_fmt_points},
                {"fwt", "forward transfer", am_fmt_points},
                {"nfr_per_update", "NFR per update", am_fmt_share}};
    json_t *row;
    size_t i;
    json_array_foreach(am_js(report, "matrix"), i, row) put_row(g, json_array_get(am_js(report, "versions"), i), row);
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        am_value_put_pair(g, rows[i].title, am_js(am_js(report, "values"), rows[i].name), rows[i].fmt);
}
