/*
 * rules.h - rules over the values of parameters (am_rule of core/methods/method.h) for both who check them: the daemon,
 * where a value holds for all tensors, and the worker, for each tensor, where values or inputs differ between tensors.
 */
#ifndef AM_TABLE_RULES_H
#define AM_TABLE_RULES_H

#include "core/base/fault.h"

#include <stdbool.h>

/* AM_RULE_MARGIN: where 0 < share < 1, also 0 < share - margin and share + margin < 1. The fault has the reason
   "epsilon-range". Faults return their code. */
bool am_margin_holds(double share, double margin);
int am_margin_fault(struct am_where where, const char *share, double s, const char *margin, double m,
                    struct am_faults *f);

/* AM_RULE_SUM_NOT_ZERO. The fault ("weights-sum-zero") names the parameter and the bool that asks for it, or "". */
bool am_sum_holds(double sum);
int am_sum_fault(struct am_where where, const char *param, const char *when, struct am_faults *f);

#endif
