/*
 * mergekit_slices.c - `slices` (merge.md B8): source number k of every slice together are one input, a stack of layers;
 * the sources that are the base together are the base. Parameters of a slice or a source become entries for that part
 * of the stack alone.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <string.h>

static bool varies(const struct am_mk *k, const char *name)
{
    const char *kind = am_row_text(am_mk_declared(k, name), "kind");
    return am_streq(kind, "real") || am_streq(kind, "bool");
}

/* Appends what `v` says to the entries of `into`, for one slice. How many there were. */
static size_t add_setting(json_t *into, const char *name, json_t *v, size_t slice)
{
    json_t *list = json_object_get(into, name), *entry;
    size_t i;
    if (!list) {
        list = json_array();
        json_object_set_new(into, name, list);
    }
    size_t before = json_array_size(list);
    if (!json_is_object(v) && !json_is_object(json_array_get(v, 0))) {
        json_array_append_new(list, json_pack("{s:I, s:O}", "slice", (json_int_t)slice, "value", v));
        return before;
    }
    json_t *one = json_is_object(v) ? json_pack("[O]", v) : json_incref(v);
    json_array_foreach(one, i, entry)
    {
        json_t *copy = json_copy(entry);
        if (json_is_object(copy))
            json_object_set_new(copy, "slice", json_integer((json_int_t)slice));
        json_array_append_new(list, copy);
    }
    json_decref(one);
    return before;
}

/* Of a source (beside) into its stack; of a slice into each stack, or what is one value for all into `params`. */
static void take_settings(struct am_mk *k, json_t *from, const char *at, size_t slice, json_t *models, size_t only,
                          bool beside)
{
    char param_at[AM_POINTER], body[AM_POINTER];
    json_t *read = json_object(), *v;
    const char *name;
    am_mk_params(k, from, at, read, "#/unused", beside);
    json_object_foreach(read, name, v)
    {
        bool per_input = json_is_true(json_object_get(am_mk_declared(k, name), "per_input"));
        am_pointer(param_at, at, name);
        if (am_mk_declared(k, name) && !varies(k, name)) {
            am_mk_fault(k, AM_E_INVALID_PARAMS, param_at, "setting-shape",
                        "%.60s is one value for all slices; set it in "
                        "the global parameters",
                        name);
            continue;
        }
        if (!per_input && !beside) {
            add_setting(k->params, name, v, slice);
            am_mk_add_origins(k->origins, name, am_mk_origins(v, param_at));
            am_mk_place(k, am_pointer(body, "#/params", name), param_at);
            continue;
        }
        for (size_t i = 0; i < json_array_size(models); i++) {
            char model[AM_POINTER], params[AM_POINTER];
            if (beside && i != only)
                continue;
            size_t n = add_setting(json_object_get(json_array_get(models, i), "params"), name, v, slice);
            am_pointer(params, am_pointer_at(model, "#/inputs/models", i), "params");
            am_mk_place(k, am_pointer(body, params, name), param_at);
            am_mk_place_entries(k, body, n, am_mk_origins(v, param_at));
        }
    }
    json_decref(read);
}

static json_t *part_of(struct am_mk *k, json_t *source, json_t *ref, const char *at)
{
    char range_at[AM_POINTER];
    json_t *range = json_object_get(source, "layer_range");
    if (!range)
        am_mk_fault(k, AM_E_INVALID_REQUEST, am_pointer(range_at, at, "layer_range"), NULL,
                    "layer_range is missing; give [first, end)");
    return json_pack("{s:O, s:o}", "version", ref, "layers", range ? json_incref(range) : json_pack("[i,i]", 0, 1));
}

