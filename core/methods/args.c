/*
 * args.c - looks up resolved parameters. A name that the method did not declare, or the wrong kind, is a bug in the
 * method: it stops at once instead of computing with a made-up value.
 */
#include "core/methods/args.h"

#include "core/base/err.h"
#include "core/methods/args_value.h"

#include <stdlib.h>
#include <string.h>

static const struct am_arg *find(const struct am_args *a, const char *name, enum am_kind kind)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i].param->name, name) == 0 && a->v[i].param->kind == kind)
            return &a->v[i];
    abort();
}

bool am_arg_has(const struct am_args *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i].param->name, name) == 0)
            return true;
    return false;
}

bool am_arg_bool(const struct am_args *a, const char *name)
{
    const struct am_arg *arg = find(a, name, AM_BOOL);
    return arg->varies ? a->row && a->row[arg->at] != 0 : arg->truth;
}

int64_t am_arg_int(const struct am_args *a, const char *name)
{
    return find(a, name, AM_INT)->integer;
}

double am_arg_real(const struct am_args *a, const char *name)
{
    const struct am_arg *arg = find(a, name, AM_REAL);
    if (arg->per_input)
        abort();
    if (arg->varies)
        return a->row ? a->row[arg->at] : NAN;
    return arg->real;
}

double am_arg_input_real(const struct am_args *a, const char *name, size_t input)
{
    const struct am_arg *arg = find(a, name, AM_REAL);
    if (!arg->per_input || input >= a->inputs)
        abort();
    if (arg->varies && arg->varies[input].n)
        return a->row ? a->row[arg->at + input] : NAN;
    return arg->per_input[input];
}

const char *am_arg_text(const struct am_args *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i].param->name, name) == 0 && a->v[i].text)
            return a->v[i].text;
    abort();
}

const char *const *am_arg_list(const struct am_args *a, const char *name, size_t *ret_n)
{
    const struct am_arg *arg = find(a, name, AM_LIST);
    *ret_n = arg->list_n;
    return (const char *const *)arg->list;
}

/* Numbers over the depth are joined by straight lines. */
static double value_at(const struct am_setting_entry *e, double depth)
{
    double place = depth * (double)(e->n - 1);
    size_t i = place > 0 ? (size_t)place : 0, last = e->n - 1;
    i = i < last ? i : last;
    double part = place - (double)i;
    return i == last ? e->value[last] : (1 - part) * e->value[i] + part * e->value[i + 1];
}

/* By its name in the result, whatever the input calls it. */
static bool in_module(char *const *module, const char *tensor)
{
    for (size_t i = 0; module && module[i]; i++)
        if (strncmp(tensor, module[i], strlen(module[i])) == 0)
            return true;
    return !module;
}

static int find_value(const struct am_setting *s, const char *tensor, const struct am_place *place, double *ret)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct am_setting_entry *e = &s->v[i];
        if ((e->filter && !strstr(tensor, e->filter)) || (e->slice >= 0 && (size_t)e->slice != place->slice) ||
            !in_module(e->module, place->tensor))
            continue;
        *ret = value_at(e, place->depth);
        return 0;
    }
    return -AM_E_BAD_SPEC;
}

int am_args_at(const struct am_args *a, const struct am_place *place, double *row, const char **ret_what)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct am_arg *arg = &a->v[i];
        size_t many = !arg->varies ? 0 : arg->per_input ? a->inputs : 1;
        for (size_t k = 0; k < many; k++) {
            const char *name = arg->per_input && place->own ? place->own[k] : place->tensor;
            if (arg->varies[k].n && find_value(&arg->varies[k], name, place, &row[arg->at + k]) < 0) {
                *ret_what = arg->param->name;
                return -AM_E_BAD_SPEC;
            }
        }
    }
    return 0;
}

static void free_settings(const struct am_args *a, struct am_arg *arg)
{
    size_t many = !arg->varies ? 0 : arg->per_input ? a->inputs : 1;
    for (size_t k = 0; k < many; k++) {
        for (size_t i = 0; i < arg->varies[k].n; i++) {
            free(arg->varies[k].v[i].filter);
            for (char **m = arg->varies[k].v[i].module; m && *m; m++)
                free(*m);
            free(arg->varies[k].v[i].module);
            free(arg->varies[k].v[i].value);
        }
        free(arg->varies[k].v);
    }
    free(arg->varies);
}

void am_args_done(struct am_args *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct am_arg *arg = &a->v[i];
        for (size_t j = 0; j < arg->list_n; j++)
            free(arg->list[j]);
        free(arg->list);
        free(arg->text);
        free_settings(a, arg);
        free(arg->per_input);
    }
    free(a->v);
    *a = (struct am_args){0};
}
