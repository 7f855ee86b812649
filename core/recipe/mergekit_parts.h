/*
 * mergekit_parts.h - what the files of the translation share. Private to core/recipe.
 */
#ifndef AM_RECIPE_MERGEKIT_PARTS_H
#define AM_RECIPE_MERGEKIT_PARTS_H

#include "core/recipe/mergekit.h"
#include "core/table/json_util.h"

#include <stdbool.h>

struct am_mk { /* a translation at work */
    struct am_mergekit *m;
    json_t *doc, *ask;
    const struct am_table *table;
    json_t *row; /* the method; NULL: unknown */
    struct am_faults *f;
    bool broken;         /* too much is missing for a body */
    bool lenient, rules; /* rules: mergekit's ways where they are a matter of choice (compat is not none) */
    json_t *inputs, *params, *options, *publish, *metadata; /* of the body; borrowed */
    const char *base; /* the text of base_model, or NULL; in the body's own form */
};

/* `body` is where the fault would be seen, `yaml` where it comes from ("?seed": a query parameter). */
void am_mk_place(struct am_mk *k, const char *body, const char *yaml);
void am_mk_warn(struct am_mk *k, const char *code, const char *pointer, const char *fmt, ...) AM_PRINTF(4, 5);
/* Faults, or with lenient warnings, for the keys of `obj` that are not known there. */
void am_mk_keys(struct am_mk *k, json_t *obj, const char *pointer, const char *const *known);
/* A fault; returns NULL. */
void *am_mk_fault(struct am_mk *k, int code, const char *pointer, const char *reason, const char *fmt, ...)
    AM_PRINTF(5, 6);

/* mergekit_refs.c: a model reference as a version's name "ns/name@rev"; NULL after a fault. New reference. */
json_t *am_mk_ref(struct am_mk *k, json_t *v, const char *pointer);
/* Both name the same version, as far as their texts say. */
bool am_mk_same_ref(const char *a, const char *b);

/* mergekit_params.c: the settings of `from` (a `parameters`) into `into`, those of each model too when beside is false.
 */
void am_mk_params(struct am_mk *k, json_t *from, const char *pointer, json_t *into, const char *body_pointer,
                  bool beside);
/* The described parameter, or NULL. */
json_t *am_mk_declared(const struct am_mk *k, const char *name);

/* mergekit_models.c: `models`, `base_model`. */
void am_mk_base(struct am_mk *k);
void am_mk_models(struct am_mk *k, json_t *models, const char *pointer);

/* mergekit_slices.c: `slices`. */
void am_mk_slices(struct am_mk *k, json_t *list, const char *pointer);

/* mergekit_tokenizer.c: `tokenizer`, `tokenizer_source`, `chat_template`. After what compat implies. */
void am_mk_tokenizer(struct am_mk *k);

/* mergekit_ask.c: options, publish, priority and metadata from the query. */
void am_mk_ask(struct am_mk *k, json_t *body);

#endif
