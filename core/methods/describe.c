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

/* [fixed, per_input, per_pair] */
static json_t *amount(struct am_amount a)
{
    return json_pack("[I, I, I]", (json_int_t)a.fixed, (json_int_t)a.per_input, (json_int_t)a.per_pair);
}

/* {parameter: value}, or null. */
static json_t *describe_when(const struct am_when *when)
{
    if (!when[0].param)
        return json_null();
    json_t *o = json_object();
    for (size_t i = 0; i < AM_WHEN && when[i].param; i++)
        json_object_set_new(o, when[i].param, json_string(when[i].value));
    return o;
}

/* By which tensors are given to whole() and what memory it takes; null: the method has none. */
static json_t *describe_matrix(const struct am_method *m)
{
    const struct am_matrix_need *n = &m->needs.matrix;
    if (!m->whole)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:b, s:o}", "full", amount(n->full), "square", amount(n->square), "edge",
                     amount(n->edge), "joined", n->joined, "row", amount(n->row));
}

static json_t *describe_needs(const struct am_method *m)
{
    const struct am_needs *n = &m->needs;
    bool samples = m->type == AM_EVALUATE, dense = m->whole || m->factors;
    json_t *o =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "min_inputs", (int)n->min_inputs, "base",
                  need_names[n->base], "task", need_names[n->task], "data", samples ? "predictions" : "none", "unit",
                  samples ? "samples"
                  : dense ? "tensor"
                          : "window",
                  "scope", scope_names[n->scope], "selects", selection(m), "passes", (int)n->passes, "deterministic",
                  dense ? "same kernel set" : "any threads, any kernels");
    json_object_set_new(o, "max_inputs", n->max_inputs ? json_integer(n->max_inputs) : json_null());
    json_object_set_new(o, "acc_bytes", amount(n->acc));
    json_object_set_new(o, "lists", amount(n->lists));
    json_object_set_new(o, "tally", amount(n->tally));
    put_bool(o, "masks", n->masks);
    put_bool(o, "bf16", n->bf16);
    json_object_set_new(o, "scratch", amount(n->scratch));
    json_object_set_new(o, "local_bytes", json_integer((json_int_t)n->local_bytes));
    json_object_set_new(o, "rows",
                        n->by_slab  ? json_string("slabs")
                        : n->by_row ? json_string("granularity")
                                    : json_null());
    json_object_set_new(o, "unchanged_at",
                        n->unchanged_at.param ? json_pack("{s:f}", n->unchanged_at.param, n->unchanged_at.value)
                                              : json_null());
    json_object_set_new(o, "rows_when", describe_when(n->rows_when));
    json_object_set_new(o, "row_doubles", json_integer((json_int_t)n->row_doubles));
    json_object_set_new(o, "columns_when", describe_when(n->columns_when));
    json_object_set_new(o, "column_bytes", json_integer((json_int_t)n->column_bytes));
    json_object_set_new(o, "report", amount(n->report));
    json_object_set_new(o, "matrix", describe_matrix(m));
    put_bool(o, "adapter", n->adapter);
    put_bool(o, "engine", false);
    put_bool(o, "random", n->random);
    put_bool(o, "symmetric", n->symmetric);
    return o;
}

/* At least times * a + plus models. */
static json_t *inputs_rule(const char *a, int times, int plus)
{
    return json_pack("{s:s, s:s, s:i, s:i}", "kind", "inputs_at_least", "a", a, "times", times, "plus", plus);
}

static json_t *describe_rule(const struct am_rule *r)
{
    switch (r->kind) {
    case AM_RULE_INPUTS_A:
        return inputs_rule(r->a, 1, 0);
    case AM_RULE_INPUTS_2A_1:
        return inputs_rule(r->a, 2, 1);
    case AM_RULE_INPUTS_2A_3:
        return inputs_rule(r->a, 2, 3);
    case AM_RULE_INPUTS_4A_3:
        return inputs_rule(r->a, 4, 3);
    case AM_RULE_MARGIN:
        return json_pack("{s:s, s:s, s:s}", "kind", "margin", "a", r->a, "b", r->b);
    case AM_RULE_BASE_APART:
        return json_pack("{s:s}", "kind", "base_apart");
    case AM_RULE_SUM_NOT_ZERO:
    case AM_RULE_END:
        break;
    }
    return json_pack("{s:s, s:s, s:s}", "kind", "sum_not_zero", "a", r->a, "b", r->b);
}

static json_t *describe_rules(const struct am_rule *r)
{
    json_t *list = json_array();
    for (; r && r->kind != AM_RULE_END; r++)
        json_array_append_new(list, describe_rule(r));
    return list;
}

static json_t *describe_form(const struct am_form *f)
{
    json_t *o = json_pack("{s:[s, s], s:[[f, f, f], [f, f, f]]}", "names", f->name[0], f->name[1], "to", f->to[0][0],
                          f->to[0][1], f->to[0][2], f->to[1][0], f->to[1][1], f->to[1][2]);
    json_t *defaults = json_array();
    for (size_t k = 0; k < 2; k++)
        json_array_append_new(defaults, isnan(f->def[k]) ? json_null() : json_real(f->def[k]));
    json_object_set_new(o, "defaults", defaults);
    json_object_set_new(o, "sets", f->sets[0] ? json_pack("[s, s]", f->sets[0], f->sets[1]) : json_null());
    put_bool(o, "stays", f->stays);
    put_bool(o, "shrinks", f->shrinks);
    return o;
}

static json_t *describe_canonical(const struct am_canonical *c)
{
    if (!c)
        return json_null();
    json_t *forms = json_array();
    for (const struct am_form *f = c->form; f->name[0]; f++)
        json_array_append_new(forms, describe_form(f));
    return json_pack("{s:[s, s], s:o}", "to", c->to[0], c->to[1], "forms", forms);
}

static json_t *describe_method(const struct am_method *m)
{
    const char *type = am_type_names[m->type];
    json_t *params = json_array();
    add_params(params, m->params);
    add_params(params, m->common);
    return json_pack("{s:s++, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", type, "/", m->name, "type", type,
                     "name", m->name, "since", m->since, "paper", m->paper, "summary", m->summary, "needs",
                     describe_needs(m), "params", params, "rules", describe_rules(m->rules), "canonical",
                     describe_canonical(m->canonical));
}

json_t *am_describe(const struct am_method *const *methods)
{
    json_t *list = json_array();
    for (size_t i = 0; methods[i]; i++)
        json_array_append_new(list, describe_method(methods[i]));
    return json_pack("{s:i, s:o}", "abi", AM_METHOD_ABI, "methods", list);
}
