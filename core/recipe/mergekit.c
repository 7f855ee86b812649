/*
 * mergekit.c - the top of a configuration, and the translation as a whole (mergekit.h).
 */
#include "core/recipe/mergekit.h"

#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"
#include "core/table/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void am_mk_place(struct am_mk *k, const char *body, const char *yaml)
{
    json_array_append_new(k->m->place, json_pack("[s,s]", body, yaml));
}

void am_mk_warn(struct am_mk *k, const char *code, const char *pointer, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_utf8_mend(text);
    json_array_append_new(k->m->warnings,
                          json_pack("{s:s, s:s, s:s}", "code", code, "detail", text, "pointer", pointer));
}

void *am_mk_fault(struct am_mk *k, int code, const char *pointer, const char *reason, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_fault_add(k->f, code, (struct am_where){.pointer = pointer, .reason = reason}, "%s", text);
    return NULL;
}

static bool is_one(const char *text, const char *const *words)
{
    while (*words && !am_streq(text, *words))
        words++;
    return *words != NULL;
}

void am_mk_keys(struct am_mk *k, json_t *obj, const char *pointer, const char *const *known)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    const char *name;
    json_t *v;
    size_t n = 0;
    while (known[n])
        n++;
    json_object_foreach(obj, name, v)
    {
        size_t i = 0;
        while (i < n && !am_streq(known[i], name))
            i++;
        if (i < n)
            continue;
        const char *near = strnlen(name, 101) <= 100 ? am_nearest(name, known, n) : NULL;
        am_pointer(at, pointer, name);
        if (k->lenient)
            am_mk_warn(k, "unknown-key", at, "unknown key %s; it is left out", am_shown(shown, name));
        else if (!near && am_mk_declared(k, name) && is_one("parameters", known))
            am_mk_fault(k, AM_E_UNKNOWN_MEMBER, at, "unknown-key", "unknown key %s; put it below parameters",
                        am_shown(shown, name));
        else
            am_mk_fault(k, AM_E_UNKNOWN_MEMBER, at, "unknown-key", "unknown key %s%s%s%s", am_shown(shown, name),
                        near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
}

/* ---- the method ---- */

static void take_method(struct am_mk *k, json_t *body)
{
    json_t *v = json_object_get(k->doc, "merge_method");
    const char *name = json_string_value(v);
    am_mk_place(k, "#/method", "#/merge_method");
    if (!name) {
        k->broken = true;
        am_mk_fault(k, AM_E_INVALID_REQUEST, v ? "#/merge_method" : "#", NULL,
                    v ? "merge_method is the name of a method" : "merge_method is missing");
        return;
    }
    k->row = am_table_find(k->table, "merge", name);
    json_object_set_new(body, "method", json_string(name));
}

/* ---- dtypes ---- */

static void take_dtype(struct am_mk *k, const char *name)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    json_t *v = json_object_get(k->doc, name);
    const char *text = json_string_value(v);
    if (!v || json_is_null(v) || am_streq(text, ""))
        return;
    am_pointer(at, "#", name);
    if (!text) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, at, "dtype", "expected the name of a dtype, got %s", am_json_kind(v));
        return;
    }
    const char *plain = am_starts(text, "torch.") ? text + strlen("torch.") : text;
    static const char *const known[] = {"float32", "float16", "bfloat16"};
    for (size_t i = 0; i < 3; i++) {
        if (!am_streq(plain, known[i]))
            continue;
        json_object_set_new(k->options, "out_dtype", json_string(plain));
        if (am_streq(name, "dtype") && am_streq(json_string_value(json_object_get(k->params, "compat")), "exact") &&
            am_mk_declared(k, "compat_dtype"))
            json_object_set_new(k->params, "compat_dtype", json_string(plain));
        am_mk_place(k, "#/options/out_dtype", at);
        return;
    }
    am_mk_fault(k, AM_E_DTYPE_UNSUPPORTED, at, "dtype", "dtype %s cannot be merged; use float32, float16 or bfloat16",
                am_shown(shown, text));
}

