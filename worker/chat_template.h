/*
 * chat_template.h - the chat template of a result (merge.md B14): built-in ones by name, and the one that an input has.
 */
#ifndef AM_WORKER_CHAT_TEMPLATE_H
#define AM_WORKER_CHAT_TEMPLATE_H

#include <stddef.h>

/* The text of a built-in template (alpaca, chatml, exaone, llama3, mistral), or NULL. */
const char *am_chat_builtin(const char *name);
/* The template in the text of a tokenizer_config.json: a text, or the one named default in a list. For free(); NULL: it
   has none. */
char *am_chat_of(const char *text, size_t n);
/* The most common of `n` templates, of which some may be NULL; of equals the first. NULL: all are. */
const char *am_chat_most_common(char *const *v, size_t n);

#endif
