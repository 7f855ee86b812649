/*
 * adding.h - tensor tables of inputs that hold more than their version does: stacks of layers, models with a tied head
 * beside models with one of their own (core/table/families.h), and the donor when it takes in what others have
 * (options.extra "keep"). Made in memory for one plan; the worker makes the same (worker/adding.h).
 */
#ifndef AM_SERVER_API_ADDING_H
#define AM_SERVER_API_ADDING_H

#include "server/api/stack.h"
#include "server/api/submit.h"

/* Fills s->tied, with a warning for each. */
int am_adding_find(struct am_submit *s);
/* Whether the table of that input is made here; else it is its version's own. */
bool am_adding_makes(const struct am_submit *s, size_t input);
/* Its table, by name. 0 also with faults (`ret` is empty then). */
int am_adding_make(struct am_submit *s, size_t input, struct am_stack *ret);
/* Calls each() with the number that the files of a version have in the donor's table ("002/"), in order. */
int am_adding_files(struct am_submit *s, int (*each)(void *ctx, size_t number, int64_t version), void *ctx);

#endif