static void append_part(struct am_mk *k, json_t *stack, const char *stack_at, json_t *part, const char *at)
{
    char body[AM_POINTER], member[AM_POINTER], yaml[AM_POINTER];
    am_pointer_at(body, stack_at, json_array_size(stack));
    am_mk_place(k, body, at);
    am_mk_place(k, am_pointer(member, body, "version"), am_pointer(yaml, at, "model"));
    am_mk_place(k, am_pointer(member, body, "layers"), am_pointer(yaml, at, "layer_range"));
    json_array_append_new(stack, part);
}

static json_t *new_model(json_t *models)
{
    json_t *m = json_pack("{s:[], s:{}}", "stack", "params");
    json_array_append_new(models, m);
    return m;
}

struct sources { /* of one slice */
    size_t models, bases;
    const char *base; /* which of them is the base; NULL: none */
    bool broken;      /* one of them is none */
    size_t first;     /* models of the first slice */
    bool last;        /* it is the last one */
    json_t *lengths;  /* [first, end) of the slices so far, counted from 0 */
    json_t *seen;     /* the names of the models */
};

/* As mergekit, which keeps the tensors of the last source of that name with the parameters of the first. */
static bool is_seen(struct am_mk *k, json_t *source, const char *at, json_t *ref, json_t *models,
                    const struct sources *n)
{
    json_t *one, *range = json_object_get(source, "layer_range");
    size_t i;
    json_array_foreach(n->seen, i, one)
    {
        char body[AM_POINTER], stack_at[AM_POINTER], layers[AM_POINTER], range_at[AM_POINTER];
        json_t *stack = json_object_get(json_array_get(models, i), "stack");
        size_t last = json_array_size(stack) - 1;
        if (!k->rules || !range || !am_mk_same_ref(json_string_value(one), json_string_value(ref)))
            continue;
        am_mk_warn(k, "compat-effects", at,
                   "%.200s is listed twice in this slice; as in mergekit the layers of the last and the parameters of "
                   "the first count; compat=none merges both",
                   json_string_value(ref));
        json_object_set(json_array_get(stack, last), "layers", range);
        am_pointer(stack_at, am_pointer_at(body, "#/inputs/models", i), "stack");
        am_pointer(layers, am_pointer_at(body, stack_at, last), "layers");
        am_mk_place(k, layers, am_pointer(range_at, at, "layer_range"));
        return true;
    }
    return false;
}

/* Parts without tensors for the slices that the model is not in. */
static void fill_gaps(json_t *stack, json_t *ref, const json_t *lengths, size_t until)
{
    for (size_t i = json_array_size(stack); i < until; i++)
        json_array_append_new(
            stack, json_pack("{s:O, s:O, s:s}", "version", ref, "layers", json_array_get(lengths, i), "use", "none"));
}

static void take_source(struct am_mk *k, json_t *source, const char *at, size_t slice, json_t *models, json_t *base,
                        struct sources *n)
{
    static const char *const known[] = {"model", "layer_range", "parameters", NULL};
    char model_at[AM_POINTER], params_at[AM_POINTER], body[AM_POINTER], stack_at[AM_POINTER];
    am_pointer(model_at, at, "model");
    am_mk_keys(k, source, at, known);
    if (!json_is_object(source) || !json_object_get(source, "model")) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, at, NULL, "a source has the keys model and layer_range");
        n->broken = true;
        return;
    }
    json_t *ref = am_mk_ref(k, json_object_get(source, "model"), model_at);
    ref = ref ? ref : json_string("");
    bool required = k->row && am_streq(am_row_need(k->row, "base"), "required");
    if (required && n->base && am_mk_same_ref(json_string_value(ref), n->base)) {
        append_part(k, base, "#/inputs/base/stack", part_of(k, source, ref, at), at);
        n->bases++;
        if (json_object_size(json_object_get(source, "parameters")))
            am_mk_warn(k, "base-listed-as-input", am_pointer(params_at, at, "parameters"),
                       "%s is the base of this slice and no model beside it; its parameters are left out", n->base);
    } else if (!is_seen(k, source, at, ref, models, n)) {
        json_array_append(n->seen, ref);
        json_t *m = n->models < json_array_size(models) ? json_array_get(models, n->models) : new_model(models),
               *stack = json_object_get(m, "stack"), *part = part_of(k, source, ref, at);
        fill_gaps(stack, ref, n->lengths, slice);
        if (k->rules && slice > 0 && n->last && n->models >= n->first) {
            json_object_set_new(part, "use", json_string("layers"));
            am_mk_warn(k, "compat-effects", at,
                       "as in mergekit, what comes after the layers (final norm, head) is merged from as many sources "
                       "as the first slice has, so without %.200s; compat=none takes all",
                       json_string_value(ref));
        }
        am_pointer(stack_at, am_pointer_at(body, "#/inputs/models", n->models), "stack");
        append_part(k, stack, stack_at, part, at);
        am_pointer(params_at, at, "parameters");
        take_settings(k, json_object_get(source, "parameters"), params_at, slice, models, n->models, true);
        n->models++;
    }
    json_decref(ref);
}

