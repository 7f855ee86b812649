/*
 * args.h - the resolved parameters of one job, as plain values: every default filled in, one value per model for
 * per-input ones. Asking for a name the method did not declare is a bug in the method and aborts. Ownership: am_args
 * owns its values until am_args_done().
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
};

bool am_arg_bool(const struct am_args *a, const char *name);
int64_t am_arg_int(const struct am_args *a, const char *name);
double am_arg_real(const struct am_args *a, const char *name);                     /* global */
double am_arg_input_real(const struct am_args *a, const char *name, size_t input); /* AM_PER_INPUT */
const char *am_arg_text(const struct am_args *a, const char *name);                /* text and choice */
const char *const *am_arg_list(const struct am_args *a, const char *name, size_t *ret_n);

void am_args_done(struct am_args *a);

#endif
