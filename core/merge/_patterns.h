/*
 * _patterns.h - the selection of tensors by the list parameters `include` and `exclude`, for methods that have both.
 * The daemon plans by the same rule (core/table/plan.c).
 */
#ifndef AM_MERGE_PATTERNS_H
#define AM_MERGE_PATTERNS_H

#include "core/methods/method.h"

/* For am_method.selects: the name matches one pattern of `include` and none of `exclude`. */
bool am_patterns_select(const struct am_args *args, const struct am_tensor_info *t);

#endif
