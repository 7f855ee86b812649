/*
 * mergekit_params.c - settings (merge.md B3): YAML's spellings of numbers and truth values become those of the
 * parameter; the rest is the body's check.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"
#include "core/table/params.h"

#include <string.h>

json_t *am_mk_declared(const struct am_mk *k, const char *name)
{
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(k->row, "params"), i, p) if (am_streq(am_row_text(p, "name"), name)) return p;
    return NULL;
}

static bool has_choice(const json_t *p, const char *name)
{
    const json_t *c;
    size_t i;
    json_array_foreach(json_object_get(p, "choices"), i, c) if (am_streq(json_string_value(c), name)) return true;
    return false;
}

/* A truth value where names are taken (rescale: true). */
static json_t *choice_of(const json_t *p, json_t *v)
{
    static const char *const yes[] = {"true", "l1"}, *const no[] = {"false", "none"};
    const char *const *names = json_is_true(v) ? yes : no;
    for (size_t i = 0; i < 2; i++)
        if (has_choice(p, names[i]))
            return json_string(names[i]);
    return json_incref(v);
}

static json_t *leaf(const json_t *p, json_t *v)
{
    const char *kind = am_row_text(p, "kind"), *text = json_string_value(v);
    bool number = am_streq(kind, "real") || am_streq(kind, "int");
    double d = 0;
    if (number && text && am_yaml_number(text, &d) == 0) /* quoted */
        return am_streq(kind, "int") ? json_integer((json_int_t)d) : json_real(d);
    if (number && json_is_boolean(v))
        return json_integer(json_is_true(v));
    if (am_streq(kind, "bool") && json_is_number(v) && (json_number_value(v) == 0 || json_number_value(v) == 1))
        return json_boolean(json_number_value(v) == 1);
    if (am_streq(kind, "choice") && json_is_boolean(v))
        return choice_of(p, v);
    return json_incref(v);
}

static json_t *setting(struct am_mk *k, const json_t *p, json_t *v, const char *at, unsigned depth)
{
    static const char *const entry[] = {"filter", "value", NULL};
    char below[AM_POINTER];
    json_t *out, *one;
    const char *key;
    size_t i;
    if (depth > 4 || (!json_is_array(v) && !json_is_object(v)))
        return leaf(p, v);
    if (json_is_array(v)) {
        out = json_array();
        json_array_foreach(v, i, one)
            json_array_append_new(out, setting(k, p, one, am_pointer_at(below, at, i), depth + 1));
        return out;
    }
    out = json_object();
    am_mk_keys(k, v, at, entry);
    json_object_foreach(v, key, one)
    {
        bool filter = am_streq(key, "filter");
        if (!filter && !am_streq(key, "value")) /* told */
            continue;
        json_object_set_new(out, key,
                            filter ? json_incref(one) : setting(k, p, one, am_pointer(below, at, key), depth + 1));
    }
    return out;
}

/* What mergekit takes and does nothing with. True: told. */
static bool no_effect(struct am_mk *k, const char *name, const char *at)
{
    if (am_streq(name, "int8_mask")) {
        am_mk_warn(k, "int8-mask-ignored", at, "int8_mask changes no result; it is left out");
        return true;
    }
    if (am_streq(name, "density") && k->row && am_streq(am_row_text(k->row, "name"), "task_arithmetic")) {
        am_mk_warn(k, "density-ignored", at, "task_arithmetic keeps every entry; density is left out");
        return true;
    }
    return false;
}

/* A name that the method does not have: with lenient a warning. */
static bool is_known(struct am_mk *k, const char *name, const char *at)
{
    if (am_mk_declared(k, name) || !k->row || !k->lenient)
        return true;
    am_mk_warn(k, "unknown-parameter", at, "%s has no parameter %.60s; it is left out", am_row_text(k->row, "name"),
               name);
    return false;
}

