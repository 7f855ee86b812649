/*
 * method.h - the contract of a method: one `const struct am_method` in one file of core/merge, core/unlearn or
 * core/edit.
 *
 * A method declares its parameters and needs as data; validation, GET /v1/methods, the JSON Schema, the tables of
 * api.md, `amend methods` and the fuzz dictionary are derived from them. It computes on WINDOWS: spans of at most
 * AM_WINDOW elements of one tensor, the same elements of every input, converted to f32. It never sees files, JSON or
 * threads. Names of files and methods agree: core/merge/linear.c exports am_method_merge_linear. tools/gen-methods
 * finds it by name; there is no list to add it to.
 *
 * Ownership: everything a method is given is borrowed for the call. A method keeps no state outside its accumulator.
 */
#ifndef AM_METHODS_METHOD_H
#define AM_METHODS_METHOD_H

#include "core/methods/args.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_METHOD_ABI 1
#define AM_WINDOW 262144 /* elements; the same boundaries for any number of threads */
#define AM_MAX_INPUTS 100

enum am_type { AM_MERGE, AM_UNLEARN, AM_EDIT, AM_TYPES };
extern const char *const am_type_names[AM_TYPES]; /* "merge", "unlearn", "edit" */

enum am_kind { AM_BOOL, AM_INT, AM_REAL, AM_TEXT, AM_CHOICE, AM_LIST }; /* AM_LIST: a list of text */

enum {                   /* am_param.flags */
       AM_REQUIRED = 1,  /* no default: must be given */
       AM_PER_INPUT = 2, /* one value for each model of a merge, given beside the model or once for all */
       AM_OPEN_MIN = 4,  /* min itself is not allowed */
       AM_OPEN_MAX = 8,
       AM_ADVANCED = 16, /* forms and --help show it last */
};

struct am_param {
    const char *name; /* [a-z][a-z0-9_]*; an empty entry ends the array */
    enum am_kind kind;
    double min, max;            /* AM_INT, AM_REAL: bounds hold when min < max; NaN and infinities are always refused */
    const char *def;            /* the default as JSON text; NULL exactly when AM_REQUIRED */
    const char *const *choices; /* AM_CHOICE: NULL-terminated */
    const char *unit;           /* "factor", "fraction", "none", ... */
    const char *doc;            /* one line */
    unsigned flags;
};

/* Rules over parameters that the daemon checks at submit, as data. */
enum am_rule_kind {
    AM_RULE_END,
    AM_RULE_SUM_NOT_ZERO, /* |sum over the inputs of per-input real `a`| >= 1e-8 whenever bool `b` is true (reason
                             weights-sum-zero) */
};
struct am_rule {
    enum am_rule_kind kind;
    const char *a, *b;
};

enum am_need {
    AM_NO,
    AM_OPTIONAL,
    AM_YES,
    AM_DONOR, /* optional, and only for its names, dtypes, config and tokenizer: its numbers are never read */
};

enum am_scope {
    AM_SCOPE_TENSOR,   /* an accumulator lives for one tensor */
    AM_SCOPE_MODEL,    /* for all selected tensors: apply starts after the last window of the last tensor */
    AM_SCOPE_BY_PARAM, /* the method's choice parameter `scope` ("tensor" or "model") says which */
};

struct am_needs {
    /* merge: how many `models`; 0 = no upper bound (but AM_MAX_INPUTS). unlearn and edit have exactly one `model`. */
    unsigned min_inputs, max_inputs;
    enum am_need base; /* merge: `base` */
    enum am_need task; /* unlearn: `task` = {"version": fine-tune, "base": what it was tuned from} */
    enum am_scope scope;
    unsigned passes;  /* 0..2 statistics passes over the windows before apply */
    size_t acc_bytes; /* size of one accumulator, zeroed at birth; 0 exactly when passes is 0 */
    bool random;      /* uses options.seed */
    bool symmetric;   /* the order of equally weighted models does not matter (beyond rounding) */
};

/* One window. All arrays have n elements. */
struct am_window {
    size_t n;
    uint64_t first;    /* flat index of element 0 in its tensor */
    uint64_t index;    /* number of this window in the accumulator's scope, from 0 */
    const float *base; /* merge: the base; unlearn with task: the task's old base; NULL when there is none */
    const float *const
        *x; /* merge: the models in the order of the request; unlearn: model, then the task's fine-tune; edit: model */
    size_t inputs;
    float *out; /* apply only */
    const struct am_args *args;
};

struct am_tensor_info { /* what a selection may look at */
    const char *name;
    unsigned rank;
    const uint64_t *shape;
};

#define AM_AGAIN 1

struct am_method {
    int abi; /* AM_METHOD_ABI */
    enum am_type type;
    const char *name, *since, *paper, *summary; /* paper: "arXiv:2203.05482" or "" */
    struct am_needs needs;
    const struct am_param *params; /* the method's own */
    const struct am_param
        *common; /* am_policies (core/merge/_policies.h): what core/methods/run.c does for every method */
    const struct am_rule *rules; /* or NULL */

    /* Which float tensors the method changes; NULL = all. The others are passed through byte for byte. A method with
       the list parameters `include` and `exclude` takes those whose name matches (am_glob) one of the first and none of
       the second: the daemon plans by them. */
    bool (*selects)(const struct am_args *args, const struct am_tensor_info *t);
    /* Of those: whose result is, by construction, the bytes that the donor has (the base, else the first model). They
       are not read, take no part in statistics, and are not stored again. NULL = none. */
    bool (*unchanged)(const struct am_args *args, const struct am_tensor_info *t);

    /* Statistics (needs.passes > 0). stat() touches its window and its own zeroed accumulator only, on any thread, in
       any order. merge() folds accumulators in window order. between() runs after the last window: 0 = next pass,
       AM_AGAIN = the same pass once more (the accumulator is kept, stat() gets a fresh zeroed one plus the finished one
       as `sofar`), negative = error. `elements` is the number of elements in the scope. */
    int (*stat)(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
    int (*merge)(void *into, const void *from, unsigned pass);
    int (*between)(void *acc, uint64_t elements, const struct am_args *args, unsigned pass, unsigned round);

    /* Writes w->out. `acc` is the finished accumulator of the scope, read only; NULL without passes. */
    int (*apply)(const struct am_window *w, const void *acc);
};

/* The registry, written by tools/gen-methods: NULL-terminated, sorted by type and name. */
extern const struct am_method *const am_methods[];
const struct am_method *am_method_find(const char *type, const char *name);

#endif
