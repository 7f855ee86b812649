/*
 * adding.h - inputs as the method sees them when they hold more than their version does: a model with a tied head
 * beside models with one of their own (core/table/families.h), and the donor when it takes in what others have. The
 * daemon plans with the same (server/api/adding.h).
 * Ownership: a view borrows the models and files below it; am_adding_done() is safe on a zeroed struct.
 */
#ifndef AM_WORKER_ADDING_H
#define AM_WORKER_ADDING_H

#include "core/methods/run.h"
#include "worker/spec.h"

struct am_adding_view {
    struct am_model model; /* its tables are the view's own; files == 0: there is no view */
    struct am_file *file;
    const char **own; /* am_run_input.own, or NULL */
};

struct am_adding {
    const struct am_spec_run *spec;
    struct am_run_input *in; /* of the spec: .model NULL where there is none of its own (a part of a stack). In: as they
                                are read. Out: as the method sees them */
    size_t inputs, donor;
    bool keep;                   /* options.extra */
    const struct am_model *real; /* out: the donor before others added to it; NULL: they did not */
    struct am_adding_view *view; /* two for each input: with its head, and as the donor */
    bool tied;                   /* out: a head stands in the result that some inputs had tied */
};

/* With everything above `real` set. -AM_E_OUT_OF_MEMORY. */
int am_adding_open(struct am_adding *a);
void am_adding_done(struct am_adding *a);

#endif
