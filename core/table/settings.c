/*
 * settings.c - see settings.h.
 */
#include "core/table/settings.h"

#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/json_util.h"

#include <stdint.h>

#include <string.h>

#define BAD_VALUE 1 /* a fault was added */

bool am_setting_varies(const json_t *v)
{
    return json_is_array(v) || json_is_object(v);
}

static const char *filter_of(const json_t *entry)
{
    return json_string_value(json_object_get(entry, "filter"));
}

static bool of_all(const json_t *entry)
{
    return !filter_of(entry) && !json_object_get(entry, "slice") && !json_object_get(entry, "module");
}

bool am_prefix_of(const json_t *prefixes, const char *name)
{
    const json_t *prefix;
    size_t i;
    json_array_foreach(prefixes, i, prefix) if (am_starts(name, json_string_value(prefix))) return true;
    return !prefixes;
}

static bool is_conditions(const json_t *v)
{
    return json_is_object(json_array_get(v, 0));
}

bool am_setting_complete(const json_t *v)
{
    if (!v)
        return false;
    return !is_conditions(v) || of_all(json_array_get(v, json_array_size(v) - 1));
}

bool am_setting_has_depth(const json_t *v)
{
    const json_t *entry;
    size_t i;
    if (!json_is_array(v))
        return false;
    if (!is_conditions(v))
        return true;
    json_array_foreach(v, i, entry) if (json_is_array(json_object_get(entry, "value"))) return true;
    return false;
}

json_t *am_setting_at(json_t *v, const char *tensor, size_t slice)
{
    json_t *entry;
    size_t i;
    if (!is_conditions(v))
        return v;
    json_array_foreach(v, i, entry)
    {
        const char *filter = filter_of(entry);
        const json_t *only = json_object_get(entry, "slice");
        bool here = (!only || (size_t)json_integer_value(only) == slice) &&
                    am_prefix_of(json_object_get(entry, "module"), tensor);
        if (here && (!filter || strstr(tensor, filter)))
            return json_object_get(entry, "value");
    }
    return NULL;
}

bool am_setting_covers(const json_t *v, const char *tensor, size_t slice)
{
    return am_setting_at((json_t *)(uintptr_t)v, tensor, slice) != NULL;
}

bool am_prefixes_check(const json_t *v, const char *at, struct am_faults *f)
{
    const json_t *one;
    size_t i, n = json_array_size(v);
    bool good = n > 0 && n <= AM_PREFIXES;
    json_array_foreach(v, i, one) good =
        good && json_string_length(one) > 0 && json_string_length(one) <= AM_FILTER_BYTES;
    if (!good)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "module-unknown"},
                     "expected what names of tensors begin with: a list of 1 to %d texts such as \"vision_tower.\"",
                     AM_PREFIXES);
    return good;
}

static int bad(const json_t *p, const char *at, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "setting-shape"},
                 "%s: expected a %s, a list of numbers, or a list of {\"filter\", \"value\"}", am_row_text(p, "name"),
                 strcmp(am_row_text(p, "kind"), "bool") == 0 ? "truth value" : "number");
    return BAD_VALUE;
}

static int too_long(const json_t *p, const char *at, size_t n, int max, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "setting-shape"},
                 "%s: this list has %zu entries; at most %d are taken", am_row_text(p, "name"), n, max);
    return BAD_VALUE;
}

/* Numbers over the depth; a single one is that number. */
static int check_gradient(const json_t *p, json_t *v, const char *at, am_setting_leaf *leaf, json_t **ret,
                          struct am_faults *f)
{
    char entry_at[AM_POINTER];
    size_t n = json_array_size(v);
    if (n == 0 || strcmp(am_row_text(p, "kind"), "bool") == 0)
        return bad(p, at, f);
    if (n > AM_SETTING_NUMBERS)
        return too_long(p, at, n, AM_SETTING_NUMBERS, f);
    json_t *out = json_array();
    int rc = out ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n && rc >= 0; i++) {
        json_t *one = NULL, *given = json_array_get(v, i);
        am_pointer_at(entry_at, at, i);
        int got =
            am_setting_varies(given) || json_is_null(given) ? bad(p, entry_at, f) : leaf(p, given, entry_at, &one, f);
        if (got == 0 && json_array_append_new(out, one) < 0)
            got = -AM_E_OUT_OF_MEMORY;
        rc = got < 0 ? got : got ? got : rc;
    }
    if (rc == 0)
        *ret = n == 1 ? json_incref(json_array_get(out, 0)) : json_incref(out);
    json_decref(out);
    return rc;
}

