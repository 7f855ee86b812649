/*
 * json_edit.c - see json_edit.h. A scan over text that jansson has found sound.
 */
#include "worker/json_edit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t skip(const char *text, size_t n, size_t at)
{
    while (at < n && strchr(" \t\r\n", text[at]))
        at++;
    return at;
}

/* The place after the value that begins at `at`. */
static size_t value_end(const char *text, size_t n, size_t at)
{
    int depth = 0;
    bool quoted = false;
    for (; at < n; at++) {
        char c = text[at];
        if (quoted) {
            at += c == '\\';
            quoted = c != '"';
            if (!quoted && depth == 0)
                return at + 1;
            continue;
        }
        if (depth == 0 && strchr(",}] \t\r\n", c))
            return at;
        quoted = c == '"';
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth == 0 && (c == '}' || c == ']'))
            return at + 1;
    }
    return at;
}

/* One member from its key on; *at goes behind it. 1: its value was changed. */
static int edit_member(const char *text, size_t n, const json_t *root, const struct am_json_edit *e, size_t *at,
                       struct am_buf *out)
{
    size_t key_end = value_end(text, n, *at), value = skip(text, n, skip(text, n, key_end) + 1);
    size_t end = value_end(text, n, value), before = out->len;
    json_t *key = json_loadb(text + *at, key_end - *at, JSON_DECODE_ANY, NULL);
    struct am_json_member m = {.key = json_string_value(key), .text = text + value, .n = end - value};
    int rc = 0;
    m.value = m.key ? json_object_get(root, m.key) : NULL;
    AM_TRY(am_buf_put(out, text + *at, value - *at));
    if (m.value && e->each)
        rc = e->each(e->ctx, &m, out);
    if (rc == 0) {
        out->len = before;
        AM_TRY(am_buf_put(out, text + *at, end - *at));
    }
    json_decref(key);
    *at = end;
    return rc;
}

static int add_member(const struct am_json_edit *e, bool first, struct am_buf *out)
{
    json_t *key = json_string(e->add_key);
    char *quoted = key ? json_dumps(key, JSON_ENCODE_ANY) : NULL;
    int rc = quoted ? am_buf_printf(out, "%s\n  %s: ", first ? "" : ",", quoted) : -AM_E_OUT_OF_MEMORY;
    free(quoted);
    json_decref(key);
    if (rc == 0)
        rc = am_buf_puts(out, e->add_text);
    return rc == 0 ? am_buf_puts(out, "\n") : rc;
}

static int edit(const char *text, size_t n, const json_t *root, const struct am_json_edit *e, struct am_buf *out)
{
    size_t at = skip(text, n, 0) + 1, done = at;
    int changed = 0;
    bool first = true;
    AM_TRY(am_buf_put(out, text, at));
    for (at = skip(text, n, at); at < n && text[at] == '"'; first = false) {
        AM_TRY(am_buf_put(out, text + done, at - done));
        int rc = edit_member(text, n, root, e, &at, out);
        AM_TRY(rc);
        changed |= rc;
        done = at;
        at = skip(text, n, at);
        at += at < n && text[at] == ',';
        at = skip(text, n, at);
    }
    if (e->add_key && !json_object_get(root, e->add_key)) {
        AM_TRY(add_member(e, first, out));
        done = skip(text, n, done);
        changed = 1;
    }
    AM_TRY(am_buf_put(out, text + done, n - done));
    return changed;
}

int am_json_edit(const char *text, size_t n, const struct am_json_edit *e, struct am_buf *out)
{
    json_t *root = json_loadb(text, n, JSON_DECODE_INT_AS_REAL, NULL);
    size_t before = out->len;
    int rc = json_is_object(root) ? edit(text, n, root, e, out) : -AM_E_BAD_INPUT;
    json_decref(root);
    if (rc == 0)
        out->len = before;
    return rc;
}
