/*
 * _frame_params.c - see _frame_params.h.
 */
#include "core/merge/_frame_params.h"

const char *const am_frame_consensus[] = {"none", "sum", "count", NULL};
const struct am_rule am_frame_rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};
