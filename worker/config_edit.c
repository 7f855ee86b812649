/*
 * config_edit.c - see config_edit.h.
 */
#include "worker/config_edit.h"

#include "core/base/err.h"
#include "core/methods/run.h"
#include "core/table/layers.h"
#include "worker/config_json.h"
#include "worker/stack.h"

static const char *torch_name(int dtype)
{
    switch (dtype) {
    case AM_F16:
        return "float16";
    case AM_BF16:
        return "bfloat16";
    case AM_F64:
        return "float64";
    default:
        return "float32";
    }
}

static int set_dtype(const struct am_config_edit *e, const char *text, size_t n, struct am_buf *out)
{
    return e->spec->out_dtype < 0 ? 0 : am_config_set_dtype(text, n, torch_name(e->spec->out_dtype), out);
}

static int set_layers(const struct am_config_edit *e, const char *text, size_t n, struct am_buf *out)
{
    uint32_t from[2 * AM_MAX_INPUTS + 1], to[2 * AM_MAX_INPUTS + 1];
    struct am_config_stack s = {.from = from, .to = to, .parts = e->parts};
    struct am_layers layers = {0};
    for (size_t i = 0; i < e->parts; i++) {
        from[i] = e->spec->input[e->spec->donor + i].from;
        to[i] = e->spec->input[e->spec->donor + i].to;
    }
    for (size_t i = 0; i < e->donor->tensors; i++)
        if (am_stack_takes(&e->spec->input[e->spec->donor], e->donor->tensor[i].name))
            am_layers_add(&layers, e->donor->tensor[i].name);
    if (layers.stacks) {
        s.had = layers.stack[0].layers;
        s.stack = layers.stack[0].name;
        s.stack_n = layers.stack[0].n;
    }
    return e->parts ? am_config_set_layers(text, n, &s, out) : 0;
}

/* A head of its own is read only when the config says that there is one. */
static int set_untied(const struct am_config_edit *e, const char *text, size_t n, struct am_buf *out)
{
    return e->untie ? am_config_untie(text, n, out) : 0;
}

static int set_tokens(const struct am_config_edit *e, const char *text, size_t n, struct am_buf *out)
{
    return am_tokens_config(e->tokens, text, n, out);
}

/* Each edit reads what the one before it made. */
int am_config_edit(const struct am_config_edit *e, struct am_buf text[2])
{
    static int (*const edits[])(const struct am_config_edit *e, const char *text, size_t n,
                                struct am_buf *out) = {set_dtype, set_layers, set_untied, set_tokens};
    int changed = 0;
    for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
        const char *from = changed ? text[0].data : e->text;
        int rc = edits[i](e, from, changed ? text[0].len : e->n, &text[1]);
        AM_TRY(rc);
        if (!rc)
            continue;
        struct am_buf made = text[1];
        text[1] = text[0];
        text[0] = made;
        text[1].len = 0;
        changed = 1;
    }
    return changed;
}
