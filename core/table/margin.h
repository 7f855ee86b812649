/*
 * margin.h - the rule that a share may vary by a margin to both sides (AM_RULE_MARGIN of core/methods/method.h), for
 * daemon and worker: the daemon sees values that hold for all tensors, the worker those of one.
 */
#ifndef AM_TABLE_MARGIN_H
#define AM_TABLE_MARGIN_H

#include "core/base/fault.h"

#include <stdbool.h>

/* Where 0 < share < 1, also 0 < share - margin and share + margin < 1. */
bool am_margin_holds(double share, double margin);
/* The fault (reason "epsilon-range") of two parameters with these values. Returns its code. */
int am_margin_fault(struct am_where where, const char *share, double s, const char *margin, double m,
                    struct am_faults *f);

#endif
