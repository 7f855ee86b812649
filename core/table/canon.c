/*
 * canon.c - canonical JSON by RFC 8785 (canon.h).
 * Keys are sorted by bytes; RFC 8785 sorts by UTF-16 units, which is the same for the ASCII keys of specs and
 * registries. One deliberate difference: integers beyond 2^53 keep all their digits instead of being rounded to a
 * double, since two seeds that differ must not give one hash.
 */
#include "core/table/canon.h"

#include "core/base/buf.h"
#include "core/base/hash.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)256 << 20)
#define MAX_DEPTH 512

static int put_value(struct am_buf *b, const json_t *v, unsigned depth);

static int put_escape(struct am_buf *b, unsigned char c)
{
    static const char names[] = "btnvfr"; /* \b is 8 ... \r is 13; \v (11) is none of JSON's */
    if (c == '"' || c == '\\')
        return am_buf_printf(b, "\\%c", c);
    if (c >= 8 && c <= 13 && c != 11)
        return am_buf_printf(b, "\\%c", names[c - 8]);
    return am_buf_printf(b, "\\u%04x", c);
}

static int put_text(struct am_buf *b, const char *s, size_t n)
{
    size_t from = 0;
    AM_TRY(am_buf_put(b, "\"", 1));
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        AM_TRY(am_buf_put(b, s + from, i - from));
        AM_TRY(put_escape(b, c));
        from = i + 1;
    }
    AM_TRY(am_buf_put(b, s + from, n - from));
    return am_buf_put(b, "\"", 1);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_sorted(struct am_buf *b, const json_t *obj, const char **keys, size_t n, unsigned depth)
{
    qsort(keys, n, sizeof(*keys), by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            AM_TRY(am_buf_put(b, ",", 1));
        AM_TRY(put_text(b, keys[i], strlen(keys[i])));
        AM_TRY(am_buf_put(b, ":", 1));
        AM_TRY(put_value(b, json_object_get(obj, keys[i]), depth + 1));
    }
    return 0;
}

static int put_object(struct am_buf *b, const json_t *v, unsigned depth)
{
    size_t n = 0, size = json_object_size(v);
    const char **keys = calloc(size ? size : 1, sizeof(*keys));
    if (!keys)
        return -AM_E_OUT_OF_MEMORY;
    json_t *obj = (json_t *)(uintptr_t)v; /* jansson's iterators are not const; nothing is changed */
    for (void *it = json_object_iter(obj); it && n < size; it = json_object_iter_next(obj, it))
        keys[n++] = json_object_iter_key(it);
    int rc = am_buf_put(b, "{", 1);
    if (rc == 0)
        rc = put_sorted(b, v, keys, n, depth);
    free(keys);
    return rc < 0 ? rc : am_buf_put(b, "}", 1);
}

static int put_array(struct am_buf *b, const json_t *v, unsigned depth)
{
    AM_TRY(am_buf_put(b, "[", 1));
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            AM_TRY(am_buf_put(b, ",", 1));
        AM_TRY(put_value(b, json_array_get(v, i), depth + 1));
    }
    return am_buf_put(b, "]", 1);
}

static int put_real(struct am_buf *b, double d)
{
    char number[AM_F64_TEXT];
    am_f64_text(d, number);
    return am_buf_puts(b, number);
}

static int put_value(struct am_buf *b, const json_t *v, unsigned depth)
{
    if (!v || depth > MAX_DEPTH)
        return -AM_E_TOO_LARGE;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return put_object(b, v, depth);
    case JSON_ARRAY:
        return put_array(b, v, depth);
    case JSON_STRING:
        return put_text(b, json_string_value(v), json_string_length(v));
    case JSON_INTEGER:
        return am_buf_printf(b, "%lld", (long long)json_integer_value(v));
    case JSON_REAL:
        return put_real(b, json_real_value(v));
    case JSON_TRUE:
        return am_buf_puts(b, "true");
    case JSON_FALSE:
        return am_buf_puts(b, "false");
    case JSON_NULL:
    default:
        return am_buf_puts(b, "null");
    }
}

char *am_canon(const json_t *value)
{
    struct am_buf b;
    char *ret = NULL;
    am_buf_init(&b, MAX_BYTES);
    if (put_value(&b, value, 0) == 0)
        ret = am_buf_take(&b);
    am_buf_done(&b);
    return ret;
}

int am_canon_sha256(const json_t *value, char out[65])
{
    char *text = am_canon(value);
    if (!text)
        return -AM_E_OUT_OF_MEMORY;
    am_sha256_hex(text, strlen(text), out);
    free(text);
    return 0;
}