/* ---- what a YAML body implies ---- */

static void take_compat(struct am_mk *k)
{
    static const char *const known[] = {"none", "rules", "exact", NULL};
    const char *asked = json_string_value(json_object_get(k->ask, "compat")), *compat = asked ? asked : "rules";
    am_mk_place(k, "#/params/compat", "?compat");
    k->rules = !am_streq(compat, "none");
    if (!is_one(compat, known))
        am_mk_fault(k, AM_E_INVALID_REQUEST, "?compat", NULL, "compat is none, rules or exact");
    else if (am_streq(compat, "exact") && am_mk_declared(k, "compat") && !json_object_get(k->doc, "dtype"))
        am_mk_fault(k, AM_E_INVALID_PARAMS, "?compat", NULL,
                    "compat=exact rounds every step to the dtype of the configuration; give dtype");
    else if (am_mk_declared(k, "compat"))
        json_object_set_new(k->params, "compat", json_string(compat));
    else if (asked && k->row && !am_streq(asked, "none"))
        am_mk_warn(k, "compat-ignored", "?compat",
                   "%s has one way of computing, with one rounding at the end; compat makes no difference",
                   am_row_text(k->row, "name"));
}

static bool is_gradient(const json_t *v)
{
    return json_is_number(json_array_get(v, 0)) && json_array_size(v) > 1;
}

/* The entry that such a tensor takes its value from, in the last slice. NULL: none. */
static json_t *entry_of(const struct am_mk *k, json_t *v, const char *tensor, size_t *ret)
{
    json_t *e;
    size_t i;
    json_array_foreach(v, i, e)
    {
        *ret = i;
        const char *filter = json_string_value(json_object_get(e, "filter"));
        const json_t *slice = json_object_get(e, "slice");
        if (slice && (size_t)json_integer_value(slice) + 1 != k->slices)
            continue;
        if (!filter || am_streq(filter, "*") || strstr(tensor, filter))
            return e;
    }
    return NULL;
}

/* Whether a list over the depth is met by what lies after the layers, and where it stands: in `at`. */
static bool reaches_the_end(const struct am_mk *k, json_t *v, char at[AM_POINTER])
{
    static const char *const tensors[] = {"model.norm.weight", "lm_head.weight"};
    char list[AM_POINTER];
    size_t n = 0;
    for (size_t i = 0; json_is_object(json_array_get(v, 0)) && i < 2; i++) {
        if (!is_gradient(json_object_get(entry_of(k, v, tensors[i], &n), "value")))
            continue;
        snprintf(list, sizeof list, "%s", at);
        am_pointer_at(at, list, n);
        return true;
    }
    return is_gradient(v);
}

static void warn_edges(struct am_mk *k, json_t *params, const char *pointer)
{
    char at[AM_POINTER], yaml[AM_POINTER];
    const char *name;
    json_t *v;
    json_object_foreach(params, name, v)
    {
        am_pointer(at, pointer, name);
        if (!reaches_the_end(k, v, at))
            continue;
        am_mk_warn(k, "gradient-edge", am_mk_translate(k->m, at, yaml) ? yaml : at,
                   "as in mergekit, tensors after the layers (final norm, head) take the first value of the list; "
                   "post_layers_t=1 gives them the last");
    }
}

/* The depth of the end as mergekit has it, unless it was asked for. */
static void take_depth(struct am_mk *k)
{
    char at[AM_POINTER], params[AM_POINTER];
    json_t *m;
    size_t i;
    if (json_object_get(k->options, "post_layers_t"))
        return;
    json_object_set_new(k->options, "post_layers_t", json_integer(0));
    warn_edges(k, k->params, "#/params");
    json_array_foreach(json_object_get(k->inputs, "models"), i, m) warn_edges(
        k, json_object_get(m, "params"), am_pointer(params, am_pointer_at(at, "#/inputs/models", i), "params"));
}

