/*
 * body.h - checks the body of POST /v1/jobs against the described registry: every fault at once with its JSON Pointer,
 * unknown members with the nearest known name, defaults filled in. Knows no database: the names of versions come out as
 * text to resolve. Ownership: am_body owns what it holds until am_body_done(); safe on a zeroed struct.
 */
#ifndef AM_TABLE_BODY_H
#define AM_TABLE_BODY_H

#include "core/base/fault.h"
#include "core/table/table.h"

#include <stdbool.h>
#include <stdint.h>

#define AM_SHARD_BYTES                                                                                                 \
    5000000000LL /* options.shard_bytes when nobody says; then a donor's files are kept as they are cut */

/* One input version named in the body, in this order: merge: base (if given), models..., each followed by the base
   beside it (role "old_base"; exactly with needs.task); a base or model that is a stack is followed by its further
   parts (role "part"); unlearn: model, task.version (role "patch"), task.base (role "old_base"; when the body leaves
   it out, the entry repeats `model`); edit: model; evaluate: old, new (none when it does not say which form it
   has), or the versions of a line. A merge's adapters (role "adapter") come last, each with the entry that it is added
   to. */
struct am_body_input {
    const char *role; /* "base" "model" "input" "patch" "old_base" "adapter" (api.md 12.1), "old" "new" "version" */
    char *ref;        /* "ns/name@rev" as submitted; NULL: */
    char *job;        /* "job_...": what that job makes; NULL too when there was a fault */
    char *set;        /* evaluate, named by a prediction set: "prd_..."; then ref and job are NULL */
    char *pointer;    /* "#/inputs/models/0" or "#/inputs/models/0/version" */
    size_t parts;     /* a stack of layers of so many versions: this one, and the entries of role "part" after it; 0: no
                         stack */
    uint32_t from, to; /* the layers of a part */
    const char *use;   /* of a part: "all"; "layers" without what lies before and after them; "none": the input has no
                          tensors in this part of the stack */
    json_t *params;    /* merge models: their per-input values, complete; else NULL */
    json_t *modules;   /* merge models: prefixes of the names of the tensors that they take part in; NULL: all */
    size_t adapter;    /* of what has one: the entry of it; 0: none */
    size_t of;         /* of an adapter: the entry that it is added to */
};

struct am_body {
    const char *type, *method; /* bare names, borrowed from the table */
    json_t *row;               /* the method in the table, borrowed */
    struct am_body_input *input;
    size_t inputs;
    size_t adapters; /* of them: the last ones */
    size_t donor;    /* index: gives config, other files, dtypes: base, else the first model / the model */
    json_t *params;  /* global parameters, complete */
    json_t *options; /* complete: seed, threads (0 = the slot's), out_dtype (null or text), shard_bytes;
                        post_layers_t when a value is read over the depth; missing ("present", "base") and extra
                        ("keep", "drop") when they are not "refuse"; tokenizer, vocab ("truncate") and chat_template
                        when they are given */
    json_t *metadata;
    const char *mergekit_config; /* the text that the body was made of, or NULL; borrowed from the body */
    int priority;
    /* Options that say when and how often a job runs: they change no byte of its result, so the recipe lacks them. */
    int max_attempts;           /* 0 = the service's default */
    int64_t time_limit_seconds; /* 0 = none */
    int64_t not_before;         /* ms since 1970; 0 = at once */
    bool reuse;                 /* the result of the same job before will do; by default for methods without data */
    bool mixed_architectures;   /* inputs of different architectures are taken, if their tensors agree */
    char *publish_model;        /* for merge required; else NULL = the input's model */
    char *branch, *message;     /* branch "main" by default; message NULL = made by the caller */
    char *on_conflict;          /* "append" (merge) or "detach" (edit, unlearn) by default; also "fail" */
    char *if_head;              /* or NULL */
    json_t *tags;               /* list of text */
    /* evaluate; gate and move also of other jobs */
    char *data; /* the dataset, of sides that are versions; NULL: by sets, or there was a fault */
    bool data_external;
    json_t *tasks;       /* continual: list of {"name","random","predictions"}, complete; NULL: another method */
    json_t *line;        /* continual: {"model","branch"}, or NULL: the versions are inputs */
    char *gate_name;     /* "default" or "default@3" */
    json_t *gate_policy; /* the policy itself; NULL both: no gate. Whether it is one core/gate says */
    const char *gate_at; /* where the policy stands: "#/gate" or "#/gate/policy" */
    char *gate_against;  /* of a job that makes a version: which one it is compared with, "ns/name@rev"; or NULL */
    char *gate_set[2];   /* of such a job: prediction sets of the old and the new side, "prd_..."; or NULL */
    json_t *move;        /* list of {"ref","to","when"}, complete */
};

/*
 * 0, or the negative code of the worst fault with all of them in `faults`. With faults `ret` still holds what could be
 * read (row may be NULL, inputs may lack entries), so that the caller can go on and find the faults that only the store
 * knows; am_body_done() it.
 */
int am_body_check(struct am_body *ret, json_t *body, const struct am_table *t, struct am_faults *faults);
void am_body_done(struct am_body *b);

/* The parameters of a method when nobody gives one, complete. New reference. 0 or a negative error. */
int am_params_default(json_t *row, json_t **ret);
/* Of a merge of stacks: the part that a tensor of the result is in. 0 without stacks. */
size_t am_body_slice(const struct am_body *b, const char *tensor);

/* Adds the faults of a `metadata` (NULL: none). */
void am_metadata_check(json_t *metadata, struct am_faults *faults);

/* Whether two texts name the same: "@main" may be left out, and with adapters ("a+b") each is compared. */
bool am_ref_same(const char *a, const char *b);
/* "ns/name@rev" into model and rev ("main" when absent). Both for free(). -AM_E_INVALID_REQUEST with *ret_why when it
 * is none. */
int am_ref_split(const char *text, char **ret_model, char **ret_rev, const char **ret_why);

/* NULL when `name` may be a branch or a tag, else why not. */
const char *am_ref_name_fault(const char *name);
/* A ref that a job or a registration sets must not be called v<N>, the name of a version of main: which version it will
   point to is not known yet. */
void am_ref_shadow_check(const char *name, const char *pointer, struct am_faults *f);

#endif