/* Its own base, or that of the configuration. New reference, or NULL. */
static json_t *base_of(struct am_mk *k, json_t *slice, const char *at)
{
    char base_at[AM_POINTER];
    json_t *own = json_object_get(slice, "base_model");
    if (!own || json_is_null(own))
        return k->base ? json_string(k->base) : NULL;
    json_t *ref = am_mk_ref(k, own, am_pointer(base_at, at, "base_model"));
    bool required = k->row && am_streq(am_row_need(k->row, "base"), "required");
    if (k->row && !required && ref && (!k->base || !am_mk_same_ref(json_string_value(ref), k->base)))
        am_mk_warn(k, "base-not-in-slice", base_at, "%s has no base that differs from slice to slice; it is left out",
                   am_row_text(k->row, "name"));
    return ref ? ref : json_string(""); /* which has its fault already */
}

static void check_base(struct am_mk *k, const char *at, size_t index, const struct sources *n)
{
    if (!k->row || !n->base || !*n->base || !am_streq(am_row_need(k->row, "base"), "required") || n->bases == 1)
        return;
    am_mk_place(k, "#/inputs/base", at); /* what comes of it is told here */
    am_mk_fault(k, AM_E_INVALID_PARAMS, at, "base-not-in-slice",
                "slice %zu uses %s but base_model %.200s is %s its sources; add it with a layer_range", index,
                am_row_text(k->row, "name"), n->base, n->bases ? "more than once among" : "not among");
}

/* As long as its first source says; whether the others agree is the body's check. */
static json_t *length_of(json_t *list)
{
    json_t *range = json_object_get(json_array_get(list, 0), "layer_range");
    json_int_t n = json_integer_value(json_array_get(range, 1)) - json_integer_value(json_array_get(range, 0));
    return json_pack("[i,I]", 0, n > 0 ? n : 1);
}

static void take_slice(struct am_mk *k, json_t *slice, const char *at, size_t index, json_t *models, json_t *base,
                       struct sources *all)
{
    static const char *const known[] = {"sources", "base_model", "residual_weight", "parameters", NULL};
    char list_at[AM_POINTER], source_at[AM_POINTER];
    json_t *source, *list = json_object_get(slice, "sources");
    struct sources n = {.first = all->first, .last = all->last, .lengths = all->lengths};
    size_t i;
    am_mk_keys(k, slice, at, known);
    am_pointer(list_at, at, "sources");
    if (!json_array_size(list)) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, list && !json_is_array(list) ? list_at : at, NULL,
                    "a slice has the key sources, a list of {model, layer_range}");
        k->uneven = true;
        return;
    }
    if (json_object_get(slice, "residual_weight"))
        am_mk_warn(k, "residual-weight-ignored", am_pointer(source_at, at, "residual_weight"),
                   "residual_weight changes no result; it is left out");
    json_t *own = base_of(k, slice, at);
    n.base = json_string_value(own);
    n.seen = json_array();
    json_array_foreach(list, i, source)
        take_source(k, source, am_pointer_at(source_at, list_at, i), index, models, base, &n);
    json_decref(n.seen);
    k->uneven |= n.broken;
    json_array_append_new(n.lengths, length_of(list));
    if (index == 0)
        all->first = n.models;
    check_base(k, at, index, &n);
    json_decref(own);
    am_pointer(source_at, at, "parameters");
    take_settings(k, json_object_get(slice, "parameters"), source_at, index, models, 0, false);
}