/* As mergekit: what some models lack is merged from the others, what the base lacks is left out. */
static void take_ways(struct am_mk *k)
{
    if (k->rules && !json_object_get(k->options, "missing"))
        json_object_set_new(k->options, "missing", json_string("present"));
    if (k->rules && !json_object_get(k->options, "extra"))
        json_object_set_new(k->options, "extra", json_string("drop"));
}

/* ---- the whole ---- */

static const char *one_of(struct am_mk *k)
{
    static const char *const names[] = {"models", "slices", "modules"};
    const char *found = NULL;
    char list[AM_LIST_TEXT] = "";
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        json_t *v = json_object_get(k->doc, names[i]);
        if (!v || json_is_null(v))
            continue;
        am_list_put(list, names[i]);
        found = names[i];
        n++;
    }
    if (n == 1)
        return found;
    k->broken = true;
    return am_mk_fault(k, AM_E_INVALID_REQUEST, "#", "one-of",
                       "give exactly one of models, slices, modules (found: %s)", n ? list : "none");
}

/* Where a filter of theirs does not match, those of the whole count. */
static void take_module_params(struct am_mk *k, json_t *from, const char *at)
{
    char param_at[AM_POINTER];
    json_t *own = json_object(), *v;
    const char *name;
    am_mk_params(k, from, at, own, "#/params", false);
    json_object_foreach(own, name, v)
    {
        json_t *origins = am_mk_origins(v, am_pointer(param_at, at, name)), *next = json_object_get(k->origins, name);
        if (next)
            json_array_extend(origins, next);
        json_object_set_new(k->origins, name, origins);
        json_object_set_new(k->params, name, am_mk_chain(v, json_object_get(k->params, name)));
    }
    json_decref(own);
}

/* modules: {default: ...} is the same as without it. NULL: there are others. */
static json_t *take_modules(struct am_mk *k, char at[AM_POINTER], const char **ret_what)
{
    static const char *const known[] = {"models", "slices", "parameters", NULL};
    json_t *modules = json_object_get(k->doc, "modules"), *whole = json_object_get(modules, "default");
    if (!json_is_object(modules) || json_object_size(modules) == 0) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, "#/modules", NULL,
                    "expected {default: {models: ...}}, or modules by name");
        k->broken = true;
        return NULL;
    }
    if (!json_is_object(whole) || json_object_size(modules) != 1) {
        am_mk_modules(k, modules);
        return NULL;
    }
    am_mk_keys(k, whole, "#/modules/default", known);
    take_module_params(k, json_object_get(whole, "parameters"), "#/modules/default/parameters");
    bool models = json_object_get(whole, "models") != NULL, slices = json_object_get(whole, "slices") != NULL;
    if (models == slices) {
        k->broken = true;
        return am_mk_fault(k, AM_E_INVALID_REQUEST, "#/modules/default", "one-of",
                           "give exactly one of models, slices (found: %s)", models ? "models, slices" : "none");
    }
    *ret_what = slices ? "slices" : "models";
    am_pointer(at, "#/modules/default", *ret_what);
    return json_object_get(whole, *ret_what);
}

static void take_inputs(struct am_mk *k)
{
    char at[AM_POINTER];
    const char *what = one_of(k);
    json_t *list = what ? json_object_get(k->doc, what) : NULL;
    if (!what)
        return;
    am_pointer(at, "#", what);
    if (am_streq(what, "modules") && !(list = take_modules(k, at, &what)))
        return;
    if (am_streq(what, "models"))
        am_mk_models(k, list, at);
    else
        am_mk_slices(k, list, at);
}

/* Files of mergekit's other programs. True: told. */
static bool is_of_others(struct am_mk *k)
{
    static const char *const files[][3] = {
        {"experts", "mergekit-moe",
         "a mixture of experts is not made here; merge the models, or register what it makes"},
        {"genome", "mergekit-evolve", "there is no search here; submit a configuration for each of its genomes"}};
    for (size_t i = 0; i < 2 && !json_object_get(k->doc, "merge_method"); i++)
        if (json_object_get(k->doc, files[i][0])) {
            k->broken = true;
            am_mk_fault(k, AM_E_INVALID_REQUEST, "#", "not-supported", "this is a configuration of %s: %s", files[i][1],
                        files[i][2]);
            return true;
        }
    return false;
}

