/*
 * args.c - looks up resolved parameters. A name that the method did not declare, or the wrong kind, is a bug in the
 * method: it stops at once instead of computing with a made-up value.
 */
#include "core/methods/args.h"

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

bool am_arg_bool(const struct am_args *a, const char *name)
{
    return find(a, name, AM_BOOL)->truth;
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
    return arg->real;
}

double am_arg_input_real(const struct am_args *a, const char *name, size_t input)
{
    const struct am_arg *arg = find(a, name, AM_REAL);
    if (!arg->per_input || input >= a->inputs)
        abort();
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

void am_args_done(struct am_args *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct am_arg *arg = &a->v[i];
        for (size_t j = 0; j < arg->list_n; j++)
            free(arg->list[j]);
        free(arg->list);
        free(arg->text);
        free(arg->per_input);
    }
    free(a->v);
    *a = (struct am_args){0};
}
