/*
 * config_json.h - sets the dtype that a Hugging Face config.json declares, and leaves every other byte of it alone.
 */
#ifndef AM_WORKER_CONFIG_JSON_H
#define AM_WORKER_CONFIG_JSON_H

#include "core/base/buf.h"

#include <stdint.h>

/* Copies `text` with the top-level members torch_dtype and dtype, where they are texts, set to `name` ("float32").
   1 = something changed, 0 = nothing did (`out` is then empty), -AM_E_BAD_INPUT: not a JSON object. */
int am_config_set_dtype(const char *text, size_t n, const char *name, struct am_buf *out);

/* The value of that key of the outermost object, written anew into `out`: 1; 0: it stays. */
struct json_t;
struct am_config_value {
    const char *key, *text; /* as it is written: n bytes */
    size_t n;
    const struct json_t *v;
};
typedef int am_config_put(void *ctx, const struct am_config_value *v, struct am_buf *out);
/* 1: `out` is the text with what put() wrote; 0: the same text. -AM_E_BAD_INPUT: it is no object. */
int am_config_rewrite(const char *text, size_t n, am_config_put *put, void *ctx, struct am_buf *out);
/* tie_word_embeddings is false. 1: `out` is that text; 0: it says so already. */
int am_config_untie(const char *text, size_t n, struct am_buf *out);

struct am_config_stack {
    uint32_t had;      /* layers of the model that the text is of */
    const char *stack; /* what their names begin with ("model.layers."): `stack_n` bytes of it count */
    size_t stack_n;
    const uint32_t *from, *to;
    size_t parts;
};
/* 1: `out` is the text of a stack of layers. -AM_E_BAD_INPUT: the text is no object. */
int am_config_set_layers(const char *text, size_t n, const struct am_config_stack *s, struct am_buf *out);

#endif
