/*
 * method_flags.c - the flags of merge, unlearn and edit: the table of the fixed ones, and parameters by their
 * description.
 */
#include "cli/method_build.h"

#include "cli/http.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set_base(struct am_build *b, const char *value)
{
    if (!am_streq(b->type, "merge"))
        return am_say_usage(b->c, "--base is for merges");
    AM_CLEANUP(am_xfreep) char *base = NULL;
    int rc = am_build_ref(b, value, &base);
    return rc ? rc : am_build_put(b, b->inputs, "base", json_string(base), "--base");
}

static int set_task(struct am_build *b, const char *value)
{
    if (!am_streq(b->type, "unlearn"))
        return am_say_usage(b->c, "--task is for unlearn methods");
    AM_CLEANUP(am_xfreep) char *text = am_xdup(value);
    AM_CLEANUP(am_xfreep) char *version = NULL;
    char *rest = text, *part = am_build_part(&rest);
    AM_CLEANUP(am_jsonp) json_t *task = json_object();
    int rc = am_build_ref(b, part, &version);
    if (rc == 0)
        rc = am_build_put(b, task, "version", json_string(version), "--task");
    while (rc == 0 && (part = am_build_part(&rest))) {
        if (!am_starts(part, "base="))
            return am_say_usage(b->c, "--task takes FINE_TUNE or FINE_TUNE,base=OLD_BASE, not '%s'", value);
        AM_CLEANUP(am_xfreep) char *base = NULL;
        rc = am_build_ref(b, part + 5, &base);
        if (rc == 0)
            rc = am_build_put(b, task, "base", json_string(base), "--task");
    }
    return rc ? rc : am_build_put(b, b->inputs, "task", json_incref(task), "--task");
}

static int set_into(struct am_build *b, const char *value)
{
    struct am_ref ref;
    int rc = am_model_parse(b->c, value, &ref);
    return rc ? rc : am_build_put(b, b->publish, "model", json_string(ref.model), "--into");
}

static int set_tag(struct am_build *b, const char *value)
{
    json_t *tags = json_object_get(b->publish, "tags");
    if (!tags) {
        tags = json_array();
        json_object_set_new(b->publish, "tags", tags);
    }
    json_t *tag = json_string(value);
    return tag && json_array_append_new(tags, tag) == 0 ? 0 : am_say_usage(b->c, "--tag must be UTF-8 text");
}

static int put_in_gate(struct am_build *b, const char *name, const char *value, const char *flag)
{
    json_t *gate = json_object_get(b->body, "gate");
    if (!gate) {
        gate = json_object();
        json_object_set_new(b->body, "gate", gate);
    }
    return am_build_put(b, gate, name, json_string(value), flag);
}

static int set_gate(struct am_build *b, const char *value)
{
    return put_in_gate(b, "policy", value, "--gate");
}

static int set_old_predictions(struct am_build *b, const char *value)
{
    return put_in_gate(b, "old_predictions", value, "--old-predictions");
}

static int set_new_predictions(struct am_build *b, const char *value)
{
    return put_in_gate(b, "new_predictions", value, "--new-predictions");
}

static int set_move(struct am_build *b, const char *value)
{
    json_t *moves = json_object_get(b->publish, "move"), *move = json_pack("{s:s}", "ref", value);
    if (!moves) {
        moves = json_array();
        json_object_set_new(b->publish, "move", moves);
    }
    return move && json_array_append_new(moves, move) == 0 ? 0 : am_say_usage(b->c, "--move must be UTF-8 text");
}

static int set_message(struct am_build *b, const char *value)
{
    return am_build_put(b, b->publish, "message", json_string(value), "--message");
}

static int set_branch(struct am_build *b, const char *value)
{
    return am_build_put(b, b->publish, "branch", json_string(value), "--branch");
}

static int set_number(struct am_build *b, json_t *o, const char *name, const char *flag, const char *value,
                      uint64_t max)
{
    uint64_t n;
    int rc = am_opt_number(b->c, flag, value, 0, max, &n);
    return rc ? rc : am_build_put(b, o, name, json_integer((json_int_t)n), flag);
}

static int set_threads(struct am_build *b, const char *value)
{
    return set_number(b, b->options, "threads", "--threads", value, 1024);
}

static int set_seed(struct am_build *b, const char *value)
{
    return set_number(b, b->options, "seed", "--seed", value, INT64_MAX);
}

static int set_reuse(struct am_build *b, const char *value)
{
    return am_build_put(b, b->options, "reuse", json_boolean(!am_streq(value, "false")), "--reuse");
}

static int set_priority(struct am_build *b, const char *value)
{
    return set_number(b, b->body, "priority", "--priority", value, 100);
}

static int set_dtype(struct am_build *b, const char *value)
{
    return am_build_put(b, b->options, "out_dtype", json_string(value), "--out-dtype");
}

