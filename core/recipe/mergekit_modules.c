/*
 * mergekit_modules.c - `modules` (merge.md B9): the models of each module take part in its tensors alone. What a module
 * sets stands beside its models; what is one value for all of them becomes an entry for that module.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"
#include "core/table/families.h"

#include <string.h>

/* Of a known name what its tensors begin with; else the name itself is that. */
static json_t *prefixes_of(const char *name)
{
    const char *known = am_family_module(name), *word;
    json_t *list = json_array();
    size_t n;
    for (size_t i = 0; known && (word = am_family_word(known, i, &n)); i++)
        json_array_append_new(list, json_stringn(word, n));
    if (!known)
        json_array_append_new(list, am_ends(name, ".") ? json_string(name) : json_sprintf("%s.", name));
    return list;
}

/* Appends what holds in a module to what holds in others. */
static void add_entries(json_t *into, const char *name, json_t *v, json_t *prefixes)
{
    json_t *list = json_object_get(into, name), *entry, *more = am_mk_entries(v);
    size_t i;
    if (!list) {
        list = json_array();
        json_object_set_new(into, name, list);
    }
    json_array_foreach(more, i, entry)
    {
        json_t *copy = json_copy(entry);
        if (json_is_object(copy))
            json_object_set(copy, "module", prefixes);
        json_array_append_new(list, copy);
    }
    json_decref(more);
}

static bool varies(const struct am_mk *k, const char *name)
{
    const char *kind = am_row_text(am_mk_declared(k, name), "kind");
    return !am_mk_declared(k, name) || am_streq(kind, "real") || am_streq(kind, "bool");
}

/* Beside a model, after what it says of itself. */
static void spread_one(struct am_mk *k, json_t *params, size_t i, const char *name, json_t *v)
{
    char model[AM_POINTER], params_at[AM_POINTER], body[AM_POINTER];
    json_t *own = json_object_get(params, name), *entries = am_mk_entries(own), *whole = am_mk_chain(own, v);
    am_pointer(params_at, am_pointer_at(model, "#/inputs/models", i), "params");
    am_pointer(body, params_at, name);
    if (!own)
        am_mk_place(k, body,
                    json_string_value(json_array_get(json_array_get(json_object_get(k->origins, name), 0), 0)));
    if (json_is_object(json_array_get(whole, 0)) && whole != own)
        am_mk_place_entries(k, body, own ? json_array_size(entries) : 0,
                            json_incref(json_object_get(k->origins, name)));
    json_object_set_new(params, name, whole);
    json_decref(entries);
}

/* k->params is what the module says of itself. */
static void spread(struct am_mk *k, const char *at, size_t first, json_t *prefixes, json_t *into, json_t *origins)
{
    char params_at[AM_POINTER], param_at[AM_POINTER];
    json_t *models = json_object_get(k->inputs, "models"), *v;
    const char *name;
    am_pointer(params_at, at, "parameters");
    json_object_foreach(k->params, name, v)
    {
        if (!varies(k, name)) {
            am_mk_fault(k, AM_E_INVALID_PARAMS, am_pointer(param_at, params_at, name), "setting-shape",
                        "%.60s is one value for all modules; set it in the global parameters", name);
            continue;
        }
        if (!json_is_true(json_object_get(am_mk_declared(k, name), "per_input"))) {
            add_entries(into, name, v, prefixes);
            am_mk_add_origins(origins, name, json_copy(json_object_get(k->origins, name)));
            continue;
        }
        for (size_t i = first; i < json_array_size(models); i++)
            spread_one(k, json_object_get(json_array_get(models, i), "params"), i, name, v);
    }
}

/* Which of models and slices it has; NULL after a fault. */
static const char *content_of(struct am_mk *k, json_t *module, const char *at)
{
    static const char *const known[] = {"models", "slices", "parameters", NULL};
    bool models = json_object_get(module, "models"), slices = json_object_get(module, "slices");
    if (models != slices) {
        am_mk_keys(k, module, at, known);
        return models ? "models" : "slices";
    }
    return am_mk_fault(k, AM_E_INVALID_REQUEST, at, "one-of",
                       "a module has exactly one of models and slices, and parameters if it likes");
}

static void take_module(struct am_mk *k, const char *name, json_t *module, const char *what, json_t *into,
                        json_t *origins)
{
    char at[AM_POINTER], list_at[AM_POINTER], params_at[AM_POINTER];
    json_t *prefixes = prefixes_of(name), *all = k->params, *from = k->origins, *m;
    size_t first = json_array_size(json_object_get(k->inputs, "models")), i;
    am_pointer(at, "#/modules", name);
    am_pointer(list_at, at, what);
    k->params = json_object();
    k->origins = json_object();
    am_mk_params(k, json_object_get(module, "parameters"), am_pointer(params_at, at, "parameters"), k->params,
                 "#/params", false);
    if (am_streq(what, "models"))
        am_mk_models(k, json_object_get(module, what), list_at);
    else
        am_mk_slices(k, json_object_get(module, what), list_at);
    spread(k, at, first, prefixes, into, origins);
    json_array_foreach(json_object_get(k->inputs, "models"), i, m) if (i >= first)
        json_object_set(m, "modules", prefixes);
    m = json_object_get(k->inputs, "base");
    if (json_is_object(m) && am_streq(what, "slices"))
        json_object_set(m, "modules", prefixes);
    json_decref(k->params);
    json_decref(k->origins);
    k->params = all;
    k->origins = from;
    json_decref(prefixes);
}

/* Modules with slices come first: the result has the layers of the first input. */
void am_mk_modules(struct am_mk *k, json_t *modules)
{
    static const char *const order[] = {"slices", "models"};
    char at[AM_POINTER];
    json_t *into = json_object(), *origins = json_object(), *module, *v;
    const char *name, *what;
    size_t stacked = 0;
    for (size_t i = 0; i < 2; i++) {
        json_object_foreach(modules, name, module)
        {
            am_pointer(at, "#/modules", name);
            if (i == 1 ? !json_object_get(module, "slices") : !!json_object_get(module, "slices")) {
                what = content_of(k, module, at);
                stacked += am_streq(what, "slices");
                if (am_streq(what, "slices") && stacked > 1)
                    am_mk_fault(k, AM_E_INVALID_PARAMS, at, "not-supported",
                                "layers are stacked in one module of a model here; merge the modules one after the "
                                "other");
                else if (what && am_streq(what, order[i]))
                    take_module(k, name, module, what, into, origins);
            }
        }
    }
    json_object_foreach(into, name, v)
    {
        am_mk_add_origins(origins, name, json_copy(json_object_get(k->origins, name)));
        json_object_set(k->origins, name, json_object_get(origins, name));
        json_object_set_new(k->params, name, am_mk_chain(v, json_object_get(k->params, name)));
    }
    json_decref(into);
    json_decref(origins);
    k->broken = k->broken || !json_object_get(k->inputs, "models");
}
