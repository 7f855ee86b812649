/*
 * vocab_join.h - the vocabulary of a result from those of its inputs (merge.md B13): which tokens it has, under which
 * ids, and which row of each input a token is. Reads and writes no file.
 * Ownership: am_vjoin owns what it holds and borrows the vocabularies; safe to be done when zeroed.
 */
#ifndef AM_WORKER_VOCAB_JOIN_H
#define AM_WORKER_VOCAB_JOIN_H

#include "core/tensor/gather.h"
#include "worker/vocab.h"

struct am_vjoin_input {
    const struct am_vocab *vocab;
    const char *label;
    const char *name; /* "ns/name@commit", by which the options name it */
    size_t same;      /* the first input of the same version: itself, or one before */
    uint32_t rows;    /* tokens with an id from there on have no row and are left out; at most AM_VOCAB_TOKENS */
};

struct am_vjoin_ask {
    json_t *tokenizer; /* options.tokenizer */
    size_t base;
    void (*warn)(void *ctx, const char *code, const char *detail);
    void *ctx;
};

struct am_vjoin {
    size_t source;      /* the input whose tokenizer the result's is, with what is added */
    struct am_token *v; /* by id */
    size_t n;
    size_t added, taken; /* tokens that the source has not, and tokens that it has over its rows */
    struct am_gather_map map;
    uint32_t **own;
    struct am_gather_row *row;
    size_t *same;
};

/* -AM_E_TOKENIZER with faults: families that do not go together, tokens that are not there. */
int am_vjoin_make(struct am_vjoin *ret, const struct am_vjoin_input *in, size_t inputs, const struct am_vjoin_ask *ask,
                  struct am_faults *faults);
/* The token of an id, or NULL. */
const struct am_token *am_vjoin_at(const struct am_vjoin *j, uint32_t id);
/* The id that a token of the input's own has in the result, or AM_NO_TOKEN. */
uint32_t am_vjoin_id(const struct am_vjoin *j, const struct am_vjoin_input *in, uint32_t id);
void am_vjoin_done(struct am_vjoin *j);

#endif