void am_mk_params(struct am_mk *k, json_t *from, const char *pointer, json_t *into, const char *body_pointer,
                  bool beside)
{
    char at[AM_POINTER], body_at[AM_POINTER];
    const char *name;
    json_t *v;
    if (!from || json_is_null(from))
        return;
    if (!json_is_object(from)) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, "setting-shape", "expected parameters by name, got %s",
                    am_json_kind(from));
        return;
    }
    json_object_foreach(from, name, v)
    {
        am_pointer(at, pointer, name);
        if (no_effect(k, name, at) || !is_known(k, name, at))
            continue;
        json_t *p = am_mk_declared(k, name);
        if (k->row && !p) {
            const struct am_body of = {.row = k->row, .method = am_row_text(k->row, "name")};
            am_params_unknown(&of, name, at, beside, k->f);
            continue;
        }
        /* one value for all that stands beside one model, as mergekit reads it nowhere */
        if (beside && p && k->lenient && !json_is_true(json_object_get(p, "per_input"))) {
            am_mk_warn(k, "unknown-parameter", at, "%.60s is one value for all models; here it is left out", name);
            continue;
        }
        json_object_set_new(into, name, p ? setting(k, p, v, at, 0) : json_incref(v));
        am_mk_place(k, am_pointer(body_at, body_pointer, name), at);
        if (into == k->params)
            json_object_set_new(k->origins, name, am_mk_origins(v, at));
    }
}

static bool is_list_of_entries(const json_t *v)
{
    return json_is_object(json_array_get(v, 0));
}

json_t *am_mk_origins(json_t *v, const char *yaml)
{
    char at[AM_POINTER], value[AM_POINTER];
    json_t *list = json_array();
    if (!json_is_object(v) && !is_list_of_entries(v))
        json_array_append_new(list, json_pack("[s,s]", yaml, yaml));
    else if (json_is_object(v))
        json_array_append_new(list, json_pack("[s,s]", yaml, am_pointer(value, yaml, "value")));
    for (size_t i = 0; is_list_of_entries(v) && i < json_array_size(v); i++) {
        am_pointer_at(at, yaml, i);
        am_pointer(value, at, "value");
        json_array_append_new(list, json_pack("[s,s]", at, value));
    }
    return list;
}

void am_mk_place_entries(struct am_mk *k, const char *body, size_t first, json_t *origins)
{
    char at[AM_POINTER], value[AM_POINTER];
    json_t *one;
    size_t i;
    json_array_foreach(origins, i, one)
    {
        am_mk_place(k, am_pointer_at(at, body, first + i), json_string_value(json_array_get(one, 0)));
        am_mk_place(k, am_pointer(value, at, "value"), json_string_value(json_array_get(one, 1)));
    }
    json_decref(origins);
}

void am_mk_add_origins(json_t *origins, const char *name, json_t *more)
{
    json_t *list = json_object_get(origins, name);
    if (!list) {
        json_object_set_new(origins, name, more);
        return;
    }
    json_array_extend(list, more);
    json_decref(more);
}

void am_mk_place_params(struct am_mk *k)
{
    char at[AM_POINTER];
    const char *name;
    json_t *v;
    json_object_foreach(k->params, name, v) if (is_list_of_entries(v))
        am_mk_place_entries(k, am_pointer(at, "#/params", name), 0, json_incref(json_object_get(k->origins, name)));
}

json_t *am_mk_entries(json_t *v)
{
    if (json_is_object(v))
        return json_pack("[O]", v);
    return json_is_object(json_array_get(v, 0)) ? json_copy(v) : json_pack("[{s:O}]", "value", v);
}

json_t *am_mk_chain(json_t *own, json_t *next)
{
    bool everywhere = own && !json_is_object(own) && !json_is_object(json_array_get(own, 0));
    if (everywhere || !next)
        return json_incref(own);
    if (!own)
        return json_incref(next);
    json_t *list = am_mk_entries(own), *rest = am_mk_entries(next);
    json_array_extend(list, rest);
    json_decref(rest);
    return list;
}
