/*
 * config_json.c - a scan over text that jansson has found sound, so it only has to count brackets and step over
 * strings.
 */
#include "worker/config_json.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* `at` is on the opening quote; returns the place after the closing one. */
static size_t string_end(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at < n ? at + 1 : n;
}

static bool is_dtype(const char *key, size_t n)
{
    return (n == 13 && memcmp(key, "\"torch_dtype\"", n) == 0) || (n == 7 && memcmp(key, "\"dtype\"", n) == 0);
}

/* Whether the string [at, end) is a key of the top level; then `*value` is where its value begins. */
static bool is_key(const char *text, size_t n, size_t end, size_t *value)
{
    while (end < n && strchr(" \t\r\n", text[end]))
        end++;
    if (end >= n || text[end] != ':')
        return false;
    for (end++; end < n && strchr(" \t\r\n", text[end]);)
        end++;
    *value = end;
    return end < n;
}

static int set_all(const char *text, size_t n, const char *quoted, struct am_buf *out)
{
    size_t done = 0, value = 0, want = strlen(quoted);
    int depth = 0, changed = 0;
    for (size_t at = 0; at < n;) {
        char c = text[at];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c != '"') {
            at++;
            continue;
        }
        size_t end = string_end(text, n, at);
        if (depth == 1 && is_dtype(text + at, end - at) && is_key(text, n, end, &value) && text[value] == '"') {
            end = string_end(text, n, value);
            if (end - value != want || memcmp(text + value, quoted, want) != 0) {
                AM_TRY(am_buf_put(out, text + done, value - done));
                AM_TRY(am_buf_puts(out, quoted));
                done = end;
                changed = 1;
            }
        }
        at = end;
    }
    return changed ? am_buf_put(out, text + done, n - done) < 0 ? -AM_E_OUT_OF_MEMORY : 1 : 0;
}

int am_config_set_dtype(const char *text, size_t n, const char *name, struct am_buf *out)
{
    struct am_buf quoted;
    json_t *root = json_loadb(text, n, 0, NULL);
    bool sound = json_is_object(root);
    json_decref(root);
    if (!sound)
        return -AM_E_BAD_INPUT;
    am_buf_init(&quoted, 64);
    int rc = am_buf_printf(&quoted, "\"%s\"", name);
    if (rc == 0)
        rc = set_all(text, n, quoted.data, out);
    am_buf_done(&quoted);
    return rc;
}
