/*
 * della.c - of each model's difference from the base entries stay by chance, large ones more likely than small ones,
 * and are rescaled; each element elects a sign, and what agrees is averaged.
 *
 * Deep et al. 2024, arXiv:2406.11617 (_della.h). Shapes: b, every x_i and out have the same shape.
 */
#include "core/merge/_della.h"

static const struct am_param params[] = {
    AM_FRAME_WEIGHT,
    AM_DARE_DENSITY,
    AM_DELLA_EPSILON,
    AM_RESCALE_PARAM,
    AM_FRAME_NORMALIZE("true"),
    AM_FRAME_LAMBDA,
    AM_FRAME_CONSENSUS("\"sum\""),
    {0},
};

const struct am_method am_method_merge_della = {
    AM_DELLA_HOOKS,
    .name = "della",
    .summary = "keep large differences from the base more likely than small ones, elect signs, average what agrees",
    .needs = AM_DELLA_NEEDS,
    .params = params,
};