static int set_metadata(struct am_build *b, const char *value)
{
    const char *eq = strchr(value, '=');
    if (!eq || eq == value)
        return am_say_usage(b->c, "--metadata takes KEY=VALUE, not '%s'", value);
    AM_CLEANUP(am_xfreep) char *key = am_xprintf("%.*s", (int)(eq - value), value);
    return am_build_put(b, b->metadata, key, json_string(eq + 1), "--metadata");
}

/* One more value of a parameter; a list grows. */
static int put_param(struct am_build *b, const json_t *param, const char *flag, const char *text)
{
    const char *name = am_js_text(param, "name", "");
    json_t *value = NULL, *there = json_object_get(b->params, name);
    int rc = am_method_value(b->c, param, flag, text, &value);
    if (rc)
        return rc;
    if (json_is_array(there) && json_is_array(value) && am_streq(am_js_text(param, "kind", ""), "list")) {
        json_array_extend(there, value);
        json_decref(value);
        return 0;
    }
    return am_build_put(b, b->params, name, value, flag);
}

static int set_param(struct am_build *b, const char *value)
{
    const char *eq = strchr(value, '=');
    AM_CLEANUP(am_xfreep) char *name = eq ? am_xprintf("%.*s", (int)(eq - value), value) : am_xdup(value);
    const json_t *param = am_method_param(b->method, name);
    if (!eq || !param)
        return am_say_usage(b->c, "--param takes NAME=VALUE with a parameter of %s, not '%s'",
                            am_js_text(b->method, "id", "?"), value);
    return put_param(b, param, name, eq + 1);
}

static const struct {
    const char *name;
    int (*set)(struct am_build *, const char *);
} flags[] = {
    {"base", set_base},         {"task", set_task},
    {"into", set_into},         {"message", set_message},
    {"branch", set_branch},     {"tag", set_tag},
    {"threads", set_threads},   {"seed", set_seed},
    {"out-dtype", set_dtype},   {"metadata", set_metadata},
    {"priority", set_priority}, {"param", set_param},
    {"reuse", set_reuse},       {"wait", NULL},
    {"print-spec", NULL},       {"dry-run", NULL},
    {"gate", set_gate},         {"old-predictions", set_old_predictions},
    {"move", set_move},         {"new-predictions", set_new_predictions},
};
#define FLAGS (sizeof flags / sizeof *flags)

int am_build_unknown(const struct am_build *b, const char *name)
{
    const json_t *p;
    size_t i, n = 0;
    const json_t *params = am_js(b->method, "params");
    const char **known = am_xalloc((FLAGS + json_array_size(params)) * sizeof *known);
    for (i = 0; i < FLAGS; i++)
        known[n++] = flags[i].name;
    json_array_foreach(params, i, p) known[n++] = am_js_text(p, "name", "");
    const char *near = am_near(name, known, n);
    const char *method = am_js_text(b->method, "id", "?");
    int rc = near ? am_say_usage(b->c, "%s has no parameter or option --%s; did you mean --%s?", method, name, near)
                  : am_say_usage(b->c, "%s has no parameter or option --%s", method, name);
    free(known);
    return rc;
}

int am_build_flag(struct am_build *b, struct am_scan *s, const struct am_token *t)
{
    const char *value = NULL;
    if (am_streq(t->name, "no-reuse") && !t->inlined)
        return set_reuse(b, "false");
    if (am_streq(t->name, "reuse"))
        return set_reuse(b, t->inlined ? t->inlined : "true");
    for (size_t i = 0; i < FLAGS; i++) {
        if (!am_streq(t->name, flags[i].name))
            continue;
        if (!flags[i].set) {
            bool *at = am_streq(t->name, "wait")      ? &b->out->wait
                       : am_streq(t->name, "dry-run") ? &b->out->dry_run
                                                      : &b->out->print_spec;
            *at = true;
            return 0;
        }
        if (!(value = am_scan_value(s, t)))
            return am_say_usage(b->c, "--%s needs a value after it", t->name);
        return flags[i].set(b, value);
    }
    const json_t *param = am_method_param(b->method, t->name);
    bool negated = !param && (am_starts(t->name, "no-") || am_starts(t->name, "no_"));
    if (negated)
        param = am_method_param(b->method, t->name + 3);
    bool is_bool = am_streq(am_js_text(param, "kind", ""), "bool");
    if (!param || (negated && (!is_bool || t->inlined)))
        return am_build_unknown(b, t->name);
    if (is_bool) /* a bare flag; --x=false works too, and the next word is never taken for its value */
        value = negated ? "false" : t->inlined ? t->inlined : "true";
    else if (!(value = am_scan_value(s, t)))
        return am_say_usage(b->c, "--%s needs a value after it", t->name);
    return put_param(b, param, t->name, value);
}
