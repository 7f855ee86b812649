/*
 * cmd_method.c - amend merge, unlearn, edit and methods: what they share is a description fetched from the daemon.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/method.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/recipe.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_method(struct am_grid *g, const json_t *m)
{
    am_grid_put(g, am_js_text(m, "id", "?"));
    am_grid_put(g, am_js_text(m, "needs.base", NULL));
    am_grid_put(g, am_js_text(m, "summary", ""));
}

int am_method_list(struct am_cli *c, const char *type)
{
    static const char *const head[] = {"METHOD", "BASE", "WHAT IT DOES", NULL};
    AM_CLEANUP(am_xfreep) char *value = type ? am_url_encoded(type) : NULL;
    AM_CLEANUP(am_xfreep) char *path = type ? am_xprintf("/v1/methods?type=%s", value) : am_xdup("/v1/methods");
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = am_http_list(c, path, 10000, false, &list);
    if (rc)
        return rc;
    if (type && !json_array_size(am_js(list, "data"))) {
        am_say_error(c, "see all of them: amend methods", "there are no methods of type '%s'", type);
        return AM_EXIT_NOT_FOUND;
    }
    return am_print_list(c, list, head, 0, put_method, "no methods");
}

static int say_no_method(struct am_cli *c, const char *type, const char *name, int missing)
{
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("/v1/methods?type=%s", type);
    int rc = am_http_list(c, path, 10000, false, &list);
    if (rc)
        return rc;
    const json_t *data = am_js(list, "data");
    size_t n = 0, max = json_array_size(data);
    const char **known = am_xalloc((max + 1) * sizeof *known);
    for (size_t i = 0; i < max; i++)
        known[n++] = am_js_text(json_array_get(data, i), "name", "");
    const char *near = am_near(name, known, n);
    AM_CLEANUP(am_xfreep)
    char *fix = near ? am_xprintf("did you mean %s? all of them: amend methods %s", near, type)
                     : am_xprintf("see amend methods %s", type);
    am_say_error(c, fix, "there is no %s method '%s'", type, name);
    free(known);
    return missing;
}

int am_method_fetch(struct am_cli *c, const char *type, const char *name, int missing, json_t **ret)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/methods", type, name, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path};
    int rc = am_http_send(c, &q, &r);
    if (rc)
        return rc;
    const char *code = am_js_text(r.json, "code", "");
    if ((r.status == 404 || r.status == 422) && (am_streq(code, "not-found") || am_streq(code, "unknown-method")))
        return say_no_method(c, type, name, missing);
    if (r.status != 200 || !json_is_array(am_js(r.json, "params")))
        return am_problem_say(c, &r);
    *ret = json_incref(r.json);
    return 0;
}

static int build_and_send(struct am_cli *c, const json_t *method, int argc, char **argv)
{
    struct am_shorthand s = {0};
    int rc = am_method_args(c, method, argc, argv, &s);
    AM_CLEANUP(am_jsonp) json_t *body = s.body;
    if (rc)
        return rc;
    if (s.dry_run)
        return am_job_plan(c, body);
    if (!s.print_spec)
        return am_job_submit(c, body, s.wait, NULL);
    am_print_spec(c, body);
    return 0;
}

int am_cmd_shorthand(struct am_cli *c, int argc, char **argv)
{
    const char *type = c->cmd->noun;
    if (argc == 0) {
        if (!c->help)
            return am_say_usage(c, "which method? see amend methods %s", type);
        am_help_command(c->cmd);
        puts("\nmethods:");
        fflush(stdout);
        return am_method_list(c, type);
    }
    if (argv[0][0] == '-')
        return am_say_usage(c, "the method comes first: amend %s METHOD ..., not '%s'", type, argv[0]);
    if (am_streq(type, "merge") && am_recipe_is(argv[0]))
        return am_recipe_run(c, argv[0], argc - 1, argv + 1);
    const char *name = argv[0], *slash = strchr(name, '/');
    if (slash && (size_t)(slash - name) == strlen(type) && am_starts(name, type))
        name = slash + 1;
    AM_CLEANUP(am_xfreep) char *snake = am_xdup(name);
    for (char *p = snake; *p; p++)
        *p = *p == '-' ? '_' : *p;
    AM_CLEANUP(am_jsonp) json_t *method = NULL;
    int rc = am_method_fetch(c, type, snake, AM_EXIT_USAGE, &method);
    if (rc)
        return rc;
    c->method = am_js_text(method, "name", NULL);
    if (c->help) {
        am_help_command(c->cmd);
        putchar('\n');
        am_method_print(c, method);
        c->method = NULL;
        return 0;
    }
    rc = build_and_send(c, method, argc - 1, argv + 1);
    c->method = NULL; /* it points into the description */
    return rc;
}

int am_cmd_methods(struct am_cli *c, int argc, char **argv)
{
    const char *word;
    int rc = am_opt_parse(c, NULL, argc, argv, 0, 1, &word);
    if (rc)
        return rc;
    const char *slash = word ? strchr(word, '/') : NULL;
    if (!slash)
        return am_method_list(c, word);
    AM_CLEANUP(am_xfreep) char *type = am_xprintf("%.*s", (int)(slash - word), word);
    AM_CLEANUP(am_jsonp) json_t *method = NULL;
    if ((rc = am_method_fetch(c, type, slash + 1, AM_EXIT_NOT_FOUND, &method)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, method);
    else
        am_method_print(c, method);
    return 0;
}
