/*
 * vocab_write.h - the files of a result's tokenizer, from those of the input whose tokenizer it goes on from.
 */
#ifndef AM_WORKER_VOCAB_WRITE_H
#define AM_WORKER_VOCAB_WRITE_H

#include "core/base/buf.h"
#include "worker/vocab_join.h"

/* tokenizer.json with the tokens of the result. `text` is the source's, which was read before. */
int am_vocab_write(const struct am_vjoin *j, const char *text, size_t n, struct am_buf *out);
/* The value of added_tokens_decoder in tokenizer_config.json: {"50": {...}}. New reference. */
json_t *am_vocab_decoder(const struct am_vjoin *j);
/* added_tokens.json: {"text": id} of those that model.vocab has not. New reference. */
json_t *am_vocab_added(const struct am_vjoin *j);
/* In the order of the members, two blanks a level. */
int am_vocab_dump(const json_t *v, struct am_buf *out);

#endif
