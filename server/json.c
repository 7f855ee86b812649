/*
 * json.c - see json.h.
 */
#include "server/json.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <string.h>

json_t *am_json_stored(const char *text)
{
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return v ? v : json_null();
}

json_t *am_json_time(int64_t ms)
{
    char text[AM_TIME_TEXT];
    if (ms <= 0)
        return json_null();
    am_time_text(ms, text);
    return json_string(text);
}

json_t *am_json_count(int64_t n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

json_t *am_json_measure(double v)
{
    return v >= 0 ? json_real(v) : json_null();
}

json_t *am_json_file(const char *sha256, int64_t bytes)
{
    return sha256 ? json_pack("{s:s, s:I}", "sha256", sha256, "bytes", (json_int_t)bytes) : json_null();
}

int am_json_add(void *array, json_t *o)
{
    return json_array_append_new(array, o) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

int am_json_take(void *ret, json_t *o)
{
    json_t **v = ret;
    json_decref(*v);
    *v = o;
    return o ? 0 : -AM_E_OUT_OF_MEMORY;
}

static const char *string_end(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        s += *s == '\\' && s[1];
    return *s ? s + 1 : s;
}

/* A number with a fraction, of n characters; a whole one stays one with a fraction. */
static size_t put_short(const char *number, size_t n, char *out)
{
    char text[64], shorter[AM_F64_TEXT + 3];
    double v;
    memcpy(text, number, n < sizeof text ? n : 0);
    text[n < sizeof text ? n : 0] = 0;
    if (n < sizeof text && am_parse_f64(text, &v) == 0) {
        am_f64_text(v, shorter);
        if (!strpbrk(shorter, ".e"))
            memcpy(shorter + strlen(shorter), ".0", 3);
        if (strlen(shorter) < n) {
            memcpy(out, shorter, strlen(shorter));
            return strlen(shorter);
        }
    }
    memmove(out, number, n);
    return n;
}

void am_json_shorten(char *text)
{
    char *out = text;
    for (const char *s = text; *s;) {
        const char *end = s + 1;
        if (*s == '"')
            end = string_end(s);
        else if (*s == '-' || (*s >= '0' && *s <= '9')) {
            end = s + strspn(s, "+-.0123456789eE");
            if (end - s > 17) { /* fewer digits are as short as they get */
                out += put_short(s, (size_t)(end - s), out);
                s = end;
                continue;
            }
        }
        memmove(out, s, (size_t)(end - s));
        out += end - s;
        s = end;
    }
    *out = 0;
}

char *am_json_text(const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (text)
        am_json_shorten(text);
    return text;
}
