/*
 * cmd_context.c - amend context list, use, set, rm: the named daemons of the client's own file. They ask no daemon.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXTS_MAX 1000

static void put_row(struct am_grid *g, const json_t *e)
{
    am_grid_put(g, am_js_text(e, "name", "?"));
    am_grid_put(g, json_is_true(am_js(e, "current")) ? "*" : NULL);
    for (int k = 0; k < AM_CONF_KEYS; k++)
        am_grid_put(g, am_js_text(e, am_conf_names[k], NULL));
}

static json_t *as_json(const struct am_conf *f)
{
    const char *name[CONTEXTS_MAX], *current = am_conf_current(f);
    size_t n = am_conf_list(f, name, CONTEXTS_MAX);
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *e = json_pack("{s:s,s:b}", "name", name[i], "current", am_streq(name[i], current));
        for (int k = 0; k < AM_CONF_KEYS; k++) {
            const char *value = am_conf_get(f, name[i], (enum am_conf_key)k);
            json_object_set_new(e, am_conf_names[k], value ? json_string(value) : json_null());
        }
        json_array_append_new(data, e);
    }
    return json_pack("{s:s,s:o,s:b,s:n}", "object", "list", "data", data, "has_more", false, "next");
}

int am_cmd_context_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"CONTEXT", "CURRENT", "ENDPOINT", "NAMESPACE", "TOKEN FILE", NULL};
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    int rc = am_opt_parse(c, NULL, argc, argv, 0, 0, NULL);
    if (rc || (rc = am_conf_load(c, &f)))
        return rc;
    AM_CLEANUP(am_jsonp) json_t *list = as_json(&f);
    return am_print_list(c, list, head, 0, put_row,
                         "no contexts yet; make one with: amend context set NAME --endpoint URL");
}

/* Loads the file and looks for the context. */
static int open_at(struct am_cli *c, const char *name, struct am_conf *f)
{
    const char *known[CONTEXTS_MAX];
    int rc = am_conf_load(c, f);
    if (rc || am_conf_has(f, name))
        return rc;
    const char *near = am_near(name, known, am_conf_list(f, known, CONTEXTS_MAX));
    AM_CLEANUP(am_xfreep)
    char *fix = near ? am_xprintf("did you mean %s? all of them: amend context list", near)
                     : am_xdup("see all of them: amend context list");
    am_say_error(c, fix, "there is no context '%s' in %s", name, f->path ? f->path : "the file of contexts");
    return AM_EXIT_NOT_FOUND;
}

int am_cmd_context_use(struct am_cli *c, int argc, char **argv)
{
    const char *name;
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &name);
    if (rc || (rc = open_at(c, name, &f)))
        return rc;
    am_conf_use(&f, name);
    if ((rc = am_conf_save(c, &f)))
        return rc;
    am_say_note(c, "%s is the current context", name);
    if (getenv("AMEND_CONTEXT") || getenv("AMEND_ENDPOINT"))
        am_say_note(c, "note: %s is set in this shell and goes first",
                    getenv("AMEND_CONTEXT") ? "AMEND_CONTEXT" : "AMEND_ENDPOINT");
    return 0;
}

static int check_value(const struct am_cli *c, const char *flag, const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return am_say_usage(c, "--%s must be one line of text", flag);
    return am_utf8_ok(value, strlen(value)) ? 0 : am_say_usage(c, "--%s must be UTF-8 text", flag);
}

static const char *ns_fault(const char *ns)
{
    AM_CLEANUP(am_xfreep) char *model = am_xprintf("%s/x", ns);
    return strchr(ns, '/') ? "a namespace has no slash" : am_model_name_fault(model);
}

int am_cmd_context_set(struct am_cli *c, int argc, char **argv)
{
    const char *name, *value[AM_CONF_KEYS] = {NULL};
    bool use = false;
    /* --endpoint is a global flag and was taken already */
    const struct am_opt opts[] = {{"namespace", 'n', &value[AM_CONF_NAMESPACE], NULL},
                                  {"token-file", 0, &value[AM_CONF_TOKEN_FILE], NULL},
                                  {"use", 0, NULL, &use},
                                  {0}};
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    if (rc)
        return rc;
    const char *why = am_conf_name_fault(name);
    if (why)
        return am_say_usage(c, "'%s': %s", name, why);
    value[AM_CONF_ENDPOINT] = c->endpoint;
    for (int k = 0; rc == 0 && k < AM_CONF_KEYS; k++)
        rc = value[k] ? check_value(c, am_conf_names[k], value[k]) : 0;
    if (rc == 0 && value[AM_CONF_NAMESPACE] && value[AM_CONF_NAMESPACE][0] &&
        (why = ns_fault(value[AM_CONF_NAMESPACE])))
        return am_say_usage(c, "'%s' is no namespace: %s", value[AM_CONF_NAMESPACE], why);
    if (rc || (rc = am_conf_load(c, &f)))
        return rc;
    if (!am_conf_has(&f, name) && !value[AM_CONF_ENDPOINT])
        return am_say_usage(c, "a new context needs --endpoint URL");
    bool first = !am_conf_list(&f, &why, 1);
    for (int k = 0; k < AM_CONF_KEYS; k++)
        if (value[k])
            am_conf_set(&f, name, (enum am_conf_key)k, value[k]);
    if (use || first)
        am_conf_use(&f, name);
    if ((rc = am_conf_save(c, &f)))
        return rc;
    am_say_note(c, "%s is kept in %s%s", name, f.path,
                am_streq(am_conf_current(&f), name) ? " and is the current context" : "");
    return 0;
}

int am_cmd_context_rm(struct am_cli *c, int argc, char **argv)
{
    const char *name;
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &name);
    if (rc || (rc = open_at(c, name, &f)))
        return rc;
    am_conf_remove(&f, name);
    return am_conf_save(c, &f);
}
