/*
 * json_text.c - a small printer. jansson's own prints 0.3 as 0.29999999999999999.
 * Recursion is bounded: values come from jansson's parser, which stops at 2,048 levels.
 */
#include "worker/json_text.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

struct printer {
    struct am_buf *out;
    unsigned indent;
};

static int value(const struct printer *p, const json_t *v, unsigned depth);

static int new_line(const struct printer *p, unsigned depth)
{
    return p->indent ? am_buf_printf(p->out, "\n%*s", (int)(p->indent * depth), "") : 0;
}

static int real(const struct printer *p, double v)
{
    char text[AM_F64_TEXT];
    am_f64_text(v, text);
    AM_TRY(am_buf_puts(p->out, text));
    return strpbrk(text, ".e") ? 0 : am_buf_puts(p->out, ".0");
}

static int by_jansson(const struct printer *p, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    int rc = text ? am_buf_puts(p->out, text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc;
}

static int array(const struct printer *p, const json_t *v, unsigned depth)
{
    size_t i;
    json_t *item;
    AM_TRY(am_buf_puts(p->out, "["));
    json_array_foreach(v, i, item)
    {
        AM_TRY(i ? am_buf_puts(p->out, ",") : 0);
        AM_TRY(new_line(p, depth + 1));
        AM_TRY(value(p, item, depth + 1));
    }
    AM_TRY(json_array_size(v) ? new_line(p, depth) : 0);
    return am_buf_puts(p->out, "]");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted_keys(const json_t *v)
{
    size_t n = 0;
    const char **keys = calloc(json_object_size(v) + 1, sizeof(*keys));
    for (void *it = json_object_iter((json_t *)v); keys && it; it = json_object_iter_next((json_t *)v, it))
        keys[n++] = json_object_iter_key(it);
    if (keys)
        qsort(keys, n, sizeof(*keys), by_text);
    return keys;
}

static int members(const struct printer *p, const json_t *v, const char **keys, unsigned depth)
{
    for (size_t i = 0; keys[i]; i++) {
        json_t *key = json_string(keys[i]);
        int rc = key ? 0 : -AM_E_OUT_OF_MEMORY;
        if (rc == 0 && i)
            rc = am_buf_puts(p->out, ",");
        if (rc == 0)
            rc = new_line(p, depth + 1);
        if (rc == 0)
            rc = by_jansson(p, key);
        json_decref(key);
        AM_TRY(rc);
        AM_TRY(am_buf_puts(p->out, p->indent ? ": " : ":"));
        AM_TRY(value(p, json_object_get(v, keys[i]), depth + 1));
    }
    return keys[0] ? new_line(p, depth) : 0;
}

static int object(const struct printer *p, const json_t *v, unsigned depth)
{
    const char **keys = sorted_keys(v);
    int rc = keys ? am_buf_puts(p->out, "{") : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = members(p, v, keys, depth);
    free(keys);
    return rc < 0 ? rc : am_buf_puts(p->out, "}");
}

static int value(const struct printer *p, const json_t *v, unsigned depth)
{
    if (json_is_real(v))
        return real(p, json_real_value(v));
    if (json_is_array(v))
        return array(p, v, depth);
    if (json_is_object(v))
        return object(p, v, depth);
    return by_jansson(p, v);
}

int am_json_text(struct am_buf *out, const json_t *v, unsigned indent)
{
    struct printer p = {.out = out, .indent = indent};
    return value(&p, v, 0);
}
