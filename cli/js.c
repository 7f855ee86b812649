/*
 * js.c - reading members of answers and writing JSON (out.h). Lenient on purpose: a client must survive a newer daemon.
 */
#include "cli/out.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

json_t *am_js(const json_t *v, const char *path)
{
    char name[64];
    for (;;) {
        const char *dot = strchr(path, '.');
        size_t n = dot ? (size_t)(dot - path) : strlen(path);
        if (n >= sizeof name || !json_is_object(v))
            return NULL;
        memcpy(name, path, n);
        name[n] = 0;
        json_t *m = json_object_get(v, name);
        if (!dot)
            return m;
        v = m;
        path = dot + 1;
    }
}

const char *am_js_text(const json_t *v, const char *path, const char *def)
{
    const json_t *m = am_js(v, path);
    return json_is_string(m) ? json_string_value(m) : def;
}

int64_t am_js_int(const json_t *v, const char *path, int64_t def)
{
    const json_t *m = am_js(v, path);
    if (json_is_integer(m))
        return json_integer_value(m);
    if (json_is_real(m) && json_real_value(m) > -9e18 && json_real_value(m) < 9e18)
        return (int64_t)json_real_value(m);
    return def;
}

double am_js_real(const json_t *v, const char *path, double def)
{
    const json_t *m = am_js(v, path);
    return json_is_number(m) ? json_number_value(m) : def;
}

char *am_js_dump(const json_t *v, bool pretty)
{
    size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    char *text = NULL;
    for (size_t digits = 15; digits <= 17; digits++) {
        free(text);
        text = json_dumps(v, flags | JSON_REAL_PRECISION(digits));
        json_t *back = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        bool same = json_equal(back, v);
        json_decref(back);
        if (same)
            return text;
    }
    return text ? text : am_xdup("null");
}

static int put_scalar(struct am_buf *b, const json_t *v)
{
    char num[AM_F64_TEXT];
    if (json_is_string(v))
        return am_buf_puts(b, json_string_value(v));
    if (json_is_real(v)) {
        am_f64_text(json_real_value(v), num);
        return am_buf_puts(b, num);
    }
    char *text = am_js_dump(v, false);
    int rc = am_buf_puts(b, text);
    free(text);
    return rc;
}

char *am_js_plain(const json_t *v)
{
    struct am_buf b;
    am_buf_init(&b, 65536);
    int rc = 0;
    if (json_is_array(v)) {
        for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
            rc = i ? am_buf_puts(&b, ", ") : 0;
            if (rc == 0)
                rc = put_scalar(&b, json_array_get(v, i));
        }
    } else if (v && !json_is_null(v)) {
        rc = put_scalar(&b, v);
    }
    char *text = rc == 0 && b.data ? am_buf_take(&b) : am_xdup(rc == 0 ? "-" : "(long)");
    am_buf_done(&b);
    return text;
}
