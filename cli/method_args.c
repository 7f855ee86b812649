/*
 * method_args.c - flags to a job's body (method.h). Names and kinds come from the method's description; ranges and
 * combinations are the daemon's to check, so that there is one judge and all faults come at once.
 */
#include "cli/method_build.h"

#include "cli/conf.h"
#include "cli/http.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_build_put(const struct am_build *b, json_t *o, const char *name, json_t *value, const char *flag)
{
    if (!value || json_object_set_new(o, name, value) < 0)
        return am_say_usage(b->c, "%s must be UTF-8 text", flag);
    return 0;
}

/* MODEL+ADAPTER, of merges. */
static int pair_ref(const struct am_build *b, const char *text, char **ret)
{
    const char *plus = strchr(text, '+');
    AM_CLEANUP(am_xfreep) char *head = am_xprintf("%.*s", (int)(plus - text), text);
    AM_CLEANUP(am_xfreep) char *model = NULL;
    AM_CLEANUP(am_xfreep) char *adapter = NULL;
    int rc = am_build_ref(b, head, &model);
    if (rc == 0)
        rc = am_build_ref(b, plus + 1, &adapter);
    if (rc == 0)
        *ret = am_xprintf("%s+%s", model, adapter);
    return rc;
}

int am_build_ref(const struct am_build *b, const char *text, char **ret)
{
    struct am_ref ref;
    if (am_streq(b->type, "merge") && strchr(text, '+'))
        return pair_ref(b, text, ret);
    int rc = am_ref_parse(b->c, text, &ref);
    if (rc == 0)
        *ret = am_name_full(b->c, text);
    return rc;
}

char *am_build_part(char **rest)
{
    char *start = *rest, *p = start;
    int depth = 0;
    if (!start)
        return NULL;
    for (; *p && (*p != ',' || depth > 0); p++)
        depth += (*p == '[' || *p == '{') - (*p == ']' || *p == '}');
    *rest = *p ? p + 1 : NULL;
    *p = 0;
    return start;
}

static int put_input_param(const struct am_build *b, json_t *params, char *part, const char *word)
{
    char *eq = strchr(part, '=');
    if (!eq || eq == part)
        return am_say_usage(b->c, "'%s' in '%s' is not of the form param=value", part, word);
    *eq = 0;
    const json_t *param = am_method_param(b->method, part);
    const char *method = am_js_text(b->method, "id", "?");
    if (!param)
        return am_build_unknown(b, part);
    const char *name = am_js_text(param, "name", "");
    if (!json_is_true(am_js(param, "per_input")))
        return am_say_usage(b->c, "'%s' of %s holds for the whole job: write --%s=%s", name, method, name, eq + 1);
    json_t *value = NULL;
    int rc = am_method_value(b->c, param, name, eq + 1, &value);
    return rc ? rc : am_build_put(b, params, name, value, name);
}

/* "base=MODEL@REV" beside a model, of a method whose models come with what they were tuned from (merge/port). */
static bool is_base(const struct am_build *b, const char *part)
{
    const char *task = am_js_text(am_js(b->method, "needs"), "task", "");
    return am_streq(b->type, "merge") && am_streq(task, "required") && am_starts(part, "base=");
}

static int add_model(struct am_build *b, const char *word)
{
    AM_CLEANUP(am_xfreep) char *text = am_xdup(word);
    AM_CLEANUP(am_jsonp) json_t *params = json_object();
    AM_CLEANUP(am_xfreep) char *version = NULL;
    AM_CLEANUP(am_xfreep) char *base = NULL;
    char *rest = text, *part = am_build_part(&rest);
    bool alone = am_streq(b->type, "merge") && part[0] == '+'; /* an adapter: a change of the base */
    int rc = am_build_ref(b, part + alone, &version);
    while (rc == 0 && (part = am_build_part(&rest))) {
        if (is_base(b, part)) {
            am_xfreep(&base);
            rc = am_build_ref(b, part + strlen("base="), &base);
        } else
            rc = put_input_param(b, params, part, word);
    }
    if (rc)
        return rc;
    if (!am_streq(b->type, "merge")) {
        if (json_object_get(b->inputs, "model"))
            return am_say_usage(b->c, "amend %s changes one model; '%s' is one too many", b->type, word);
        if (json_object_size(params))
            return am_say_usage(b->c, "amend %s takes its parameters as flags, not beside the model", b->type);
        return am_build_put(b, b->inputs, "model", json_string(version), "the model");
    }
    bool plain = !alone && !base && !json_object_size(params);
    json_t *entry =
        plain ? json_string(version)
              : json_pack("{s:s,s:s*,s:O}", alone ? "adapter" : "version", version, "base", base, "params", params);
    if (!entry)
        return am_say_usage(b->c, "'%s' must be UTF-8 text", word);
    json_array_append_new(b->models, entry);
    return 0;
}

static int read_words(struct am_build *b, int argc, char **argv)
{
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    int rc = 0;
    while (rc == 0 && am_scan_next(&s, &t))
        rc = t.word ? add_model(b, t.word) : am_build_flag(b, &s, &t);
    if (rc)
        return rc;
    if (am_streq(b->type, "merge") ? !json_array_size(b->models) : !json_object_get(b->inputs, "model"))
        return am_say_usage(b->c, "which model? name it as namespace/name@version");
    if (am_streq(b->type, "merge") && !json_object_get(b->publish, "model"))
        return am_say_usage(b->c, "--into MODEL is missing: the model that gets the result");
    return 0;
}

int am_method_args(const struct am_cli *c, const json_t *method, int argc, char **argv, struct am_shorthand *ret)
{
    AM_CLEANUP(am_jsonp) json_t *body = json_object();
    struct am_shorthand out = {0};
    struct am_build b = {.c = c, .method = method, .type = am_js_text(method, "type", ""), .body = body, .out = &out};
    struct {
        const char *name;
        json_t **o;
    } part[] = {{"inputs", &b.inputs},
                {"params", &b.params},
                {"options", &b.options},
                {"publish", &b.publish},
                {"metadata", &b.metadata}};
    json_object_set_new(body, "type", json_string(b.type));
    json_object_set_new(body, "method", json_string(am_js_text(method, "name", "")));
    for (size_t i = 0; i < 5; i++) {
        *part[i].o = json_object();
        json_object_set_new(body, part[i].name, *part[i].o);
    }
    b.models = json_array(); /* owned by inputs when it is a merge, else dropped */
    AM_CLEANUP(am_jsonp) json_t *models = b.models;
    int rc = read_words(&b, argc, argv);
    if (rc)
        return rc;
    if (am_streq(b.type, "merge"))
        json_object_set(b.inputs, "models", models);
    for (size_t i = 1; i < 5; i++) /* what was not given is left to the daemon's defaults */
        if (!json_object_size(*part[i].o))
            json_object_del(body, part[i].name);
    out.body = json_incref(body);
    *ret = out;
    return 0;
}
