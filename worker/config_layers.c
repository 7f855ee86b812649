/*
 * config_layers.c - config.json of a stack of layers: the number of layers, and every list with an entry for each of
 * them (layer_types), in the order of the stack. All else stays as it is written.
 */
#include "worker/config_json.h"

#include "core/base/text.h"
#include "worker/json_text.h"

#include <jansson.h>
#include <string.h>

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

static int put_value(void *ctx, const char *key, const json_t *v, struct am_buf *out)
{
    const struct am_config_stack *s = ctx;
    if (json_is_integer(v) && is_count(key))
        return am_buf_printf(out, "%u", layers_of(s)) < 0 ? -AM_E_OUT_OF_MEMORY : 1;
    if (json_is_array(v) && s->had > 1 && json_array_size(v) == s->had)
        return put_list(v, s, out) < 0 ? -AM_E_OUT_OF_MEMORY : 1;
    return 0;
}

int am_config_set_layers(const char *text, size_t n, const struct am_config_stack *s, struct am_buf *out)
{
    struct am_config_stack stack = *s;
    int rc = am_config_rewrite(text, n, put_value, &stack, out);
    return rc < 0 ? rc : 1;
}
