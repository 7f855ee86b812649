/*
 * config_layers.c - config.json of a stack of layers: the number of layers, and every list with an entry for each of
 * them (layer_types), in the order of the stack. All else stays as it is written.
 */
#include "worker/config_json.h"

#include "core/base/text.h"
#include "worker/json_text.h"

#include <jansson.h>
#include <string.h>

#define BLANKS " \t\r\n"

static size_t skip(const char *text, size_t n, size_t at)
{
    while (at < n && strchr(BLANKS, text[at]))
        at++;
    return at;
}

/* The place after the value that begins at `at`, in text that is sound. */
static size_t value_end(const char *text, size_t n, size_t at)
{
    int depth = 0;
    bool quoted = false;
    for (; at < n; at++) {
        char c = text[at];
        if (quoted) {
            at += c == '\\';
            quoted = c != '"';
            continue;
        }
        if (depth == 0 && (c == ',' || c == ':' || c == '}' || strchr(BLANKS, c)))
            break;
        quoted = c == '"';
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    return at;
}

static bool is_count(const char *key)
{
    static const char *const names[] = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (am_streq(key, names[i]))
            return true;
    return false;
}

static uint32_t layers_of(const struct am_config_stack *s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s->parts; i++)
        n += s->to[i] - s->from[i];
    return n;
}

static int put_list(const json_t *list, const struct am_config_stack *s, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "["));
    for (size_t i = 0, put = 0; i < s->parts; i++) {
        for (uint32_t k = s->from[i]; k < s->to[i]; k++, put++) {
            const json_t *one = json_array_get(list, k < s->had ? k : s->had - 1);
            AM_TRY(put ? am_buf_puts(out, ", ") : 0);
            AM_TRY(am_json_text(out, one, 0));
        }
    }
    return am_buf_puts(out, "]");
}

/* 1: the value of that key is written anew. */
static int put_value(const char *key, const json_t *v, const struct am_config_stack *s, struct am_buf *out)
{
    if (json_is_integer(v) && is_count(key))
        return am_buf_printf(out, "%u", layers_of(s)) < 0 ? -AM_E_OUT_OF_MEMORY : 1;
    if (json_is_array(v) && s->had > 1 && json_array_size(v) == s->had)
        return put_list(v, s, out) < 0 ? -AM_E_OUT_OF_MEMORY : 1;
    return 0;
}

/* Key by key of the outermost object. */
static int walk(const char *text, size_t n, json_t *root, const struct am_config_stack *s, struct am_buf *out)
{
    size_t at = skip(text, n, 0) + 1, done = 0;
    for (at = skip(text, n, at); at < n && text[at] == '"'; at = skip(text, n, at)) {
        size_t end = value_end(text, n, at), value;
        char key[256] = "";
        if (end - at - 2 < sizeof key)
            memcpy(key, text + at + 1, end - at - 2);
        value = skip(text, n, skip(text, n, end) + 1);
        end = value_end(text, n, value);
        size_t before = out->len;
        AM_TRY(am_buf_put(out, text + done, value - done));
        int rc = put_value(key, json_object_get(root, key), s, out);
        AM_TRY(rc);
        if (rc)
            done = end;
        else
            out->len = before;
        at = skip(text, n, end);
        at += at < n && text[at] == ',';
    }
    return am_buf_put(out, text + done, n - done);
}

int am_config_set_layers(const char *text, size_t n, const struct am_config_stack *s, struct am_buf *out)
{
    json_t *root = json_loadb(text, n, 0, NULL);
    int rc = json_is_object(root) ? walk(text, n, root, s, out) : -AM_E_BAD_INPUT;
    json_decref(root);
    return rc < 0 ? rc : 1;
}
