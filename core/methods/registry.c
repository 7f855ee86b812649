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
