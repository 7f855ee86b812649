/*
 * method_build.h - a job's body while its flags are read: shared by method_args.c (models, the whole) and
 * method_flags.c (flags). The members are borrowed from `body`.
 */
#ifndef AM_CLI_METHOD_BUILD_H
#define AM_CLI_METHOD_BUILD_H

#include "cli/method.h"
#include "cli/opt.h"

struct am_build {
    const struct am_cli *c;
    const json_t *method;
    const char *type;
    json_t *body, *inputs, *models, *params, *options, *publish, *metadata;
    struct am_shorthand *out;
};

/* Sets a member, taking `value`. Text that is not UTF-8 (`value` NULL) is said to be the caller's mistake. */
int am_build_put(const struct am_build *b, json_t *o, const char *name, json_t *value, const char *flag);
/* "namespace/name@rev" in *ret, for free(), with the context's namespace when `text` has none; says when it is no such
   name. *ret must be NULL. */
int am_build_ref(const struct am_build *b, const char *text, char **ret);
/* The next part of "a,b=[1,2],c", ended in place; commas inside brackets belong to their part. NULL at the end. */
char *am_build_part(char **rest);
/* "... has no parameter or option --name; did you mean ...?"; returns AM_EXIT_USAGE. */
int am_build_unknown(const struct am_build *b, const char *name);
int am_build_flag(struct am_build *b, struct am_scan *s, const struct am_token *t);

#endif
