/*
 * params.h - private to core/table: the parameters of a body against the method's declaration.
 */
#ifndef AM_TABLE_PARAMS_H
#define AM_TABLE_PARAMS_H

#include "core/table/body.h"
#include "core/table/json_util.h"

#define AM_PARAM_TEXT_MAX 4096 /* bytes of one text */
#define AM_PARAM_LIST_MAX 1024 /* entries of one list */

/*
 * `given` is the submitted `params` (NULL: none). In `b`, b->row is the method and input[i].params of each merge model
 * what was submitted beside it (or NULL); they are replaced by the complete values, as is b->params. Faults are added;
 * 0 or -AM_E_OUT_OF_MEMORY.
 */
int am_params_check(struct am_body *b, json_t *given, struct am_faults *f);

/* The fault for a name that the method (b->row, b->method) has not, or not for one model; with what it takes. */
void am_params_unknown(const struct am_body *b, const char *name, const char *at, bool beside, struct am_faults *f);
/* "#/inputs/models/0" of an input whose pointer may be ".../0/version". */
void am_model_pointer(const struct am_body_input *in, char out[AM_POINTER]);

#endif