static int check_filter(const json_t *p, json_t *entry, const char *at, const char **ret, struct am_faults *f)
{
    char filter_at[AM_POINTER];
    json_t *filter = json_object_get(entry, "filter");
    *ret = NULL;
    if (!filter || json_is_null(filter))
        return 0;
    const char *text = json_string_value(filter);
    if (!text || !text[0] || json_string_length(filter) > AM_FILTER_BYTES) {
        am_fault_add(f, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = am_pointer(filter_at, at, "filter"), .reason = "setting-shape"},
                     "%s: a filter is a part of tensor names, of 1 to %d bytes, or \"*\"", am_row_text(p, "name"),
                     AM_FILTER_BYTES);
        return BAD_VALUE;
    }
    *ret = am_streq(text, "*") ? NULL : text;
    return 0;
}

/* One {"filter", "value"} as it is kept. */
static int check_entry(const json_t *p, json_t *entry, const char *at, am_setting_leaf *leaf, json_t **ret,
                       struct am_faults *f)
{
    char value_at[AM_POINTER];
    const char *filter, *key;
    json_t *value = json_object_get(entry, "value"), *good = NULL, *v;
    if (!json_is_object(entry) || !value)
        return bad(p, at, f);
    json_object_foreach(entry, key, v) if (!am_streq(key, "filter") && !am_streq(key, "value") &&
                                           !am_streq(key, "slice") && !am_streq(key, "module"))
    {
        am_fault_add(f, AM_E_UNKNOWN_MEMBER, (struct am_where){.pointer = am_pointer(value_at, at, key)},
                     "unknown; an entry has filter, value, slice and module");
        return BAD_VALUE;
    }
    json_t *slice = json_object_get(entry, "slice"), *module = json_object_get(entry, "module");
    int rc = check_filter(p, entry, at, &filter, f);
    if (module && !am_prefixes_check(module, am_pointer(value_at, at, "module"), f))
        rc = BAD_VALUE;
    if (slice && (!json_is_integer(slice) || json_integer_value(slice) < 0))
        rc = bad(p, am_pointer(value_at, at, "slice"), f);
    am_pointer(value_at, at, "value");
    int got = json_is_array(value)                           ? check_gradient(p, value, value_at, leaf, &good, f)
              : json_is_object(value) || json_is_null(value) ? bad(p, value_at, f)
                                                             : leaf(p, value, value_at, &good, f);
    rc = got < 0 ? got : rc ? rc : got;
    if (rc == 0) {
        *ret = json_pack("{s:s*, s:O*, s:O*, s:O}", "filter", filter, "slice", slice, "module", module, "value", good);
        rc = *ret ? 0 : -AM_E_OUT_OF_MEMORY;
    }
    json_decref(good);
    return rc;
}

static int check_conditions(const json_t *p, json_t *v, const char *at, am_setting_leaf *leaf, json_t **ret,
                            struct am_faults *f)
{
    char entry_at[AM_POINTER];
    size_t n = json_array_size(v);
    bool ended = false; /* what follows an entry without filter is never met */
    int rc = 0;
    if (n > AM_SETTING_FILTERS)
        return too_long(p, at, n, AM_SETTING_FILTERS, f);
    json_t *out = json_array();
    for (size_t i = 0; i < n && rc >= 0; i++) {
        json_t *one = NULL;
        int got = check_entry(p, json_array_get(v, i), am_pointer_at(entry_at, at, i), leaf, &one, f);
        rc = got < 0 ? got : rc ? rc : got;
        if (got == 0 && !ended) {
            ended = of_all(one);
            json_array_append(out, one);
        }
        json_decref(one);
    }
    bool plain = json_array_size(out) == 1 && ended;
    if (rc == 0)
        *ret = json_incref(plain ? json_object_get(json_array_get(out, 0), "value") : out);
    json_decref(out);
    return rc;
}

