/*
 * settings.h - values of a merge's parameter that depend on the tensor (merge.md B3): a list of numbers is read over
 * the depth of the layers, a list of {"filter", "value"} by parts of the tensor's name. Checked and brought to one form
 * here; the worker (core/methods/setting.h) finds each tensor's number.
 *
 * Where inputs are stacks of layers, an entry may hold for one part of the stack alone ("slice", from 0); the depth is
 * that in the part then. It may hold for one module of the model alone ("module": what names begin with).
 *
 * The form kept in a recipe: a number or a boolean for all; a list of two and more numbers; or a list of {"filter",
 * "value"} of which only the last may be without filter, slice and module. Without such an end it is incomplete:
 * tensors that no filter meets have no value.
 */
#ifndef AM_TABLE_SETTINGS_H
#define AM_TABLE_SETTINGS_H

#include "core/base/fault.h"

#include <jansson.h>
#include <stdbool.h>

#define AM_SETTING_NUMBERS 256
#define AM_SETTING_FILTERS 256
#define AM_FILTER_BYTES 256

/* One number or boolean of a parameter `p`: 0 and a new reference, 1 after a fault, or a negative error. */
typedef int am_setting_leaf(const json_t *p, json_t *v, const char *at, json_t **ret, struct am_faults *f);

#define AM_PREFIXES 16

/* A module of a network: what the names of its tensors begin with, as a list of texts. Whether `name` is in it; without
   a list everything is. */
bool am_prefix_of(const json_t *prefixes, const char *name);
bool am_prefixes_check(const json_t *v, const char *at, struct am_faults *f); /* false: a fault was added */

/* Whether a value says different things of different tensors. */
bool am_setting_varies(const json_t *v);
/* `v` is a list or an object. Returns as a leaf does. */
int am_setting_check(const json_t *p, json_t *v, const char *at, am_setting_leaf *leaf, json_t **ret,
                     struct am_faults *f);
bool am_setting_complete(const json_t *v);
/* `own` where it says something, else `next`. New reference, or NULL: out of memory. */
json_t *am_setting_chain(json_t *own, json_t *next);
/* Whether a tensor of that name has a value. */
bool am_setting_covers(const json_t *v, const char *tensor, size_t slice);
/* What holds for a tensor of that name: one value, or a list over the depth; NULL: none. `v` itself where it does not
   vary. Borrowed. */
json_t *am_setting_at(json_t *v, const char *tensor, size_t slice);
/* Whether the depth matters to it. */
bool am_setting_has_depth(const json_t *v);

/* Of all parameters of a body: how many numbers a tensor has of its own, and whether the depth matters to one. */
struct am_body;
size_t am_settings_count(const struct am_body *b);
bool am_settings_have_depth(const struct am_body *b);
/* The name of a parameter that a tensor of that name has no value of, and which input it is beside (SIZE_MAX: none);
   NULL: it has all. Only incomplete settings are looked at, and those of inputs that has() says have the tensor. */
typedef bool am_settings_has(void *ctx, size_t input);
const char *am_settings_missing(const struct am_body *b, const char *tensor, size_t slice, am_settings_has *has,
                                void *ctx, size_t *ret_input);

#endif
