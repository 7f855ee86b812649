/*
 * members.c - known members only, and typed members (members.h).
 */
#include "core/table/members.h"

#include "core/base/text.h"
#include "core/table/json_util.h"

#include <string.h>

static int wrong(struct am_faults *f, const char *pointer, const char *expected, const json_t *got)
{
    return am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = pointer}, "expected %s, got %s", expected,
                        am_json_kind(got));
}

/* The member, or NULL, after a fault when it is required and absent or of another type. */
static json_t *member(json_t *obj, const char *pointer, const char *name, bool required, json_type type,
                      struct am_faults *f)
{
    const char *expected = type == JSON_STRING ? "a text" : type == JSON_OBJECT ? "an object" : "a list";
    char at[AM_POINTER];
    json_t *v = json_object_get(obj, name);
    if (!v && required)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                     "required member is missing; give %s", expected);
    if (v && json_typeof(v) != type)
        wrong(f, am_pointer(at, pointer, name), expected, v);
    return v && json_typeof(v) == type ? v : NULL;
}

static void unknown(const char *name, const char *pointer, const char *const *known, struct am_faults *f)
{
    char at[AM_POINTER], list[AM_LIST_TEXT] = "";
    size_t n = 0;
    for (; known[n]; n++)
        am_list_put(list, known[n]);
    /* A name much longer than all known ones is near to none of them: not worth the comparison. */
    const char *near = strnlen(name, 101) <= 100 ? am_nearest(name, known, n) : NULL;
    struct am_where w = {.pointer = am_pointer(at, pointer, name)};
    if (near)
        am_fault_add(f, AM_E_UNKNOWN_MEMBER, w, "unknown; did you mean %s?", near);
    else
        am_fault_add(f, AM_E_UNKNOWN_MEMBER, w, "unknown; known here: %s", n ? list : "no members");
}

void am_members_known(json_t *obj, const char *pointer, const char *const *known, struct am_faults *f)
{
    const char *name;
    json_t *v;
    json_object_foreach(obj, name, v)
    {
        size_t i = 0;
        while (known[i] && !am_streq(known[i], name))
            i++;
        if (!known[i])
            unknown(name, pointer, known, f);
    }
}

const char *am_member_text(json_t *obj, const char *pointer, const char *name, bool required, const char *def,
                           struct am_faults *f)
{
    json_t *v = member(obj, pointer, name, required, JSON_STRING, f);
    return v ? json_string_value(v) : def;
}

int64_t am_member_int(json_t *obj, const char *pointer, const char *name, int64_t min, int64_t max, int64_t def,
                      struct am_faults *f)
{
    char at[AM_POINTER];
    json_int_t n;
    json_t *v = json_object_get(obj, name);
    if (!v)
        return def;
    am_pointer(at, pointer, name);
    if (!json_is_number(v)) {
        wrong(f, at, "a whole number", v);
        return def;
    }
    struct am_where range = {.pointer = at, .reason = "parameter-range"};
    if (!am_json_whole(v, &n)) {
        am_fault_add(f, AM_E_INVALID_PARAMS, range, "%s must be a whole number", name);
        return def;
    }
    if (n < min || n > max) {
        if (max == INT64_MAX)
            am_fault_add(f, AM_E_INVALID_PARAMS, range, "%s = %lld must be at least %lld", name, (long long)n,
                         (long long)min);
        else
            am_fault_add(f, AM_E_INVALID_PARAMS, range, "%s = %lld is outside [%lld, %lld]", name, (long long)n,
                         (long long)min, (long long)max);
        return def;
    }
    return (int64_t)n;
}

bool am_member_bool(json_t *obj, const char *pointer, const char *name, bool def, struct am_faults *f)
{
    char at[AM_POINTER];
    json_t *v = json_object_get(obj, name);
    if (!v)
        return def;
    if (!json_is_boolean(v)) {
        wrong(f, am_pointer(at, pointer, name), "true or false", v);
        return def;
    }
    return json_is_true(v);
}

json_t *am_member_object(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f)
{
    return member(obj, pointer, name, required, JSON_OBJECT, f);
}

json_t *am_member_array(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f)
{
    return member(obj, pointer, name, required, JSON_ARRAY, f);
}
