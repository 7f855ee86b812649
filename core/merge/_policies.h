/*
 * _policies.h - the parameters that all merge, unlearn and edit methods share. core/methods/run.c carries them out.
 */
#ifndef AM_MERGE_POLICIES_H
#define AM_MERGE_POLICIES_H

#include "core/methods/method.h"

extern const struct am_param am_policies[]; /* nonfinite, overflow */

#endif
