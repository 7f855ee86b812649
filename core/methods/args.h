/*
 * args.h - the resolved parameters of one job, as plain values: every default filled in, one value per model for
 * per-input ones. Values of a merge may differ from tensor to tensor; then a method is given the args of the tensor at
 * hand, and those of the whole run have NaN (false) in their place. Asking for a name the method did not declare is a
 * bug in the method and aborts. Ownership: am_args owns its values until am_args_done().
 */
#ifndef AM_METHODS_ARGS_H
#define AM_METHODS_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_arg;
struct am_args {
    struct am_arg *v;
    size_t n, inputs;
    size_t varied;     /* values that differ from tensor to tensor */
    const double *row; /* those of the tensor at hand, or NULL; borrowed */
};

bool am_arg_has(const struct am_args *a, const char *name); /* whether the method declared it */
bool am_arg_bool(const struct am_args *a, const char *name);
int64_t am_arg_int(const struct am_args *a, const char *name);
double am_arg_real(const struct am_args *a, const char *name);                     /* global */
double am_arg_input_real(const struct am_args *a, const char *name, size_t input); /* AM_PER_INPUT */
const char *am_arg_text(const struct am_args *a, const char *name);                /* text and choice */
const char *const *am_arg_list(const struct am_args *a, const char *name, size_t *ret_n);

struct am_place { /* a tensor, to what its values depend on */
    const char *tensor;
    const char *const *own; /* its name in each input, or NULL: the same */
    double depth;           /* 0 to 1 */
    size_t slice;           /* the part of a stack; 0 without stacks */
};
/* The a->varied values of a tensor, for am_args.row. -AM_E_BAD_SPEC with the name of a parameter that has none. */
int am_args_at(const struct am_args *a, const struct am_place *place, double *row, const char **ret_what);

void am_args_done(struct am_args *a);

/* The same for the inputs that `keep` names, which are then all there are: input 2 of three may be input 1 of two. It
   borrows from `a`; am_args_some_done(). */
int am_args_some(struct am_args *ret, const struct am_args *a, const bool *keep);
void am_args_some_done(struct am_args *some);

#endif