static void translate(struct am_mk *k, json_t *body, const char *text, size_t n)
{
    const char *const known[] = {"merge_method",
                                 "models",
                                 "slices",
                                 "modules",
                                 "base_model",
                                 "dtype",
                                 "out_dtype",
                                 "tokenizer_source",
                                 "tokenizer",
                                 "chat_template",
                                 "parameters",
                                 k->names ? "name" : NULL,
                                 NULL};
    if (is_of_others(k))
        return;
    take_method(k, body);
    am_mk_keys(k, k->doc, "#", known);
    am_mk_place(k, "#/inputs/base", "#/base_model");
    am_mk_place(k, "#/params", "#/parameters");
    am_mk_params(k, json_object_get(k->doc, "parameters"), "#/parameters", k->params, "#/params", false);
    am_mk_base(k);
    take_compat(k);
    take_inputs(k);
    am_mk_place_params(k);
    take_dtype(k, "dtype");
    take_dtype(k, "out_dtype");
    am_mk_tokenizer(k);
    am_mk_ask(k, body);
    take_depth(k);
    take_ways(k);
    json_object_set_new(body, "mergekit_config", json_stringn(text, n));
}

static json_t *new_body(struct am_mk *k)
{
    json_t *body = json_pack("{s:s, s:{}, s:{}, s:{}, s:{}, s:{}}", "type", "merge", "inputs", "params", "options",
                             "publish", "metadata");
    k->inputs = json_object_get(body, "inputs");
    k->params = json_object_get(body, "params");
    k->options = json_object_get(body, "options");
    k->publish = json_object_get(body, "publish");
    k->metadata = json_object_get(body, "metadata");
    return body;
}

void am_mk_document(struct am_mergekit *m, json_t *doc, const char *text, size_t n, const struct am_mk_names *names,
                    json_t *ask, const struct am_table *t, struct am_faults *f)
{
    struct am_mk k = {.m = m, .doc = doc, .ask = ask, .table = t, .f = f, .names = names};
    const char *lenient = json_string_value(json_object_get(ask, "lenient"));
    k.lenient = am_streq(lenient, "true");
    if (lenient && !k.lenient && !am_streq(lenient, "false"))
        am_mk_fault(&k, AM_E_INVALID_REQUEST, "?lenient", NULL, "lenient is true or false");
    k.origins = json_object();
    if (!json_is_object(doc)) {
        am_mk_fault(&k, AM_E_INVALID_REQUEST, "#", NULL,
                    "expected a configuration with merge_method and models, got %s", am_json_kind(doc));
    } else {
        m->body = new_body(&k);
        if (m->body)
            translate(&k, m->body, text, n);
        if (k.broken) {
            json_decref(m->body);
            m->body = NULL;
        }
    }
    json_decref(k.origins);
    m->own = f->n;
    am_mk_place_warnings(m);
}

int am_mergekit_read(struct am_mergekit *ret, const char *text, size_t n, json_t *ask, const struct am_table *t,
                     struct am_faults *f)
{
    struct am_mergekit m = {.warnings = json_array(), .place = json_array()};
    int rc = m.warnings && m.place ? am_yaml_read(&m.yaml, text, n, f) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0 && m.yaml.n == 1)
        am_mk_document(&m, m.yaml.v[0].json, text, n, NULL, ask, t, f);
    m.own = f->n;
    if (rc == -AM_E_OUT_OF_MEMORY) {
        am_mergekit_done(&m);
        return rc;
    }
    *ret = m;
    return am_faults_worst(f);
}

void am_mergekit_done(struct am_mergekit *m)
{
    am_yaml_done(&m->yaml);
    json_decref(m->body);
    json_decref(m->warnings);
    json_decref(m->place);
    *m = (struct am_mergekit){0};
}
