/*
 * describe.c - the registry as JSON (api.md 3.9). What is not said here, nobody outside the worker can know.
 */
#include "core/methods/describe.h"

#include "core/methods/method.h"

#include <string.h>

static const char *const kind_names[] = {
    [AM_BOOL] = "bool", [AM_INT] = "int",       [AM_REAL] = "real",
    [AM_TEXT] = "text", [AM_CHOICE] = "choice", [AM_LIST] = "list",
};
static const char *const need_names[] = {
    [AM_NO] = "none", [AM_OPTIONAL] = "optional", [AM_YES] = "required", [AM_DONOR] = "donor"};
static const char *const scope_names[] = {
    [AM_SCOPE_TENSOR] = "tensor",
    [AM_SCOPE_MODEL] = "model",
    [AM_SCOPE_BY_PARAM] = "param",
};

static void put_bool(json_t *o, const char *name, bool value)
{
    json_object_set_new(o, name, json_boolean(value));
}

static void put_bounds(json_t *o, const struct am_param *p)
{
    if (!(p->min < p->max))
        return;
    bool whole = p->kind == AM_INT;
    json_object_set_new(o, "min", whole ? json_integer((json_int_t)p->min) : json_real(p->min));
    json_object_set_new(o, "max", whole ? json_integer((json_int_t)p->max) : json_real(p->max));
    if (p->flags & AM_OPEN_MIN)
        put_bool(o, "open_min", true);
    if (p->flags & AM_OPEN_MAX)
        put_bool(o, "open_max", true);
}

static json_t *describe_param(const struct am_param *p)
{
    json_t *o = json_pack("{s:s, s:s, s:s?, s:s?}", "name", p->name, "kind", kind_names[p->kind], "unit", p->unit,
                          "doc", p->doc);
    put_bounds(o, p);
    if (p->def)
        json_object_set_new(o, "default", json_loads(p->def, JSON_DECODE_ANY, NULL));
    if (p->choices) {
        json_t *choices = json_array();
        for (size_t i = 0; p->choices[i]; i++)
            json_array_append_new(choices, json_string(p->choices[i]));
        json_object_set_new(o, "choices", choices);
    }
    put_bool(o, "required", p->flags & AM_REQUIRED);
    put_bool(o, "per_input", p->flags & AM_PER_INPUT);
    put_bool(o, "advanced", p->flags & AM_ADVANCED);
    return o;
}

static void add_params(json_t *list, const struct am_param *p)
{
    for (; p && p->name; p++)
        json_array_append_new(list, describe_param(p));
}

/* How a method says which tensors it changes: by the lists `include` and `exclude`, which everybody can read, or in its
 * own way. */
static const char *selection(const struct am_method *m)
{
    unsigned lists = 0;
    for (const struct am_param *p = m->params; p && p->name; p++)
        lists += p->kind == AM_LIST && (strcmp(p->name, "include") == 0 || strcmp(p->name, "exclude") == 0);
    return !m->selects ? "all" : lists == 2 ? "patterns" : "own";
}

static json_t *describe_needs(const struct am_method *m)
{
    const struct am_needs *n = &m->needs;
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:s}", "min_inputs", (int)n->min_inputs,
                          "base", need_names[n->base], "task", need_names[n->task], "data", "none", "unit", "window",
                          "scope", scope_names[n->scope], "selects", selection(m), "passes", (int)n->passes,
                          "acc_bytes", (json_int_t)n->acc_bytes, "deterministic", "any threads, any kernels");
    json_object_set_new(o, "max_inputs", n->max_inputs ? json_integer(n->max_inputs) : json_null());
    put_bool(o, "engine", false);
    put_bool(o, "random", n->random);
    put_bool(o, "symmetric", n->symmetric);
    return o;
}

static json_t *describe_rules(const struct am_rule *r)
{
    json_t *list = json_array();
    for (; r && r->kind != AM_RULE_END; r++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", "sum_not_zero", "a", r->a, "b", r->b));
    return list;
}

static json_t *describe_method(const struct am_method *m)
{
    const char *type = am_type_names[m->type];
    json_t *params = json_array();
    add_params(params, m->params);
    add_params(params, m->common);
    return json_pack("{s:s++, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", type, "/", m->name, "type", type, "name",
                     m->name, "since", m->since, "paper", m->paper, "summary", m->summary, "needs", describe_needs(m),
                     "params", params, "rules", describe_rules(m->rules));
}

json_t *am_describe(const struct am_method *const *methods)
{
    json_t *list = json_array();
    for (size_t i = 0; methods[i]; i++)
        json_array_append_new(list, describe_method(methods[i]));
    return json_pack("{s:i, s:o}", "abi", AM_METHOD_ABI, "methods", list);
}
