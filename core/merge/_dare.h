/*
 * _dare.h - DARE: each entry of a model's difference from the base stays with the probability `density`, the rest is
 * rescaled and goes through the frame of task arithmetic. Yu et al., ICML 2024, arXiv:2311.03099; merge.md A17, A5.
 *
 * Whether an entry stays depends on options.seed, the model's place in the request, the tensor's name and the entry's
 * index alone. density 1 keeps everything and rescales nothing; 0 leaves nothing.
 */
#ifndef AM_MERGE_DARE_H
#define AM_MERGE_DARE_H

#include "core/merge/_frame.h"
#include "core/merge/_frame_params.h"
#include "core/merge/_policies.h"
#include "core/merge/_rescale.h"

/* Bit i % 32 of mask[i / 32]: entry i of d, input `input`'s difference in this tile, stays. Its density is between 0
   and 1. */
typedef void am_dare_thin(const struct am_window *w, size_t input, const float *d, uint32_t *mask);
am_dare_thin am_dare_evenly; /* every entry with the probability `density` */

struct am_dare_local {
    struct am_frame frame; /* first: am_frame_apply() reads it */
    enum am_rescale_by rescale;
    bool failed; /* no memory for the keys */
    am_dare_thin *thin;
    double density[AM_MAX_INPUTS];
    uint32_t limit[AM_MAX_INPUTS]; /* of am_dare_evenly(): words below it stay; not with density 1 */
    uint32_t key[AM_MAX_INPUTS][2];
};

#define AM_DARE_DENSITY                                                                                                \
    {                                                                                                                  \
        .name = "density", .kind = AM_REAL, .min = 0, .max = 1, .def = "1.0", .unit = "fraction",                      \
        .flags = AM_PER_INPUT, .doc = "probability that an entry of the difference is kept (paper: 0.1 and less)"      \
    }
/* Behind the differences of all inputs: a mask. */
#define AM_DARE_SCRATCH 1
#define AM_DARE_NEEDS                                                                                                  \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .passes = 1, .acc = AM_RESCALE_ACC, .tally = AM_FRAME_TALLY,                  \
        .report = {.fixed = 2, .per_input = 3}, .bf16 = true, .masks = true,                                           \
        .scratch = {.fixed = AM_DARE_SCRATCH, .per_input = 1}, .local_bytes = sizeof(struct am_dare_local),            \
        .random = true                                                                                                 \
    }
#define AM_DARE_HOOKS AM_DARE_COMMON, .paper = "arXiv:2311.03099", .rules = am_frame_rules, .prepare = am_dare_prepare
void am_dare_prepare(const struct am_scope_info *s, void *local);

/* ---- for all methods that keep entries by chance: `local` begins with a struct am_dare_local ---- */

#define AM_DARE_COMMON                                                                                                 \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .common = am_policies_mergekit,                            \
    .unchanged = am_frame_unchanged, .look = am_dare_look, .stat = am_dare_stat, .merge = am_rescale_merge,            \
    .between = am_dare_between, .apply = am_dare_apply, .report = am_dare_report

void am_dare_prepare_for(const struct am_scope_info *s, struct am_dare_local *l, am_dare_thin *thin);
size_t am_dare_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first);
int am_dare_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
int am_dare_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round);
int am_dare_apply(const struct am_window *w, const void *acc);
void am_dare_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);

#endif
