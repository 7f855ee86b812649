/*
 * dare_linear.c - drop and rescale: entries of each model's difference from the base stay by chance and are rescaled;
 * the entries that stay are added up.
 *
 * Yu et al., ICML 2024, arXiv:2311.03099 (_dare.h). Shapes: b, every x_i and out have the same shape.
 */
#include "core/merge/_dare.h"

static const struct am_param params[] = {
    AM_FRAME_WEIGHT,
    AM_DARE_DENSITY,
    AM_RESCALE_PARAM,
    AM_FRAME_NORMALIZE("false"),
    AM_FRAME_LAMBDA,
    AM_FRAME_CONSENSUS("\"none\""),
    {0},
};

const struct am_method am_method_merge_dare_linear = {
    AM_DARE_HOOKS,
    .name = "dare_linear",
    .summary = "keep entries of the differences from the base by chance, rescale them, add them",
    .needs = AM_DARE_NEEDS,
    .params = params,
};
