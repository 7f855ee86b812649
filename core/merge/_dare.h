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

struct am_dare_local {
    struct am_frame frame; /* first: am_frame_apply() reads it */
    enum am_rescale_by rescale;
    bool failed; /* no memory for the keys */
    double density[AM_MAX_INPUTS];
    uint32_t limit[AM_MAX_INPUTS]; /* words below it stay; not with density 1 */
    uint32_t key[AM_MAX_INPUTS][2];
};

#define AM_DARE_DENSITY                                                                                                \
    {                                                                                                                  \
        .name = "density", .kind = AM_REAL, .min = 0, .max = 1, .def = "1.0", .unit = "fraction",                      \
        .flags = AM_PER_INPUT, .doc = "probability that an entry of the difference is kept (paper: 0.1 and less)"      \
    }
#define AM_DARE_NEEDS                                                                                                  \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .passes = 1, .acc = AM_RESCALE_ACC, .tally = AM_FRAME_TALLY,                  \
        .report = {.fixed = 2, .per_input = 3}, .scratch = {.fixed = 1, .per_input = 1},                               \
        .local_bytes = sizeof(struct am_dare_local), .random = true                                                    \
    }
#define AM_DARE_HOOKS                                                                                                  \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .paper = "arXiv:2311.03099",                               \
    .common = am_policies_mergekit, .rules = am_frame_rules, .unchanged = am_frame_unchanged,                          \
    .prepare = am_dare_prepare, .look = am_dare_look, .stat = am_dare_stat, .merge = am_rescale_merge,                 \
    .between = am_dare_between, .apply = am_dare_apply, .report = am_dare_report

void am_dare_prepare(const struct am_scope_info *s, void *local);
size_t am_dare_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first);
int am_dare_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
int am_dare_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round);
int am_dare_apply(const struct am_window *w, const void *acc);
void am_dare_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);

/* For others that draw masks: keys of all inputs for this tensor; false without memory. */
bool am_dare_keys(const struct am_scope_info *s, uint32_t key[AM_MAX_INPUTS][2]);
/* What a random sparsifier with am_rescale reports of its densities. */
void am_dare_report_masks(const struct am_scope_info *s, const struct am_rescale *acc, const double *tally,
                          struct am_report *r);

#endif
