/*
 * args_json.h - from the JSON of a job's spec to am_args: the only place where a method's parameters meet JSON in the
 * worker.
 */
#ifndef AM_METHODS_ARGS_JSON_H
#define AM_METHODS_ARGS_JSON_H

#include "core/methods/args.h"

#include <jansson.h>

struct am_method;
/* `params`: global values by name; `inputs[i]`: the values beside model i. All must be there (the daemon resolved
   them); -AM_E_BAD_SPEC with the name in *ret_what when one is missing or of the wrong kind. */
int am_args_from_json(struct am_args *ret, const struct am_method *m, json_t *params, json_t *const *inputs, size_t n,
                      const char **ret_what);

#endif
