/*
 * recipe.h - a resolved spec (what GET .../recipe answers, the `resolved` of a job) as the body of a job that does the
 * same: the other way round of what a submit makes. Its members program, kernels, blas, threads and spec_sha256 are
 * wishes that the caller compares with what is there.
 */
#ifndef AM_TABLE_RECIPE_H
#define AM_TABLE_RECIPE_H

#include "core/table/body.h"

/* A recipe lists its inputs; a body has them by name. */
bool am_recipe_is(const json_t *body);
/* New reference, or NULL: out of memory. What is no recipe gives faults, and a body of what could be read. Members that
   a body may have beside (publish, metadata, priority, client_token, options.reuse ...) are taken over. */
json_t *am_recipe_body(json_t *recipe, struct am_faults *f);
/* Faults of that body, checked as `b`, point into the recipe from now on: its inputs are in the order of b->input. */
void am_recipe_pointers(struct am_faults *f, const struct am_body *b);

#endif
