/*
 * yaml.c - a JSON value as YAML in block style (-o yaml). Only written, never read. Texts that are not plainly words
 * are quoted the JSON way, which YAML reads the same; numbers are written so that YAML 1.1 readers see numbers, too.
 */
#include "cli/out.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define YAML_MAX (256u << 20)
#define YAML_DEPTH 200

/* Letters first and no letter that YAML gives a meaning; and not one of its words for true, false and nothing. */
static bool is_plain(const char *s)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (!s[0] || !strchr(letters, s[0]))
        return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcasecmp(s, taken[i]) == 0)
            return false;
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@-")] == 0;
}

/* JSON leaves DEL, C1 and the byte-order mark as they are; YAML wants them escaped. */
static int put_quoted(struct am_buf *b, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    int rc = text ? 0 : -AM_E_OUT_OF_MEMORY;
    for (const unsigned char *p = (const unsigned char *)text; rc == 0 && *p; p++) {
        if (*p == 0x7f)
            rc = am_buf_puts(b, "\\x7F");
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
            rc = am_buf_printf(b, "\\x%02X", *++p);
        else if (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)
            rc = am_buf_puts(b, "\\uFEFF"), p += 2;
        else
            rc = am_buf_put(b, p, 1);
    }
    free(text);
    return rc;
}

static int put_text(struct am_buf *b, const char *text)
{
    if (is_plain(text))
        return am_buf_puts(b, text);
    AM_CLEANUP(am_jsonp) json_t *v = json_string(text);
    return put_quoted(b, v);
}

static int put_real(struct am_buf *b, double v)
{
    char num[AM_F64_TEXT];
    am_f64_text(v, num);
    size_t n = strcspn(num, "e");
    bool dotted = memchr(num, '.', n) != NULL;
    return am_buf_printf(b, "%.*s%s%s", (int)n, num, dotted ? "" : ".0", num + n);
}

static int put_scalar(struct am_buf *b, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return put_text(b, json_string_value(v));
    case JSON_INTEGER:
        return am_buf_printf(b, "%lld", (long long)json_integer_value(v));
    case JSON_REAL:
        return put_real(b, json_real_value(v));
    case JSON_TRUE:
        return am_buf_puts(b, "true");
    case JSON_FALSE:
        return am_buf_puts(b, "false");
    case JSON_ARRAY:
        return am_buf_puts(b, "[]");
    case JSON_OBJECT:
        return am_buf_puts(b, "{}");
    default:
        return am_buf_puts(b, "null");
    }
}

static bool is_block(const json_t *v)
{
    return json_array_size(v) || json_object_size(v);
}

/* The lines of a list or object that is not empty. `inside`: the first line continues one that is begun ("- "). */
static int put_block(struct am_buf *b, const json_t *v, int depth, bool inside)
{
    const char *name;
    json_t *m;
    size_t i;
    if (depth > YAML_DEPTH)
        return -AM_E_TOO_LARGE;
    json_array_foreach(v, i, m)
    {
        AM_TRY(am_buf_printf(b, "%*s- ", inside ? 0 : 2 * depth, ""));
        AM_TRY(is_block(m) ? put_block(b, m, depth + 1, true) : put_scalar(b, m));
        AM_TRY(is_block(m) ? 0 : am_buf_puts(b, "\n"));
        inside = false;
    }
    json_object_foreach((json_t *)v, name, m)
    {
        AM_TRY(am_buf_printf(b, "%*s", inside ? 0 : 2 * depth, ""));
        AM_TRY(put_text(b, name));
        AM_TRY(am_buf_puts(b, is_block(m) ? ":\n" : ": "));
        AM_TRY(is_block(m) ? put_block(b, m, depth + 1, false) : put_scalar(b, m));
        AM_TRY(is_block(m) ? 0 : am_buf_puts(b, "\n"));
        inside = false;
    }
    return 0;
}

char *am_yaml(const json_t *v)
{
    struct am_buf b;
    am_buf_init(&b, YAML_MAX);
    int rc = is_block(v) ? put_block(&b, v, 0, false) : put_scalar(&b, v);
    if (rc == 0 && !is_block(v))
        rc = am_buf_puts(&b, "\n");
    char *text = rc == 0 ? am_buf_take(&b) : NULL;
    am_buf_done(&b);
    return text;
}
