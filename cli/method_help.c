/*
 * method_help.c - what a method is and its parameters, for people, from its description (method.h).
 */
#include "cli/method.h"

#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>

static void put_range(struct am_grid *g, const json_t *p)
{
    const json_t *min = am_js(p, "min"), *max = am_js(p, "max");
    AM_CLEANUP(am_xfreep) char *low = am_js_plain(min);
    AM_CLEANUP(am_xfreep) char *high = am_js_plain(max);
    const char *kind = am_js_text(p, "kind", "?");
    AM_CLEANUP(am_xfreep) char *choices = am_js_plain(am_js(p, "choices"));
    if (am_streq(kind, "choice"))
        am_grid_put(g, choices);
    else if (am_streq(kind, "bool"))
        am_grid_put(g, "yes or no");
    else if (am_streq(kind, "list"))
        am_grid_put(g, "repeat it");
    else if (json_is_number(min) && json_is_number(max))
        am_grid_putf(g, "%s%s .. %s%s", json_is_true(am_js(p, "open_min")) ? ">" : "", low,
                     json_is_true(am_js(p, "open_max")) ? "<" : "", high);
    else
        am_grid_put(g, am_streq(kind, "int") ? "whole number" : am_streq(kind, "real") ? "number" : "text");
}

static void put_default(struct am_grid *g, const json_t *p)
{
    const json_t *def = am_js(p, "default");
    AM_CLEANUP(am_xfreep) char *text = am_js_plain(def);
    if (json_is_true(am_js(p, "required")))
        am_grid_put(g, "required");
    else if (json_is_array(def) && !json_array_size(def))
        am_grid_put(g, "none");
    else
        am_grid_put(g, json_is_string(def) && !json_string_length(def) ? "\"\"" : text);
}

static void put_param(struct am_grid *g, const json_t *p)
{
    AM_CLEANUP(am_xfreep) char *flag = am_xdup(am_js_text(p, "name", "?"));
    for (char *s = flag; *s; s++)
        *s = *s == '_' && g->c->out == AM_OUT_TABLE ? '-' : *s;
    if (g->c->out == AM_OUT_TABLE)
        am_grid_putf(g, "--%s", flag);
    else
        am_grid_put(g, flag);
    put_default(g, p);
    put_range(g, p);
    am_grid_put(g, am_js_text(p, "unit", NULL));
    am_grid_put(g, json_is_true(am_js(p, "per_input")) ? "model" : "job");
    am_grid_put(g, am_js_text(p, "doc", ""));
}

static void put_params(struct am_grid *g, const json_t *method, bool advanced)
{
    const json_t *p;
    size_t i;
    json_array_foreach(am_js(method, "params"), i, p)
    {
        if (json_is_true(am_js(p, "advanced")) == advanced)
            put_param(g, p);
    }
}

static void put_needs(const json_t *method)
{
    int64_t min = am_js_int(method, "needs.min_inputs", 0), max = am_js_int(method, "needs.max_inputs", 0);
    if (am_streq(am_js_text(method, "type", ""), "merge")) {
        printf("models: at least %lld", (long long)min);
        if (max > 0)
            printf(", at most %lld", (long long)max);
        printf("; base: %s\n", am_js_text(method, "needs.base", "?"));
    } else if (am_streq(am_js_text(method, "type", ""), "unlearn")) {
        printf("task: %s\n", am_js_text(method, "needs.task", "?"));
    }
    if (json_is_true(am_js(method, "needs.random")))
        puts("draws random numbers: --seed");
}

void am_method_print(const struct am_cli *c, const json_t *method)
{
    static const char *const head[] = {"PARAMETER", "DEFAULT", "RANGE", "UNIT", "PER", "WHAT IT IS", NULL};
    struct am_grid g;
    am_grid_init(&g, c, head);
    put_params(&g, method, false);
    put_params(&g, method, true);
    if (c->out == AM_OUT_TABLE) {
        const char *paper = am_js_text(method, "paper", "");
        am_put_clean(stdout, am_js_text(method, "id", "?"));
        printf(": ");
        am_put_clean(stdout, am_js_text(method, "summary", ""));
        printf("%s%s\n", paper[0] ? "\npaper: " : "", paper);
        put_needs(method);
        putchar('\n');
        if (!g.n)
            puts("no parameters");
    }
    if (g.n)
        am_grid_print(&g);
    am_grid_done(&g);
}
