/*
 * _calibration.h - how the probabilities of two versions differ (compat.md 3, 14): kl_outputs, nll_delta, ece_delta,
 * brier_delta, new less old. From `top`, where it lists all classes a softmax of the logits, and from `lp`, the
 * log-probability of the truth. Nothing is owned.
 */
#ifndef AM_EVALUATE_CALIBRATION_H
#define AM_EVALUATE_CALIBRATION_H

#include "core/evaluate/_numbers.h"

/* Puts the values whose columns both sets have; one that not every sample can give has a reason in place of a value:
   "incomplete", or "partial_probabilities" (top leaves classes out). */
int am_calibration_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                          struct am_faults *f, struct am_compared *c);

#endif
