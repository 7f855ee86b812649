/*
 * gate_parts.h - what the files of gate.h share. Not for others.
 */
#ifndef AM_COMPAT_GATE_PARTS_H
#define AM_COMPAT_GATE_PARTS_H

#include "core/compat/gate.h"

bool am_gate_holds(enum am_gate_op op, double x, double limit);
/* Pass, fail or inconclusive of one value against a limit. */
enum am_gate_outcome am_gate_compare(const struct am_gate_rule *rule, double value, struct am_interval one_sided,
                                     double limit);
/* For an inconclusive value of n samples. cells: NULL, or the six sums they come from. */
struct am_maybe am_gate_needed(const struct am_gate_rule *rule, const struct am_gate_value *v, double limit, double n,
                               const double *cells);

#endif
