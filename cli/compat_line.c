/*
 * compat_line.c - amend compat continual: a line of versions on the tasks that it learned, and how its report reads.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS_MAX = 16 };

/* ---- the command ---- */

/* --task D or --task D=RANDOM, the score of a model that was not trained. */
static int add_task(const struct am_cli *c, const char *text, void *arg)
{
    json_t *tasks = arg;
    if (json_array_size(tasks) == TASKS_MAX)
        return am_say_usage(c, "at most %d tasks", TASKS_MAX);
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

int am_cmd_compat_continual(struct am_cli *c, int argc, char **argv)
{
    const char *word[TASKS_MAX] = {NULL}, *branch = NULL, *bootstrap = NULL, *seed = NULL;
    const struct am_opt opts[] = {
        {"branch", 0, &branch, NULL}, {"bootstrap", 0, &bootstrap, NULL}, {"seed", 0, &seed, NULL}, {0}};
    AM_CLEANUP(am_jsonp) json_t *tasks = json_array();
    AM_CLEANUP(am_jsonp) json_t *params = json_object();
    AM_CLEANUP(am_jsonp) json_t *options = json_object();
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    size_t words = 0;
    int rc = am_opt_each(c, "--task", "the name of a dataset", &argc, argv, add_task, tasks);
    if (rc || (rc = am_opt_parse(c, opts, argc, argv, 1, TASKS_MAX, word)) ||
        (rc = am_compat_numbers(c, bootstrap, seed, params, options)))
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
    return am_compat_submit(c, body, &job);
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
