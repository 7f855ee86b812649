/*
 * _della.h - DELLA: the probability that an entry of a model's difference from the base stays grows with the rank of
 * its magnitude inside its vector; then as in _dare.h. Deep et al. 2024, arXiv:2406.11617; merge.md A18, A5.
 *
 * Vectors lie along axis 1: the rows of a matrix [out, in], a whole tensor of one axis, and of a tensor of more axes
 * the elements that differ in axis 1 alone, as in mergekit. Of c ranks r = 1 (smallest) .. c an entry stays with
 * p = (density - epsilon) + 2 epsilon (r - 1) / (c - 1); with c = 1, density. density 1 keeps everything, 0 nothing.
 */
#ifndef AM_MERGE_DELLA_H
#define AM_MERGE_DELLA_H

#include "core/merge/_dare.h"
#include "core/tensor/kernels.h"

struct am_della_local {
    struct am_dare_local dare; /* first */
    size_t axis, inner;        /* entries of a vector, and from one to the next */
    struct am_rank_odds odds[AM_MAX_INPUTS];
};

extern const struct am_rule am_della_rules[];

#define AM_DELLA_EPSILON                                                                                               \
    {                                                                                                                  \
        .name = "epsilon", .kind = AM_REAL, .min = 0, .max = 0.5, .def = "0.15", .unit = "fraction",                   \
        .flags = AM_PER_INPUT | AM_OPEN_MAX,                                                                           \
        .doc = "the smallest entries stay with probability density - epsilon, the largest with density + epsilon"      \
    }
/* scratch: what _dare.h needs, words, and vectors that are no neighbours: their entries with their words, and masks. */
#define AM_DELLA_NEEDS                                                                                                 \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .passes = 1, .acc = AM_RESCALE_ACC, .tally = AM_FRAME_TALLY,                  \
        .report = {.fixed = 2, .per_input = 3}, .bf16 = true, .masks = true,                                           \
        .scratch = {.fixed = AM_DARE_SCRATCH + 3, .per_input = 1}, .local_bytes = sizeof(struct am_della_local),       \
        .by_slab = true, .random = true                                                                                \
    }
#define AM_DELLA_HOOKS AM_DARE_COMMON, .paper = "arXiv:2406.11617", .rules = am_della_rules, .prepare = am_della_prepare

void am_della_prepare(const struct am_scope_info *s, void *local);

#endif
