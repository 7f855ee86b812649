/*
 * registry.c - looks a method up in the table that tools/gen-methods writes.
 */
#include "core/methods/method.h"

#include <string.h>

const char *const am_type_names[AM_TYPES] = {"merge", "unlearn", "edit", "evaluate"};

const struct am_method *am_method_find(const char *type, const char *name)
{
    for (size_t i = 0; am_methods[i]; i++) {
        const struct am_method *m = am_methods[i];
        if (strcmp(am_type_names[m->type], type) == 0 && strcmp(m->name, name) == 0)
            return m;
    }
    return NULL;
}

static bool has(const struct am_method *m, const struct am_when *when, const struct am_args *args)
{
    for (const struct am_param *p = m->params; p && p->name; p++) {
        if (strcmp(p->name, when->param) != 0)
            continue;
        if (p->kind == AM_BOOL)
            return am_arg_bool(args, when->param) == (strcmp(when->value, "true") == 0);
        return strcmp(am_arg_text(args, when->param), when->value) == 0;
    }
    return false;
}

bool am_when_holds(const struct am_method *m, const struct am_when *when, const struct am_args *args)
{
    bool any = false;
    for (size_t i = 0; i < AM_WHEN && when[i].param; i++) {
        if (!has(m, &when[i], args))
            return false;
        any = true;
    }
    return any;
}