int am_setting_check(const json_t *p, json_t *v, const char *at, am_setting_leaf *leaf, json_t **ret,
                     struct am_faults *f)
{
    if (json_is_array(v) && !is_conditions(v))
        return check_gradient(p, v, at, leaf, ret, f);
    if (json_is_array(v))
        return check_conditions(p, v, at, leaf, ret, f);
    json_t *entry = NULL;
    int rc = check_entry(p, v, at, leaf, &entry, f);
    if (rc == 0)
        *ret = !of_all(entry) ? json_pack("[O]", entry) : json_incref(json_object_get(entry, "value"));
    json_decref(entry);
    return rc == 0 && !*ret ? -AM_E_OUT_OF_MEMORY : rc;
}

json_t *am_setting_chain(json_t *own, json_t *next)
{
    if (!own || am_setting_complete(own))
        return json_incref(own ? own : next);
    json_t *out = json_copy(own);
    int rc = is_conditions(next) ? json_array_extend(out, next)
                                 : json_array_append_new(out, json_pack("{s:O}", "value", next));
    if (rc == 0)
        return out;
    json_decref(out);
    return NULL;
}

/* What varies beside the models and for all; true ends the walk. */
struct walk {
    bool (*each)(void *arg, const char *name, const json_t *v, size_t input);
    void *arg;
};

static bool walk_object(const struct walk *w, json_t *params, size_t input)
{
    const char *name;
    json_t *v;
    json_object_foreach(params, name, v)
    {
        bool settings = json_is_array(v) && !json_is_string(json_array_get(v, 0)) && json_array_size(v) > 0;
        if (settings && w->each(w->arg, name, v, input))
            return true;
    }
    return false;
}

static bool walk_all(const struct am_body *b, struct walk w)
{
    if (!am_streq(b->type, "merge"))
        return false;
    for (size_t i = 0; i < b->inputs; i++)
        if (walk_object(&w, b->input[i].params, i))
            return true;
    return walk_object(&w, b->params, SIZE_MAX);
}

static bool add_one(void *arg, const char *name, const json_t *v, size_t input)
{
    size_t *n = arg;
    (void)name, (void)v, (void)input;
    ++*n;
    return false;
}

/* One that varies for one model has a place for every model. */
size_t am_settings_count(const struct am_body *b)
{
    size_t n = 0;
    walk_all(b, (struct walk){add_one, &n});
    return n ? n * (b->inputs ? b->inputs : 1) : 0;
}

static bool has_depth(void *arg, const char *name, const json_t *v, size_t input)
{
    (void)arg, (void)name, (void)input;
    return am_setting_has_depth(v);
}

bool am_settings_have_depth(const struct am_body *b)
{
    return walk_all(b, (struct walk){has_depth, NULL});
}

struct missing {
    const char *tensor, *name;
    size_t slice, input;
    am_settings_has *has;
    void *ctx;
};

static bool is_missing(void *arg, const char *name, const json_t *v, size_t input)
{
    struct missing *m = arg;
    if (am_setting_complete(v) || am_setting_covers(v, m->tensor, m->slice))
        return false;
    if (input != SIZE_MAX && !m->has(m->ctx, input))
        return false;
    m->name = name;
    m->input = input;
    return true;
}

const char *am_settings_missing(const struct am_body *b, const char *tensor, size_t slice, am_settings_has *has,
                                void *ctx, size_t *ret_input)
{
    struct missing m = {.tensor = tensor, .slice = slice, .has = has, .ctx = ctx};
    walk_all(b, (struct walk){is_missing, &m});
    if (m.name)
        *ret_input = m.input;
    return m.name;
}
