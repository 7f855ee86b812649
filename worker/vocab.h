/*
 * vocab.h - the tokens of a tokenizer.json, out of the bytes of a stranger (a fuzz target holds it). Only which token
 * has which id: it does not cut text into tokens.
 * Ownership: am_vocab owns its tables until am_vocab_done(); safe on a zeroed one.
 */
#ifndef AM_WORKER_VOCAB_H
#define AM_WORKER_VOCAB_H

#include "core/base/fault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define AM_VOCAB_FILE_MAX ((uint64_t)64 << 20)
#define AM_VOCAB_TOKENS 2000000
#define AM_NO_TOKEN UINT32_MAX

enum am_token_flag {
    AM_TOKEN_LISTED = 1, /* in model.vocab */
    AM_TOKEN_ADDED = 2,  /* in added_tokens, with what follows */
    AM_TOKEN_SPECIAL = 4,
    AM_TOKEN_SINGLE_WORD = 8,
    AM_TOKEN_LSTRIP = 16,
    AM_TOKEN_RSTRIP = 32,
    AM_TOKEN_NORMALIZED = 64
};

struct am_token {
    const char *text;
    uint32_t bytes, id;
    uint8_t flags;
    double score; /* unigram */
};

struct am_vocab {
    char family[16];    /* "BPE", "Unigram", "WordPiece", "WordLevel" */
    struct am_token *v; /* by id */
    size_t n;
    uint32_t *slot; /* hash table over v: index + 1, 0 = free */
    size_t slots;
    char *text;
};

/* Tokens of the JSON text. `label`: whose it is, for messages. -AM_E_TOKENIZER with a fault. */
int am_vocab_read(struct am_vocab *ret, const char *text, size_t n, const char *label, struct am_faults *faults);
/* The same of the value that was parsed already. */
int am_vocab_take(struct am_vocab *ret, const json_t *root, const char *label, struct am_faults *faults);
/* NULL: it has no such token. */
const struct am_token *am_vocab_find(const struct am_vocab *v, const char *text, size_t bytes);
const struct am_token *am_vocab_at(const struct am_vocab *v, uint32_t id);
/* The slot of a text: of the token, or where it would be put. There are slots. */
size_t am_vocab_place(const struct am_vocab *v, const char *text, size_t bytes);
void am_vocab_done(struct am_vocab *v);

/* Parses what am_vocab_read() does; NULL after a fault. */
json_t *am_vocab_parse(const char *text, size_t n, const char *label, struct am_faults *faults);

#endif
