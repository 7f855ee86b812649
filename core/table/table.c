/*
 * table.c - loads the described registry and looks methods up (table.h).
 * The shape is checked once here, so that the rest of the room reads it without asking again.
 */
#include "core/table/table.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/text.h"
#include "core/table/json_util.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ABI 1

static bool has_text(const json_t *o, const char *name)
{
    return json_string_length(json_object_get(o, name)) > 0;
}

static bool one_of(const json_t *o, const char *name, const char *const *words)
{
    const char *s = json_string_value(json_object_get(o, name));
    for (; s && *words; words++) {
        if (strcmp(s, *words) == 0)
            return true;
    }
    return false;
}

static bool count_ok(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool number_or_absent(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return !v || json_is_number(v);
}

static bool texts(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_string(json_array_get(list, i)))
            return false;
    }
    return json_array_size(list) > 0;
}

static bool param_ok(const json_t *p)
{
    static const char *const kinds[] = {"bool", "int", "real", "text", "choice", "list", NULL};
    bool required = json_is_true(json_object_get(p, "required"));
    return has_text(p, "name") && one_of(p, "kind", kinds) && number_or_absent(p, "min") &&
           number_or_absent(p, "max") && required == !json_object_get(p, "default") &&
           (strcmp(am_row_text(p, "kind"), "choice") != 0 || texts(json_object_get(p, "choices")));
}

static bool needs_ok(const json_t *n)
{
    static const char *const words[] = {"none", "optional", "required", "donor", NULL};
    const json_t *max = json_object_get(n, "max_inputs");
    return count_ok(json_object_get(n, "min_inputs")) && (!max || json_is_null(max) || count_ok(max)) &&
           one_of(n, "base", words) && one_of(n, "task", words) && count_ok(json_object_get(n, "passes")) &&
           json_array_size(json_object_get(n, "acc_bytes")) == 3;
}

static bool method_ok(const json_t *m)
{
    const json_t *params = json_object_get(m, "params");
    if (!has_text(m, "type") || !has_text(m, "name") || !needs_ok(json_object_get(m, "needs")) ||
        !json_is_array(params))
        return false;
    for (size_t i = 0; i < json_array_size(params); i++) {
        if (!param_ok(json_array_get(params, i)))
            return false;
    }
    return true;
}

static bool registry_ok(const json_t *root)
{
    const json_t *methods = json_object_get(root, "methods");
    if (json_integer_value(json_object_get(root, "abi")) != ABI || !json_is_array(methods))
        return false;
    for (size_t i = 0; i < json_array_size(methods); i++) {
        if (!method_ok(json_array_get(methods, i)))
            return false;
    }
    return true;
}

int am_table_load(struct am_table *ret, const char *bytes, size_t n)
{
    json_t *root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
    if (!root || !registry_ok(root)) {
        json_decref(root);
        return -AM_E_INVALID_REQUEST;
    }
    ret->root = root;
    am_sha256_hex(bytes, n, ret->sha256);
    return 0;
}

void am_table_done(struct am_table *t)
{
    json_decref(t->root);
    t->root = NULL;
}

/* The name without "type/"; NULL when it is of another type. */
static const char *bare(const char *type, const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash)
        return name;
    size_t n = (size_t)(slash - name);
    return strlen(type) == n && strncmp(type, name, n) == 0 ? slash + 1 : NULL;
}

json_t *am_table_find(const struct am_table *t, const char *type, const char *name)
{
    const json_t *methods = json_object_get(t->root, "methods");
    if (!type || !name || !(name = bare(type, name)))
        return NULL;
    for (size_t i = 0; i < json_array_size(methods); i++) {
        json_t *m = json_array_get(methods, i);
        if (strcmp(am_row_text(m, "type"), type) == 0 && strcmp(am_row_text(m, "name"), name) == 0)
            return m;
    }
    return NULL;
}

const char *am_table_nearest(const struct am_table *t, const char *type, const char *name)
{
    const json_t *methods = json_object_get(t->root, "methods");
    size_t n = 0, size = json_array_size(methods);
    if (!type || !name || !(name = bare(type, name)) || strnlen(name, 101) > 100 || size == 0)
        return NULL;
    const char **names = calloc(size, sizeof(*names));
    if (!names)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        json_t *m = json_array_get(methods, i);
        if (strcmp(am_row_text(m, "type"), type) == 0)
            names[n++] = am_row_text(m, "name");
    }
    const char *near = am_nearest(name, names, n);
    free(names);
    return near;
}
