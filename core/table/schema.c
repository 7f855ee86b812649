/*
 * schema.c - JSON Schema 2020-12 of a method's parameters, from its described row. For forms, clients and the OpenAPI
 * document; the checks themselves are params.c. A required parameter of each model is in no `required` list: it may
 * stand beside the model or once in the global object, and a schema of one of them must not refuse what the other
 * completes. The description says so.
 */
#include "core/table/params.h"
#include "core/table/settings.h"
#include "core/table/table.h"

#include "core/table/json_util.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool flag(const json_t *p, const char *name)
{
    return json_is_true(json_object_get(p, name));
}

static int set(json_t *o, const char *name, json_t *value)
{
    return json_object_set_new(o, name, value);
}

/* A bound, as a number of the parameter's own kind: 64, not 64.0, for an integer. */
static int set_bound(json_t *s, const json_t *p, const char *bound, const char *open, const char *word,
                     const char *exclusive)
{
    const json_t *v = json_object_get(p, bound);
    json_int_t whole;
    if (!v)
        return 0;
    bool integer = strcmp(am_row_text(p, "kind"), "int") == 0 && am_json_whole(v, &whole);
    return set(s, flag(p, open) ? exclusive : word, integer ? json_integer(whole) : json_real(json_number_value(v)));
}

static int set_kind(json_t *s, const json_t *p)
{
    const char *kind = am_row_text(p, "kind");
    if (strcmp(kind, "bool") == 0)
        return set(s, "type", json_string("boolean"));
    if (strcmp(kind, "int") == 0)
        return set(s, "type", json_string("integer"));
    if (strcmp(kind, "real") == 0)
        return set(s, "type",
                   json_is_null(json_object_get(p, "default")) ? json_pack("[s,s]", "number", "null")
                                                               : json_string("number"));
    if (strcmp(kind, "list") == 0)
        return set(s, "type", json_string("array")) | set(s, "maxItems", json_integer(AM_PARAM_LIST_MAX)) |
               set(s, "items", json_pack("{s:s,s:i}", "type", "string", "maxLength", AM_PARAM_TEXT_MAX));
    int bad = set(s, "type", json_string("string"));
    if (strcmp(kind, "choice") == 0)
        return bad | set(s, "enum", json_deep_copy(json_object_get(p, "choices")));
    return bad | set(s, "maxLength", json_integer(AM_PARAM_TEXT_MAX));
}

/* What a merge may say in place of one number: numbers over the depth, or entries by parts of tensors' names. */
static json_t *with_settings(json_t *one)
{
    json_t *number = json_deep_copy(one);
    json_object_del(number, "default");
    json_object_del(number, "description");
    json_t *entry = json_pack("{s:s,s:b,s:[s],s:{s:{s:s,s:i,s:i},s:{s:s,s:i},s:{s:[O,{s:s,s:i,s:O}]}}}", "type",
                              "object", "additionalProperties", 0, "required", "value", "properties", "filter", "type",
                              "string", "minLength", 1, "maxLength", 256, "slice", "type", "integer", "minimum", 0,
                              "value", "anyOf", number, "type", "array", "minItems", 1, "items", number);
    json_object_set_new(json_object_get(entry, "properties"), "module",
                        json_pack("{s:s,s:i,s:i,s:{s:s,s:i,s:i}}", "type", "array", "minItems", 1, "maxItems",
                                  AM_PREFIXES, "items", "type", "string", "minLength", 1, "maxLength",
                                  AM_FILTER_BYTES));
    json_t *both = json_pack("{s:[O,{s:s,s:i,s:O},{s:s,s:i,s:O},O]}", "anyOf", number, "type", "array", "minItems", 1,
                             "items", number, "type", "array", "minItems", 1, "items", entry, entry);
    json_object_set(both, "default", json_object_get(one, "default"));
    json_object_set(both, "description", json_object_get(one, "description"));
    json_decref(number);
    json_decref(entry);
    json_decref(one);
    return both;
}

static json_t *param_schema(const json_t *p)
{
    char text[1024];
    const char *unit = am_row_text(p, "unit");
    bool shown = unit[0] && strcmp(unit, "none") != 0;
    snprintf(text, sizeof(text), "%.600s%s%.100s%s%s", am_row_text(p, "doc"), shown ? " [" : "", shown ? unit : "",
             shown ? "]" : "", flag(p, "per_input") ? "; one value for each model, or one for all in params" : "");
    json_t *s = json_object();
    int bad = !s || set_kind(s, p) || set_bound(s, p, "min", "open_min", "minimum", "exclusiveMinimum") ||
              set_bound(s, p, "max", "open_max", "maximum", "exclusiveMaximum") ||
              (json_object_get(p, "default") && set(s, "default", json_deep_copy(json_object_get(p, "default")))) ||
              set(s, "description", json_string(text));
    if (bad) {
        json_decref(s);
        return NULL;
    }
    return s;
}

static bool may_vary(const json_t *method, const json_t *p)
{
    const char *kind = am_row_text(p, "kind");
    return strcmp(am_row_text(method, "type"), "merge") == 0 &&
           (strcmp(kind, "real") == 0 || strcmp(kind, "bool") == 0);
}

json_t *am_table_params_schema(json_t *method, int per_input)
{
    json_t *properties = json_object(), *required = json_array();
    int bad = !properties || !required;
    const json_t *params = json_object_get(method, "params");
    for (size_t i = 0; !bad && i < json_array_size(params); i++) {
        json_t *p = json_array_get(params, i);
        if (per_input && !flag(p, "per_input"))
            continue;
        json_t *one = param_schema(p);
        bad = set(properties, am_row_text(p, "name"), one && may_vary(method, p) ? with_settings(one) : one);
        if (!bad && flag(p, "required") && !flag(p, "per_input"))
            bad = json_array_append_new(required, json_string(am_row_text(p, "name")));
    }
    if (bad) {
        json_decref(properties);
        json_decref(required);
        return NULL;
    }
    return json_pack("{s:s,s:s,s:o,s:o,s:b}", "$schema", "https://json-schema.org/draft/2020-12/schema", "type",
                     "object", "properties", properties, "required", required, "additionalProperties", 0);
}
