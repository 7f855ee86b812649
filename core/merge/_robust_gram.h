/*
 * _robust_gram.h - what the robust rules in Gram space share: one pass sums K = G'G of the differences g_i = fl(x_i -
 * b) in f64, the rule turns K into one coefficient for each contributor, apply forms out = fl(b + fl(alpha sum fl(c_i
 * g_i))). A single coefficient 1 with alpha 1 gives that contributor's elements as they are.
 *
 * A contributor whose K_ii is not finite (nonfinite = "propagate") is left out: coefficient and trust 0, reported as
 * dropped. The method writes prepare() and a rule; the rest is here. Nothing is allocated: the rule's work space lies
 * in the accumulator.
 */
#ifndef AM_MERGE_ROBUST_GRAM_H
#define AM_MERGE_ROBUST_GRAM_H

#include "core/methods/method.h"

/* First member of a method's `local`. */
struct am_gram_local {
    float alpha;
};

/* What a rule gets and fills in; arrays of n, the contributors that are not dropped. */
struct am_gram_task {
    const double *k; /* n x n */
    size_t n, inputs;
    double *c, *trust, *score;
    double *work;      /* as many n x n matrices as the method asked for */
    unsigned rounds;   /* of an iteration; 0: none */
    bool scored;       /* the rule filled score[] */
    const void *local; /* the method's */
};
typedef int (*am_gram_rule)(struct am_gram_task *t);

struct am_gram { /* the accumulator; elements: of its scope; v: see _robust_gram.c */
    uint64_t inputs, elements, rounds, scored;
    double v[];
};

/* What every method of the family declares; its rule has `matrices` n x n matrices of work. */
#define AM_GRAM_NEEDS(least, matrices, local)                                                                          \
    {                                                                                                                  \
        .min_inputs = (least), .base = AM_YES, .scope = AM_SCOPE_BY_PARAM, .passes = 1,                                \
        .acc = {.fixed = sizeof(struct am_gram),                                                                       \
                .per_input = sizeof(double) * (5 + 1 + (matrices)),                                                    \
                .per_pair = sizeof(double) * (1 + 2 + 2 * (matrices))},                                                \
        .tally = {.fixed = 1, .per_input = 2, .per_pair = 1}, .report = {.fixed = 1, .per_input = 5},                  \
        .scratch = {.per_input = 1}, .local_bytes = sizeof(local), .symmetric = true                                   \
    }
#define AM_GRAM_HOOKS                                                                                                  \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .common = am_policies, .unchanged = am_robust_unchanged,                   \
    .stat = am_gram_stat, .merge = am_gram_merge, .apply = am_gram_apply, .report = am_gram_report

/* The parameters alpha and scope, for a method's own list. */
#define AM_GRAM_PARAMS                                                                                                 \
    AM_ROBUST_ALPHA,                                                                                                   \
    {                                                                                                                  \
        .name = "scope", .kind = AM_CHOICE, .choices = am_gram_scopes, .def = "\"model\"", .unit = "none",             \
        .doc = "judge the contributors once for the whole model, or anew in each tensor"                               \
    }
#define AM_ROBUST_ALPHA                                                                                                \
    {                                                                                                                  \
        .name = "alpha", .kind = AM_REAL, .min = -1e6, .max = 1e6, .def = "1.0", .unit = "factor",                     \
        .doc = "factor of the merged difference"                                                                       \
    }
extern const char *const am_gram_scopes[];

bool am_robust_unchanged(const struct am_args *args, const struct am_tensor_info *t); /* alpha 0 */

int am_gram_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
int am_gram_merge(void *into, const void *from, unsigned pass);
/* The method's between(): -AM_E_NON_FINITE when no contributor is left. */
int am_gram_between(void *acc, const struct am_scope_info *s, const void *local, am_gram_rule rule);
int am_gram_apply(const struct am_window *w, const void *acc);
/* For a method with an apply() of its own: the coefficient of each contributor, and what the report counts of a tile.
   The base where all coefficients are 0. */
const double *am_gram_coefficients(const void *acc, size_t inputs);
void am_gram_count(const struct am_window *w, const void *acc);
void am_gram_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);

#endif
