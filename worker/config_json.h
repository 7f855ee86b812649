/*
 * config_json.h - what a merge changes in a Hugging Face config.json; every other byte of it stays (json_edit.h). All
 * append the changed text to `out`: 1; 0: nothing changes; -AM_E_BAD_INPUT: the text is no JSON object.
 */
#ifndef AM_WORKER_CONFIG_JSON_H
#define AM_WORKER_CONFIG_JSON_H

#include "core/base/buf.h"

#include <stdint.h>

/* The top-level members torch_dtype and dtype, where they are texts, become `name` ("float32"). */
int am_config_set_dtype(const char *text, size_t n, const char *name, struct am_buf *out);
/* tie_word_embeddings is false. */
int am_config_untie(const char *text, size_t n, struct am_buf *out);

struct am_config_stack {
    uint32_t had;      /* layers of the model that the text is of */
    const char *stack; /* what their names begin with ("model.layers."): `stack_n` bytes of it count */
    size_t stack_n;
    const uint32_t *from, *to;
    size_t parts;
};
/* Number of layers, and lists with an entry for each, as a stack has them. */
int am_config_set_layers(const char *text, size_t n, const struct am_config_stack *s, struct am_buf *out);

#endif
