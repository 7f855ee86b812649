/*
 * mergekit_models.c - `base_model` and `models` (merge.md B10): which of them is the base, and what each model has
 * beside it.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <string.h>

void am_mk_base(struct am_mk *k)
{
    json_t *v = json_object_get(k->doc, "base_model");
    if (!v || json_is_null(v))
        return;
    json_t *ref = am_mk_ref(k, v, "#/base_model");
    json_object_set_new(k->inputs, "base", ref ? ref : json_string("")); /* an empty one has its fault already */
    k->base = json_string_value(json_object_get(k->inputs, "base"));
}

static const char *need(const struct am_mk *k)
{
    return k->row ? am_row_need(k->row, "base") : "optional";
}

/* The base among the models is the base only. */
static bool is_base_only(struct am_mk *k, const char *ref, const char *at, const json_t *params)
{
    if (!k->base || !am_mk_same_ref(ref, k->base))
        return false;
    if (am_streq(need(k), "optional")) {
        am_mk_fault(k, AM_E_INVALID_PARAMS, "#/base_model", "base-forbidden",
                    "%s: base_model must not be one of the merged models", am_row_text(k->row, "name"));
        k->base = NULL;
        json_object_del(k->inputs, "base");
        return false;
    }
    if (!am_streq(need(k), "required"))
        return false;
    if (json_object_size(params))
        am_mk_warn(k, "base-listed-as-input", at, "%s is the base and no model beside it; its parameters are left out",
                   ref);
    return true;
}

static bool is_listed(struct am_mk *k, json_t *models, const char *ref, const char *at)
{
    json_t *m;
    size_t i;
    json_array_foreach(models, i, m)
    {
        if (json_object_get(m, "modules") || !k->rules ||
            !am_mk_same_ref(json_string_value(json_object_get(m, "version")), ref))
            continue;
        am_mk_warn(k, "compat-effects", at,
                   "%s is listed twice; as in mergekit the first one counts, with its parameters", ref);
        return true;
    }
    return false;
}

/* Counts as a model: what is wrong with it has been told. */
static void add_broken(struct am_mk *k, const char *at, json_t *models)
{
    char body[AM_POINTER];
    am_mk_place(k, am_pointer_at(body, "#/inputs/models", json_array_size(models)), at);
    json_array_append_new(models, json_pack("{s:s, s:{}}", "version", "", "params"));
}

static void add_model(struct am_mk *k, json_t *entry, const char *at, json_t *models)
{
    static const char *const known[] = {"model", "parameters", NULL};
    char model_at[AM_POINTER], params_at[AM_POINTER], body[AM_POINTER], in_body[AM_POINTER];
    am_pointer(model_at, at, "model");
    am_pointer(params_at, at, "parameters");
    if (!json_is_object(entry)) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, at, NULL, "expected {model, parameters}, got %s", am_json_kind(entry));
        add_broken(k, at, models);
        return;
    }
    am_mk_keys(k, entry, at, known);
    if (!json_object_get(entry, "model")) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, at, NULL, "an entry of models needs the key model");
        add_broken(k, at, models);
        return;
    }
    json_t *ref = am_mk_ref(k, json_object_get(entry, "model"), model_at);
    const char *text = ref ? json_string_value(ref) : "";
    if (ref &&
        (is_base_only(k, text, params_at, json_object_get(entry, "parameters")) || is_listed(k, models, text, at))) {
        json_decref(ref);
        return;
    }
    json_t *m = json_pack("{s:o, s:{}}", "version", ref ? ref : json_string(""), "params");
    am_pointer_at(body, "#/inputs/models", json_array_size(models));
    am_mk_place(k, body, at);
    am_mk_place(k, am_pointer(in_body, body, "version"), model_at);
    am_pointer(in_body, body, "params");
    am_mk_place(k, in_body, params_at);
    am_mk_params(k, json_object_get(entry, "parameters"), params_at, json_object_get(m, "params"), in_body, true);
    json_array_append_new(models, m);
}

void am_mk_models(struct am_mk *k, json_t *list, const char *pointer)
{
    char at[AM_POINTER];
    json_t *models = json_object_get(k->inputs, "models"), *entry; /* those of other modules */
    size_t i;
    if (!models) {
        models = json_array();
        json_object_set_new(k->inputs, "models", models);
    }
    am_mk_place(k, "#/inputs/models", pointer);
    if (!json_is_array(list))
        k->broken = am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, NULL, "expected a list of models, got %s",
                                am_json_kind(list)) == NULL;
    json_array_foreach(list, i, entry) add_model(k, entry, am_pointer_at(at, pointer, i), models);
    /* where a base has no part of its own it is one more input (karcher) */
    if (k->base && am_streq(need(k), "none")) {
        bool there = false;
        json_array_foreach(models, i, entry) there |=
            am_mk_same_ref(json_string_value(json_object_get(entry, "version")), k->base);
        if (!there && am_row_need_int(k->row, "max_inputs", 0) == 1)
            am_mk_fault(k, AM_E_INVALID_PARAMS, "#/base_model", "base-forbidden",
                        "%s takes one model, and a base_model that is another one would be a second; leave it out",
                        am_row_text(k->row, "name"));
        else if (!there) {
            json_array_insert_new(models, 0, json_pack("{s:s}", "version", k->base));
            am_mk_shift_models(k);
            am_mk_place(k, "#/inputs/models/0", "#/base_model");
            am_mk_place(k, "#/inputs/models/0/version", "#/base_model");
        }
        k->base = NULL;
        json_object_del(k->inputs, "base");
    }
}
