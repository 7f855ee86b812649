/*
 * vocab.h - tensors with a row for each token: which they are (merge.md B12), and how many rows they get in a result.
 * Known by name, for the daemon plans without a configuration; not a reader of tokenizers (worker/vocab.h is).
 */
#ifndef AM_TABLE_VOCAB_H
#define AM_TABLE_VOCAB_H

#include "core/table/plan.h"

#define AM_SHAPE_TEXT 64

/* Whether a tensor of two axes with that name has a row for each token. */
bool am_vocab_has_rows(const char *name);
/* The numbers of a shape "[10,128]"; false: it has other than two. */
bool am_vocab_shape(const char *shape, uint64_t *ret_rows, uint64_t *ret_columns);
/* Whether the options of a body give rows to be gathered by tokens, or ask for rows to be cut. */
bool am_vocab_joins(const struct am_body *b);
bool am_vocab_cuts(const struct am_body *b);

/* One input's tensor, at the name at hand. */
struct am_vocab_side {
    struct am_plan_tensor *head;
    char *shape; /* AM_SHAPE_TEXT bytes, where another shape of the head may stand */
    const struct am_plan_input *in;
    bool donor;
    uint64_t rows;
};
/* Gives the heads of all sides the rows of the result, and notes them in the plan: exactly those when rows are cut;
   when they are gathered, the most that tokenizers of so many tokens can make. 0 also for tensors of another kind.
   1: faults were added, since rows differ that nobody asked to bring together. */
int am_vocab_judge(struct am_plan *p, const struct am_body *b, struct am_vocab_side *v, size_t n,
                   struct am_faults *faults);
/* `t` as the result has it. `ret` and `shape` are for the answer to stand in. */
const struct am_plan_tensor *am_vocab_fit(const struct am_plan *p, const struct am_plan_tensor *t,
                                          struct am_plan_tensor *ret, char shape[AM_SHAPE_TEXT]);
/* Bytes that the worker has of all tokenizers at once. */
uint64_t am_vocab_memory(const struct am_body *b, const struct am_plan_input *in, size_t n, const struct am_plan *p);

#endif
