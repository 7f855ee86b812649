/*
 * args_some.c - the parameters of a run as they are for some of its inputs alone (args.h). What does not differ from
 * input to input is borrowed.
 */
#include "core/base/err.h"
#include "core/methods/args.h"
#include "core/methods/args_value.h"

#include <stdlib.h>

/* Moves what belongs to the chosen inputs together, in memory of its own. */
static int choose(struct am_arg *arg, const struct am_args *a, const bool *keep)
{
    double *per_input = calloc(a->inputs + 1, sizeof(*per_input));
    struct am_setting *varies = arg->varies ? calloc(a->inputs + 1, sizeof(*varies)) : NULL;
    size_t n = 0;
    bool short_of_memory = !per_input || (arg->varies && !varies);
    for (size_t i = 0; !short_of_memory && i < a->inputs; i++) {
        if (!keep[i])
            continue;
        per_input[n] = arg->per_input[i];
        if (varies)
            varies[n] = arg->varies[i];
        n++;
    }
    arg->per_input = per_input;
    arg->varies = varies;
    return short_of_memory ? -AM_E_OUT_OF_MEMORY : 0;
}

int am_args_some(struct am_args *ret, const struct am_args *a, const bool *keep)
{
    struct am_args some = {.v = calloc(a->n + 1, sizeof(*some.v)), .row = NULL};
    int rc = some.v ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < a->inputs; i++)
        some.inputs += keep[i];
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        struct am_arg *arg = &some.v[some.n++];
        *arg = a->v[i];
        if (arg->per_input)
            rc = choose(arg, a, keep);
        arg->at = some.varied;
        some.varied += !arg->varies ? 0 : arg->per_input ? some.inputs : 1;
    }
    if (rc < 0)
        am_args_some_done(&some);
    else
        *ret = some;
    return rc;
}

void am_args_some_done(struct am_args *some)
{
    for (size_t i = 0; i < some->n; i++) {
        if (some->v[i].per_input) {
            free(some->v[i].per_input);
            free(some->v[i].varies);
        }
    }
    free(some->v);
    *some = (struct am_args){0};
}
