/*
 * config_rewrite.c - some values of config.json written anew; every other byte of it stays as it is.
 */
#include "worker/config_json.h"

#include "core/base/text.h"

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

/* Key by key of the outermost object. */
static int walk(const char *text, size_t n, json_t *root, am_config_put *put, void *ctx, struct am_buf *out)
{
    size_t at = skip(text, n, 0) + 1, done = 0;
    int changed = 0;
    for (at = skip(text, n, at); at < n && text[at] == '"'; at = skip(text, n, at)) {
        size_t end = value_end(text, n, at), value;
        char key[256] = "";
        if (end - at - 2 < sizeof key)
            memcpy(key, text + at + 1, end - at - 2);
        value = skip(text, n, skip(text, n, end) + 1);
        end = value_end(text, n, value);
        size_t before = out->len;
        AM_TRY(am_buf_put(out, text + done, value - done));
        struct am_config_value v = {key, text + value, end - value, json_object_get(root, key)};
        int rc = put(ctx, &v, out);
        AM_TRY(rc);
        if (rc)
            done = end;
        else
            out->len = before;
        changed |= rc;
        at = skip(text, n, end);
        at += at < n && text[at] == ',';
    }
    AM_TRY(am_buf_put(out, text + done, n - done));
    return changed;
}

int am_config_rewrite(const char *text, size_t n, am_config_put *put, void *ctx, struct am_buf *out)
{
    json_t *root = json_loadb(text, n, 0, NULL);
    int rc = json_is_object(root) ? walk(text, n, root, put, ctx, out) : -AM_E_BAD_INPUT;
    json_decref(root);
    return rc;
}

#define TIED "tie_word_embeddings"

static int put_false(void *ctx, const struct am_config_value *v, struct am_buf *out)
{
    bool *seen = ctx;
    if (!am_streq(v->key, TIED))
        return 0;
    *seen = true;
    if (json_is_false(v->v))
        return 0;
    return am_buf_puts(out, "false") < 0 ? -AM_E_OUT_OF_MEMORY : 1;
}

/* In front of everything else, in the way that the first member is written. */
static int insert_false(const char *text, size_t n, struct am_buf *out)
{
    size_t open = skip(text, n, 0) + 1, first = skip(text, n, open);
    AM_TRY(am_buf_put(out, text, first));
    AM_TRY(am_buf_puts(out, "\"" TIED "\": false"));
    if (first < n && text[first] != '}') {
        AM_TRY(am_buf_puts(out, ","));
        AM_TRY(first > open ? am_buf_put(out, text + open, first - open) : am_buf_puts(out, " "));
    }
    return am_buf_put(out, text + first, n - first);
}

int am_config_untie(const char *text, size_t n, struct am_buf *out)
{
    bool seen = false;
    int rc = am_config_rewrite(text, n, put_false, &seen, out);
    if (rc < 0 || rc == 1)
        return rc;
    out->len = 0;
    if (seen)
        return 0;
    rc = insert_false(text, n, out);
    return rc < 0 ? rc : 1;
}
