/*
 * tokens.h - what a job asks about tokenizers, in mode `run`: options.tokenizer, vocab and chat_template. Reads the
 * files of the inputs, puts rebuilt matrices into their models before anything else sees them (core/tensor/gather.h),
 * and makes the tokenizer files of the result. Without such options it does nothing.
 * Ownership: am_tokens borrows session, spec and models; am_tokens_done() comes after the last read of the models. Safe
 * on a zeroed struct.
 */
#ifndef AM_WORKER_TOKENS_H
#define AM_WORKER_TOKENS_H

#include "core/base/buf.h"
#include "worker/session.h"
#include "worker/spec.h"
#include "worker/vocab_join.h"

#define AM_TOKENS_FILES 16

struct am_tokens {
    struct am_session *s;
    const struct am_spec_run *spec;
    size_t inputs;          /* of the spec: those before the adapters, whose base's tokens are meant */
    struct am_vocab *vocab; /* of each input; those of the same file have one */
    struct am_vjoin_input *in;
    char **name;
    char **chat; /* the templates of the inputs */
    struct am_vjoin join;
    struct am_gather gather;
    struct am_gather_map cut;
    size_t *same;
    bool joined, changed;       /* changed: the tokenizer is no longer that of its source */
    uint64_t rows;              /* of the result's matrices; 0: the donor's */
    const char *chat_text;      /* or NULL: the source's own */
    size_t source;              /* the input whose tokenizer files the result's are */
    bool made[AM_TOKENS_FILES]; /* files that are not the donor's, in the order of tokens_put.c */
};

/* as_base: the method takes no input with fewer rows than its base. */
int am_tokens_open(struct am_tokens *ret, struct am_session *s, const struct am_spec_run *spec, struct am_model *model,
                   bool as_base);
/* The donor's config.json or generation_config.json with the result's ids and rows. 1: `out` has it; 0: it stays. */
int am_tokens_config(struct am_tokens *t, const char *text, size_t n, struct am_buf *out);
typedef int am_tokens_put_fn(void *ctx, const char *path, const char *text, size_t n);
int am_tokens_put(struct am_tokens *t, am_tokens_put_fn *put, void *ctx);
/* Whether the donor's file of that path is the result's. After am_tokens_put(). */
bool am_tokens_keeps(const struct am_tokens *t, const char *path);
void am_tokens_done(struct am_tokens *t);

/* ---- for tokens*.c ---- */

/* A small text of an input; NULL with 0: it has none. For free(). */
int am_tokens_read(const struct am_tokens *t, size_t input, const char *path, char **ret, size_t *ret_n);

#endif
