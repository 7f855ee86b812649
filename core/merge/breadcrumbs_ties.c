/*
 * breadcrumbs_ties.c - breadcrumbs with the election of ties: of each model's difference from the base the smallest and
 * the largest entries go, each element elects a sign, and the entries that agree are summed.
 *
 * Davari and Belilovsky, ECCV 2024, arXiv:2312.06795 (_breadcrumbs.h). Shapes: b, every x_i and out have the same
 * shape. The same as breadcrumbs with consensus "sum".
 */
#include "core/merge/_breadcrumbs.h"

static const struct am_param params[] = {
    AM_FRAME_WEIGHT, AM_CRUMB_SHARES, AM_FRAME_NORMALIZE("false"), AM_FRAME_CONSENSUS("\"sum\""), {0},
};

const struct am_method am_method_merge_breadcrumbs_ties = {
    AM_CRUMB_HOOKS,
    .name = "breadcrumbs_ties",
    .summary = "drop the smallest and the largest differences from the base, elect signs, add what agrees",
    .needs = AM_CRUMB_NEEDS,
    .params = params,
};
