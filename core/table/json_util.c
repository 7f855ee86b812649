/*
 * json_util.c - pointers, shortened texts and words for kinds (json_util.h).
 */
#include "core/table/json_util.h"

#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The length of `text` cut to at most `max` bytes, never inside a UTF-8 character. */
static size_t cut(const char *text, size_t max)
{
    size_t n = strnlen(text, max + 1);
    if (n <= max)
        return n;
    n = max;
    while (n > 0 && ((unsigned char)text[n] & 0xC0u) == 0x80u)
        n--;
    return n;
}

const char *am_shown(char out[AM_SHOWN], const char *text)
{
    size_t n = cut(text, 100);
    snprintf(out, AM_SHOWN, "%.*s%s", (int)n, text, text[n] ? "..." : "");
    return out;
}

const char *am_pointer(char out[AM_POINTER], const char *parent, const char *name)
{
    char plain[2 * 100 + 1];
    char token[6 * 100 + 1];
    size_t n = cut(name, 100), k = 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '~' || name[i] == '/') {
            plain[k++] = '~';
            plain[k++] = name[i] == '~' ? '0' : '1';
        } else {
            plain[k++] = name[i];
        }
    }
    plain[k] = 0;
    if (am_url_encode(plain, false, token, sizeof(token)) < 0)
        token[0] = 0;
    snprintf(out, AM_POINTER, "%s/%s", parent[0] ? parent : "#", token);
    return out;
}

const char *am_pointer_at(char out[AM_POINTER], const char *parent, size_t index)
{
    snprintf(out, AM_POINTER, "%s/%zu", parent, index);
    return out;
}

const char *am_json_kind(const json_t *v)
{
    if (!v)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
    default:
        return "null";
    }
}

void am_list_put(char out[AM_LIST_TEXT], const char *name)
{
    static const char more[] = ", ...";
    size_t n = strlen(out);
    if (n + strlen(name) + 2 + sizeof(more) < AM_LIST_TEXT)
        snprintf(out + n, AM_LIST_TEXT - n, "%s%s", n ? ", " : "", name);
    else if (!am_ends(out, more))
        snprintf(out + n, AM_LIST_TEXT - n, "%s", more);
}

bool am_json_whole(const json_t *v, json_int_t *ret)
{
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return true;
    }
    if (!json_is_real(v))
        return false;
    double d = json_real_value(v);
    if (!(fabs(d) <= 9007199254740991.0) || d != trunc(d))
        return false;
    *ret = (json_int_t)d;
    return true;
}

const char *am_row_need(const json_t *row, const char *name)
{
    const char *s = json_string_value(json_object_get(json_object_get(row, "needs"), name));
    return s ? s : "none";
}

json_int_t am_row_need_int(const json_t *row, const char *name, json_int_t def)
{
    const json_t *v = json_object_get(json_object_get(row, "needs"), name);
    return json_is_integer(v) ? json_integer_value(v) : def;
}

const char *am_row_text(const json_t *row, const char *name)
{
    const char *s = json_string_value(json_object_get(row, name));
    return s ? s : "";
}

bool am_row_makes_adapter(const json_t *row)
{
    return json_is_true(json_object_get(json_object_get(row, "needs"), "adapter"));
}
