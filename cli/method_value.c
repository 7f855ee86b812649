/*
 * method_value.c - one value of a parameter from its text, by the kind that its description names (method.h).
 */
#include "cli/method.h"

#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const json_t *am_method_param(const json_t *method, const char *name)
{
    const json_t *p;
    size_t i;
    AM_CLEANUP(am_xfreep) char *snake = am_xdup(name);
    for (char *s = snake; *s; s++)
        *s = *s == '-' ? '_' : *s;
    json_array_foreach(am_js(method, "params"), i, p) if (am_streq(am_js_text(p, "name", NULL), snake)) return p;
    return NULL;
}

static int say(const struct am_cli *c, const char *flag, const char *what, const char *text)
{
    return am_say_usage(c, "--%s takes %s, not '%s'", flag, what, text);
}

static json_t *bool_of(const char *text)
{
    static const char *const yes[] = {"true", "yes", "1", "on"}, *const no[] = {"false", "no", "0", "off"};
    for (size_t i = 0; i < 4; i++) {
        if (am_streq(text, yes[i]))
            return json_true();
        if (am_streq(text, no[i]))
            return json_false();
    }
    return NULL;
}

static json_t *int_of(const char *text)
{
    uint64_t v;
    bool minus = text[0] == '-';
    if (am_parse_u64(text + minus, &v) < 0 || v > INT64_MAX)
        return NULL;
    return json_integer(minus ? -(json_int_t)v : (json_int_t)v);
}

static json_t *real_of(const char *text)
{
    double v;
    return am_parse_f64(text, &v) < 0 ? NULL : json_real(v);
}

static int choice_of(const struct am_cli *c, const json_t *param, const char *flag, const char *text, json_t **ret)
{
    const json_t *choices = am_js(param, "choices"), *e;
    size_t i, n = 0;
    const char *known[64];
    json_array_foreach(choices, i, e)
    {
        if (am_streq(json_string_value(e), text)) {
            *ret = json_string(text);
            return 0;
        }
        if (n < 64 && json_is_string(e))
            known[n++] = json_string_value(e);
    }
    AM_CLEANUP(am_xfreep) char *all = am_js_plain(choices);
    const char *near = am_near(text, known, n);
    return am_say_usage(c, "--%s takes one of %s, not '%s'%s%s%s", flag, all, text, near ? "; did you mean " : "",
                        near ? near : "", near ? "?" : "");
}

int am_method_value(const struct am_cli *c, const json_t *param, const char *flag, const char *text, json_t **ret)
{
    const char *kind = am_js_text(param, "kind", "text");
    if (am_streq(kind, "choice"))
        return choice_of(c, param, flag, text, ret);
    json_t *v;
    const char *what = "UTF-8 text";
    if (am_streq(kind, "bool")) {
        v = bool_of(text);
        what = "true or false";
    } else if (am_streq(kind, "int")) {
        v = int_of(text);
        what = "a whole number";
    } else if (am_streq(kind, "real")) {
        v = real_of(text);
        what = "a number such as 0.5";
    } else if (am_streq(kind, "list")) {
        v = json_pack("[s]", text);
    } else {
        v = json_string(text);
    }
    /* a gradient over layers or values by filter: JSON as it is */
    if (!v && (text[0] == '[' || text[0] == '{') && !am_streq(kind, "bool"))
        v = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!v)
        return say(c, flag, what, text);
    *ret = v;
    return 0;
}