/* The settings of all slices stood before those of the whole, which are the last resort. */
static void end_with_globals(struct am_mk *k, json_t *globals, const json_t *origins)
{
    const char *name;
    json_t *v, *entry;
    size_t i;
    json_object_foreach(globals, name, v)
    {
        json_t *list = json_object_get(k->params, name);
        am_mk_add_origins(k->origins, name, json_copy(json_object_get(origins, name)));
        if (!list) {
            json_object_set(k->params, name, v);
            continue;
        }
        if (json_is_object(v))
            json_array_append(list, v);
        else if (json_is_object(json_array_get(v, 0)))
            json_array_foreach(v, i, entry) json_array_append(list, entry);
        else
            json_array_append_new(list, json_pack("{s:O}", "value", v));
    }
}

/* Every model has a part in every slice; one without tensors where it is no source. */
static void level(struct am_mk *k, json_t *models, const json_t *lengths)
{
    bool gaps = false;
    json_t *m, *part;
    size_t i, p;
    json_array_foreach(models, i, m)
    {
        json_t *stack = json_object_get(m, "stack");
        json_t *last = json_object_get(json_array_get(stack, json_array_size(stack) - 1), "version");
        if (last)
            fill_gaps(stack, last, lengths, json_array_size(lengths));
        json_array_foreach(stack, p, part) gaps = gaps || json_object_get(part, "use");
    }
    if (gaps && !json_object_get(k->options, "missing"))
        json_object_set_new(k->options, "missing", json_string("present"));
}

void am_mk_slices(struct am_mk *k, json_t *list, const char *pointer)
{
    char at[AM_POINTER];
    json_t *models = json_array(), *base = json_array(), *slice, *globals = json_copy(k->params),
           *origins = json_deep_copy(k->origins);
    size_t i;
    json_object_set_new(k->inputs, "models", models);
    am_mk_place(k, "#/inputs/models", pointer);
    if (!json_array_size(list))
        k->broken = am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, NULL, "expected a list of slices, got %s",
                                json_is_array(list) ? "none" : am_json_kind(list)) == NULL;
    json_object_clear(k->params);
    json_object_clear(k->origins);
    struct sources all = {.lengths = json_array()};
    k->slices = json_array_size(list);
    json_array_foreach(list, i, slice)
    {
        all.last = i + 1 == json_array_size(list);
        take_slice(k, slice, am_pointer_at(at, pointer, i), i, models, base, &all);
    }
    level(k, models, all.lengths);
    json_decref(all.lengths);
    end_with_globals(k, globals, origins);
    json_decref(globals);
    json_decref(origins);
    if (!k->base && json_array_size(base) && json_array_size(base) != json_array_size(list))
        am_mk_fault(k, AM_E_MISSING_INPUT, pointer, "base-required",
                    "%zu of %zu slices have a base_model; give each of them one, or one for all beside slices",
                    json_array_size(base), json_array_size(list));
    if (json_array_size(base))
        json_object_set_new(k->inputs, "base", json_pack("{s:O}", "stack", base));
    else if (k->base && k->row && !am_streq(am_row_need(k->row, "base"), "required")) {
        am_mk_warn(k, "base-not-in-slice", "#/base_model",
                   "none of the slices has it, so it is left out: names, config "
                   "and tokenizer come from the first source");
        json_object_del(k->inputs, "base");
        k->base = NULL;
    }
    json_decref(base);
}
