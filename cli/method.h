/*
 * method.h - the shorthands merge, unlearn and edit: a job's body from flags, by the method's description that the
 * daemon gives.
 */
#ifndef AM_CLI_METHOD_H
#define AM_CLI_METHOD_H

#include "cli/cli.h"

struct am_shorthand {
    json_t *body;
    bool wait, print_spec, dry_run;
};
/* `method` is the description (GET /v1/methods/{type}/{name}); argv: what follows its name. */
int am_method_args(const struct am_cli *c, const json_t *method, int argc, char **argv, struct am_shorthand *ret);

/* The parameter called `name` (kebab or snake case), or NULL. */
const json_t *am_method_param(const json_t *method, const char *name);
/* One value for a parameter of a list, bool, int, real, choice or text kind. New reference in *ret. */
int am_method_value(const struct am_cli *c, const json_t *param, const char *flag, const char *text, json_t **ret);

void am_method_print(const struct am_cli *c, const json_t *method); /* what it is, needs, and its parameters */
int am_method_list(struct am_cli *c, const char *type);             /* type NULL: all */
/* Fetches the description; says the nearest name when there is none. `missing`: the exit code for that. */
int am_method_fetch(struct am_cli *c, const char *type, const char *name, int missing, json_t **ret);

#endif
