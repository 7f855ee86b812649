/*
 * fault_json.c - faults to and from JSON (fault_json.h). What comes in may be a worker's record: nothing of it is
 * trusted.
 */
#include "core/table/fault_json.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

json_t *am_fault_text(const char *s)
{
    if (am_utf8_ok(s, strlen(s)))
        return json_string(s);
    char *copy = strdup(s);
    if (!copy)
        return NULL;
    am_utf8_mend(copy);
    json_t *ret = json_string(copy);
    free(copy);
    return ret;
}

/* json_object_set_new() refuses NULL, so running out of memory shows as -1. */
static int put(json_t *o, const char *name, const char *value)
{
    return value ? json_object_set_new(o, name, am_fault_text(value)) : 0;
}

json_t *am_fault_to_json(const struct am_fault *f)
{
    json_t *o = json_object();
    int bad = !o;
    bad |= put(o, "pointer", f->pointer ? f->pointer : "");
    bad |= put(o, "code", am_err_slug(f->code));
    bad |= put(o, "reason", f->reason);
    bad |= put(o, "detail", f->detail ? f->detail : "");
    bad |= put(o, "tensor", f->tensor);
    bad |= put(o, "file", f->file);
    if (f->line > 0)
        bad |= json_object_set_new(o, "line", json_integer(f->line));
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

json_t *am_faults_to_json(const struct am_faults *f)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < f->n; i++) {
        if (json_array_append_new(a, am_fault_to_json(&f->v[i])) < 0) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

/* A text, or NULL; *bad is set when it is there and no text (null counts as absent unless it is required). */
static const char *get(const json_t *o, const char *name, int required, int *bad)
{
    const json_t *v = json_object_get(o, name);
    if (!v || json_is_null(v)) {
        *bad |= required;
        return NULL;
    }
    *bad |= !json_is_string(v);
    return json_string_value(v);
}

int am_fault_from_json(struct am_faults *f, const json_t *entry)
{
    int bad = !json_is_object(entry);
    const char *code = get(entry, "code", 1, &bad);
    const char *detail = get(entry, "detail", 1, &bad);
    struct am_where w = {.pointer = get(entry, "pointer", 0, &bad),
                         .reason = get(entry, "reason", 0, &bad),
                         .tensor = get(entry, "tensor", 0, &bad),
                         .file = get(entry, "file", 0, &bad)};
    int number = bad ? 0 : am_err_from_slug(code);
    if (number <= 0)
        return -AM_E_INVALID_REQUEST;
    am_fault_add(f, number, w, "%s", detail);
    return 0;
}
