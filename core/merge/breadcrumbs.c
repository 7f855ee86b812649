/*
 * breadcrumbs.c - of each model's difference from the base the smallest and the largest entries go, the rest is summed:
 * out = b + lambda * sum(w_i * m_i * (x_i - b)).
 *
 * Davari and Belilovsky, ECCV 2024, arXiv:2312.06795 (_breadcrumbs.h). Shapes: b, every x_i and out have the same
 * shape. With nothing dropped this is task_arithmetic, bit for bit.
 */
#include "core/merge/_breadcrumbs.h"

static const struct am_param params[] = {
    AM_FRAME_WEIGHT, AM_CRUMB_SHARES, AM_FRAME_NORMALIZE("false"), AM_FRAME_CONSENSUS("\"none\""), {0},
};

const struct am_method am_method_merge_breadcrumbs = {
    AM_CRUMB_HOOKS,
    .name = "breadcrumbs",
    .summary = "drop the smallest and the largest differences from the base, add the rest",
    .needs = AM_CRUMB_NEEDS,
    .params = params,
};
