/*
 * forms.h - private to core/table: parameters that can be written in several ways, rewritten to the method's canonical
 * two (am_canonical in core/methods/method.h; "canonical" of the described row).
 *
 * A resolved recipe given again is taken as it is: null means "not given" for these parameters, and the canonical two
 * may stand beside a form that stays when they are what follows from it.
 */
#ifndef AM_TABLE_FORMS_H
#define AM_TABLE_FORMS_H

#include "core/table/body.h"

/* After all values are filled in: input[i].params of each model has every per-input parameter (those with a fault of
   their own are missing). `given` is the submitted `params` (NULL: none). Faults are added; 0 or -AM_E_OUT_OF_MEMORY.
 */
int am_forms_check(struct am_body *b, json_t *given, struct am_faults *f);

#endif
