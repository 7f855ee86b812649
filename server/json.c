/*
 * json.c - see json.h.
 */
#include "server/json.h"

#include "core/base/clock.h"

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
