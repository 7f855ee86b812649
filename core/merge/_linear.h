/*
 * _linear.h - the weighted mean that linear and its presets share (merge.md A9): out = sum(w_i * x_i) / sum(w_i), or
 * the sum alone. Its inputs are the models; soup and wise_ft set the weights themselves.
 */
#ifndef AM_MERGE_LINEAR_H
#define AM_MERGE_LINEAR_H

#include "core/merge/_exact.h"
#include "core/methods/method.h"

struct am_linear { /* am_window.local */
    float weight[AM_MAX_INPUTS], sum;
    bool normalize;
    struct am_exact exact; /* compat */
};

/* `weight` of each input; their sum is taken in f64 and rounded once. */
void am_linear_weights(struct am_linear *l, const double *weight, size_t inputs);
/* am_method.apply. The mean of one model is that model, bit for bit. */
int am_linear_apply(const struct am_window *w, const void *acc);

#endif
