/*
 * mergekit_parts.h - what the files of the translation share. Private to core/recipe.
 */
#ifndef AM_RECIPE_MERGEKIT_PARTS_H
#define AM_RECIPE_MERGEKIT_PARTS_H

#include "core/recipe/mergekit.h"
#include "core/table/json_util.h"

#include <stdbool.h>

struct am_mk_names { /* of the documents, when there are several */
    const char *v[AM_YAML_DOCUMENTS];
    size_t n;
    const char *own; /* of the one that is translated, when another takes what it makes; NULL: it is the last */
};

struct am_mk { /* a translation at work */
    struct am_mergekit *m;
    json_t *doc, *ask;
    const struct am_table *table;
    json_t *row; /* the method; NULL: unknown */
    struct am_faults *f;
    const struct am_mk_names *names; /* NULL: one document */
    size_t slices;                   /* how many there are */
    bool uneven;                     /* a slice lacks sources, and a fault says why */
    bool broken;                     /* too much is missing for a body */
    bool lenient, rules;             /* rules: mergekit's ways where they are a matter of choice (compat is not none) */
    json_t *origins;                 /* where the entries of `params` come from, by name: am_mk_origins() */
    json_t *inputs, *params, *options, *publish, *metadata; /* of the body; borrowed */
    const char *base; /* the text of base_model, or NULL; in the body's own form */
};

/* `body` is where the fault would be seen, `yaml` where it comes from ("?seed": a query parameter). */
void am_mk_place(struct am_mk *k, const char *body, const char *yaml);
void am_mk_warn(struct am_mk *k, const char *code, const char *pointer, const char *fmt, ...) AM_PRINTF(4, 5);
/* Places of models from number 0 on are those of number 1 on: one was put before them. */
void am_mk_shift_models(struct am_mk *k);
/* Faults, or with lenient warnings, for the keys of `obj` that are not known there. */
void am_mk_keys(struct am_mk *k, json_t *obj, const char *pointer, const char *const *known);
/* A fault; returns NULL. */
void *am_mk_fault(struct am_mk *k, int code, const char *pointer, const char *reason, const char *fmt, ...)
    AM_PRINTF(5, 6);

/* mergekit.c: one document into *m, of which `number` is set, and `yaml` if it is the caller's to give up. */
void am_mk_document(struct am_mergekit *m, json_t *doc, const char *text, size_t n, const struct am_mk_names *names,
                    json_t *ask, const struct am_table *t, struct am_faults *f);
/* mergekit_place.c: the configuration's pointer for one into the body, as far as it is known yet; false: it is not. */
bool am_mk_translate(const struct am_mergekit *m, const char *pointer, char out[AM_POINTER]);
/* Pointers of warnings begin with the document's number, when there are several; at the end. */
void am_mk_place_warnings(struct am_mergekit *m);
/* chain.c: what `text` is when there are several documents. True: *ret is a stage as a reference, or NULL after a
   fault; false: it is none. */
bool am_mk_stage(struct am_mk *k, const char *text, const char *pointer, json_t **ret);

/* mergekit_refs.c: a model reference as a version's name "ns/name@rev"; NULL after a fault. New reference. */
json_t *am_mk_ref(struct am_mk *k, json_t *v, const char *pointer);
/* Both name the same version, as far as their texts say. */
bool am_mk_same_ref(const char *a, const char *b);

/* mergekit_params.c: the settings of `from` (a `parameters`) into `into`, those of each model too when beside is false.
 */
void am_mk_params(struct am_mk *k, json_t *from, const char *pointer, json_t *into, const char *body_pointer,
                  bool beside);
/* A setting as a list of entries. New reference. */
json_t *am_mk_entries(json_t *v);
/* `own` where it says something, else `next`; either may be NULL. New reference. */
json_t *am_mk_chain(json_t *own, json_t *next);
/* Where the entries of a setting stand that is read from there: [pointer to the entry, pointer to its value] each, as
   am_mk_entries() makes them. New reference. */
json_t *am_mk_origins(json_t *v, const char *yaml);
/* The entries of the list at `body` from `first` on come from there. Takes over `origins`. */
void am_mk_place_entries(struct am_mk *k, const char *body, size_t first, json_t *origins);
/* `more` behind what `origins` has for that name. Takes over `more`. */
void am_mk_add_origins(json_t *origins, const char *name, json_t *more);
/* Those of the whole; when all of it is read. */
void am_mk_place_params(struct am_mk *k);
/* The described parameter, or NULL. */
json_t *am_mk_declared(const struct am_mk *k, const char *name);

/* mergekit_models.c: `models`, `base_model`. */
void am_mk_base(struct am_mk *k);
void am_mk_models(struct am_mk *k, json_t *models, const char *pointer);

/* mergekit_slices.c: `slices`. */
void am_mk_slices(struct am_mk *k, json_t *list, const char *pointer);

/* mergekit_modules.c: `modules` that are not all of the model. */
void am_mk_modules(struct am_mk *k, json_t *modules);

/* mergekit_tokenizer.c: `tokenizer`, `tokenizer_source`, `chat_template`. After what compat implies. */
void am_mk_tokenizer(struct am_mk *k);

/* mergekit_ask.c: options, publish, priority and metadata from the query. */
void am_mk_ask(struct am_mk *k, json_t *body);

#endif
