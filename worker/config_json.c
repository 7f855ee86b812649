/*
 * config_json.c - the dtype that config.json declares, and that its head is not tied. config_layers.c is the rest.
 */
#include "worker/config_json.h"

#include "core/base/text.h"
#include "worker/json_edit.h"

#define TIED "tie_word_embeddings"

static int put_dtype(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    const char *name = ctx, *now = json_string_value(m->value);
    if (!now || am_streq(now, name) || (!am_streq(m->key, "torch_dtype") && !am_streq(m->key, "dtype")))
        return 0;
    int rc = am_buf_printf(out, "\"%s\"", name);
    return rc < 0 ? rc : 1;
}

int am_config_set_dtype(const char *text, size_t n, const char *name, struct am_buf *out)
{
    struct am_json_edit e = {.each = put_dtype, .ctx = (void *)name};
    return am_json_edit(text, n, &e, out);
}

static int put_false(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    (void)ctx;
    if (!am_streq(m->key, TIED) || json_is_false(m->value))
        return 0;
    int rc = am_buf_puts(out, "false");
    return rc < 0 ? rc : 1;
}

int am_config_untie(const char *text, size_t n, struct am_buf *out)
{
    struct am_json_edit e = {.each = put_false, .add_key = TIED, .add_text = "false"};
    return am_json_edit(text, n, &e, out);
}
