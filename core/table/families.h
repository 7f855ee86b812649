/*
 * families.h - what is known of families of models beyond the names of tensors: families.def as a table, and questions
 * to it. Knows no weights and no files.
 */
#ifndef AM_TABLE_FAMILIES_H
#define AM_TABLE_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>

struct am_family { /* a row of families.def; lists are words with | between them */
    const char *type, *layers, *counts, *lists, *before, *head, *embedding;
};

/* By the model_type of config.json; NULL: none of them, or no type. */
const struct am_family *am_family_find(const char *type);
/* The `i`th word of a list of the table, with its length; NULL: there are fewer. */
const char *am_family_word(const char *list, size_t i, size_t *ret_n);
/* Whether that part of a tensor's name (between dots) stands before the number of a layer, in some family. */
bool am_family_is_stack(const char *part, size_t n);
/* Whether it lies before the layers. */
bool am_family_is_before(const char *part, size_t n);
/* What the names of a module's tensors begin with, as a list of words; NULL: no module is called so. */
const char *am_family_module(const char *name);
/* The head that this embedding stands for in models with a tied head; NULL: none. */
const char *am_family_head(const char *embedding);
/* The `i`th embedding that stands for this head in some family; NULL: there are fewer. */
const char *am_family_embedding(const char *head, size_t i);
/* What is computed anew wherever it is needed. */
bool am_family_is_buffer(const char *tensor);

/*
 * Tied heads: some inputs have a head, and in others the embedding stands for it (merge.md B15). same() says whether
 * tensor `a` of input `i` is there and has the shape of tensor `b` of input `k`; tied() is told of an input without
 * head what stands for it. Both names last for ever. A negative return ends it and is passed on.
 */
struct am_ties {
    bool (*same)(void *ctx, size_t i, const char *a, size_t k, const char *b);
    int (*tied)(void *ctx, size_t i, const char *head, const char *embedding);
    void *ctx;
};
int am_family_ties(size_t inputs, const struct am_ties *t);

#endif
