/*
 * args_json.c - JSON values into am_args, each checked against its declaration: the daemon resolved them, but a worker
 * started by hand or by an older daemon must get an answer and not an abort().
 */
#include "core/methods/args_json.h"

#include "core/base/err.h"
#include "core/methods/args_value.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX 10000

static bool in_range(const struct am_param *p, double v)
{
    if (!isfinite(v))
        return false;
    if (!(p->min < p->max))
        return true;
    bool low = p->flags & AM_OPEN_MIN ? v > p->min : v >= p->min;
    bool high = p->flags & AM_OPEN_MAX ? v < p->max : v <= p->max;
    return low && high;
}

static bool is_choice(const struct am_param *p, const char *text)
{
    for (size_t i = 0; p->choices[i]; i++)
        if (strcmp(p->choices[i], text) == 0)
            return true;
    return false;
}

static int take_real(const struct am_param *p, json_t *value, double *ret)
{
    if (json_is_null(value) && p->def && strcmp(p->def, "null") == 0) {
        *ret = NAN; /* not given */
        return 0;
    }
    if (!json_is_number(value) || !in_range(p, json_number_value(value)))
        return -AM_E_BAD_SPEC;
    *ret = json_number_value(value);
    return 0;
}

static int take_number(const struct am_param *p, json_t *value, double *ret)
{
    if (p->kind != AM_BOOL)
        return take_real(p, value, ret);
    *ret = json_is_true(value);
    return json_is_boolean(value) ? 0 : -AM_E_BAD_SPEC;
}

/* `value`: one number, or several over the depth. */
static int take_entry(const struct am_param *p, const char *filter, json_t *slice, json_t *value,
                      struct am_setting_entry *e)
{
    e->slice = slice ? json_integer_value(slice) : -1;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n == 0 || n > LIST_MAX)
        return -AM_E_BAD_SPEC;
    e->value = calloc(n, sizeof(*e->value));
    e->filter = filter ? strdup(filter) : NULL;
    if (!e->value || (filter && !e->filter))
        return -AM_E_OUT_OF_MEMORY;
    e->n = n;
    if (!json_is_array(value))
        return take_number(p, value, e->value);
    for (size_t i = 0; i < n; i++)
        AM_TRY(take_number(p, json_array_get(value, i), &e->value[i]));
    return 0;
}

static int take_module(json_t *list, struct am_setting_entry *e)
{
    size_t n = json_array_size(list);
    if (!list)
        return 0;
    if (n == 0 || n > LIST_MAX)
        return -AM_E_BAD_SPEC;
    e->module = calloc(n + 1, sizeof(*e->module));
    for (size_t i = 0; e->module && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return -AM_E_BAD_SPEC;
        if (!(e->module[i] = strdup(text)))
            return -AM_E_OUT_OF_MEMORY;
    }
    return e->module ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* A list of numbers, or of {"filter", "value"} (core/table/settings.h). */
static int take_setting(const struct am_param *p, json_t *value, struct am_setting *s)
{
    bool by_name = json_is_object(json_array_get(value, 0));
    size_t n = by_name ? json_array_size(value) : 1;
    if (n > LIST_MAX || !(s->v = calloc(n, sizeof(*s->v))))
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        json_t *entry = json_array_get(value, i);
        const char *filter = by_name ? json_string_value(json_object_get(entry, "filter")) : NULL;
        s->n = i + 1;
        AM_TRY(by_name ? take_module(json_object_get(entry, "module"), &s->v[i]) : 0);
        AM_TRY(take_entry(p, filter, by_name ? json_object_get(entry, "slice") : NULL,
                          by_name ? json_object_get(entry, "value") : value, &s->v[i]));
    }
    return 0;
}

static int take_list(struct am_arg *arg, json_t *value)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n > LIST_MAX)
        return -AM_E_BAD_SPEC;
    arg->list = calloc(n + 1, sizeof(*arg->list));
    if (!arg->list)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (!text)
            return -AM_E_BAD_SPEC;
        arg->list[i] = strdup(text);
        if (!arg->list[i])
            return -AM_E_OUT_OF_MEMORY;
        arg->list_n = i + 1;
    }
    return 0;
}

static int take_text(struct am_arg *arg, json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || (arg->param->kind == AM_CHOICE && !is_choice(arg->param, text)))
        return -AM_E_BAD_SPEC;
    arg->text = strdup(text);
    return arg->text ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int take_varied(struct am_arg *arg, json_t *value)
{
    arg->varies = calloc(1, sizeof(*arg->varies));
    return arg->varies ? take_setting(arg->param, value, arg->varies) : -AM_E_OUT_OF_MEMORY;
}

static int take_one(struct am_arg *arg, json_t *value)
{
    if (json_is_array(value) && (arg->param->kind == AM_BOOL || arg->param->kind == AM_REAL))
        return take_varied(arg, value);
    switch (arg->param->kind) {
    case AM_BOOL:
        arg->truth = json_is_true(value);
        return json_is_boolean(value) ? 0 : -AM_E_BAD_SPEC;
    case AM_INT:
        arg->integer = json_integer_value(value);
        return json_is_integer(value) && in_range(arg->param, (double)arg->integer) ? 0 : -AM_E_BAD_SPEC;
    case AM_REAL:
        return take_real(arg->param, value, &arg->real);
    case AM_LIST:
        return take_list(arg, value);
    case AM_TEXT:
    case AM_CHOICE:
        return take_text(arg, value);
    }
    return -AM_E_BAD_SPEC;
}

static int take_per_input(struct am_arg *arg, json_t *params, json_t *const *inputs, size_t n)
{
    arg->per_input = calloc(n + 1, sizeof(*arg->per_input));
    if (!arg->per_input)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        json_t *own = inputs ? json_object_get(inputs[i], arg->param->name) : NULL;
        json_t *value = own ? own : json_object_get(params, arg->param->name);
        if (!json_is_array(value)) {
            AM_TRY(take_real(arg->param, value, &arg->per_input[i]));
            continue;
        }
        if (!arg->varies && !(arg->varies = calloc(n, sizeof(*arg->varies))))
            return -AM_E_OUT_OF_MEMORY;
        AM_TRY(take_setting(arg->param, value, &arg->varies[i]));
    }
    return 0;
}

static size_t count(const struct am_param *list)
{
    size_t n = 0;
    while (list && list[n].name)
        n++;
    return n;
}

int am_args_from_json(struct am_args *ret, const struct am_method *m, json_t *params, json_t *const *inputs, size_t n,
                      const char **ret_what)
{
    size_t own = count(m->params), all = own + count(m->common);
    struct am_args a = {.v = calloc(all + 1, sizeof(*a.v)), .inputs = n};
    if (!a.v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < all; i++) {
        struct am_arg *arg = &a.v[a.n++];
        arg->param = i < own ? &m->params[i] : &m->common[i - own];
        int rc = arg->param->flags & AM_PER_INPUT ? take_per_input(arg, params, inputs, n)
                                                  : take_one(arg, json_object_get(params, arg->param->name));
        if (rc < 0) {
            *ret_what = arg->param->name;
            am_args_done(&a);
            return rc;
        }
        arg->at = a.varied;
        a.varied += !arg->varies ? 0 : arg->per_input ? n : 1;
    }
    *ret = a;
    return 0;
}
