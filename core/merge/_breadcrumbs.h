/*
 * _breadcrumbs.h - of each model's difference from the base the smallest and the largest entries go; the rest goes
 * through the frame of task arithmetic. Davari and Belilovsky, ECCV 2024, arXiv:2312.06795; merge.md A19.
 *
 * Of n entries in the order of merge.md A4 (of equal magnitudes the lowest index is the largest) floor(drop_low * n) go
 * at the bottom and floor(drop_high * n) at the top; where density is given, exactly floor(density * n) stay, at least
 * one, and the top gives way to it. n counts a tensor, or each row of it. Nothing is rescaled. The other ways to write
 * the two shares become drop_low and drop_high when a job is submitted (`canonical`).
 */
#ifndef AM_MERGE_BREADCRUMBS_H
#define AM_MERGE_BREADCRUMBS_H

#include "core/merge/_frame.h"
#include "core/merge/_frame_params.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"

struct am_crumb_shares {
    double density, gamma, low, high; /* density NaN: low and high count */
    bool rules;                       /* mergekit's */
};
struct am_crumb_bounds {
    uint64_t inner, outer; /* in the order of magnitudes the entries from number `inner` to before `outer` are kept */
};
enum { AM_CRUMB_OUTER, AM_CRUMB_INNER, AM_CRUMB_RANKS };

struct am_breadcrumbs_local {
    struct am_frame frame; /* first: am_frame_apply() reads it */
    bool rows;
    uint64_t elements;
    struct am_crumb_shares share[AM_MAX_INPUTS];
    struct am_crumb_bounds keep[AM_MAX_INPUTS]; /* of `elements`; not with rows */
};

extern const char *const am_breadcrumbs_granularity[];
extern const struct am_canonical am_breadcrumbs_canonical;

#define AM_CRUMB_SHARE(n, lo, hi, more, text)                                                                          \
    {                                                                                                                  \
        .name = n, .kind = AM_REAL, .min = lo, .max = hi, .def = "null", .unit = "fraction",                           \
        .flags = AM_PER_INPUT | (more), .doc = text                                                                    \
    }
/* All but weight, normalize and consensus. */
#define AM_CRUMB_SHARES                                                                                                \
    AM_CRUMB_SHARE("density", 0, 1, 0,                                                                                 \
                   "share that is kept; 1 (nothing is dropped) when no other way to say it is "                        \
                   "used"),                                                                                            \
        AM_CRUMB_SHARE("gamma", 0, 1, AM_OPEN_MAX,                                                                     \
                       "with density: share of the largest that is dropped, 0.01 when not given"),                     \
        AM_CRUMB_SHARE("drop_low", 0, 1, AM_OPEN_MAX,                                                                  \
                       "share of the smallest that is dropped, in place of density (paper: 0.85)"),                    \
        AM_CRUMB_SHARE("drop_high", 0, 1, AM_OPEN_MAX,                                                                 \
                       "with drop_low: share of the largest that is dropped (paper: 0.01)"),                           \
        AM_CRUMB_SHARE("beta", 0, 1, AM_OPEN_MAX | AM_ADVANCED,                                                        \
                       "the paper's way: share of the smallest that is dropped"),                                      \
        AM_CRUMB_SHARE("gamma_paper", 0, 1, AM_OPEN_MIN | AM_ADVANCED,                                                 \
                       "with beta: 1 - the share of the largest that is dropped"),                                     \
        AM_CRUMB_SHARE("top_k_keep", 0, 1, AM_OPEN_MIN | AM_ADVANCED,                                                  \
                       "the authors' code's way: share that is kept after top_k_remove; sets granularity to row"),     \
        AM_CRUMB_SHARE("top_k_remove", 0, 1, AM_OPEN_MAX | AM_ADVANCED,                                                \
                       "with top_k_keep: share of the largest that is dropped"),                                       \
        {.name = "granularity",                                                                                        \
         .kind = AM_CHOICE,                                                                                            \
         .choices = am_breadcrumbs_granularity,                                                                        \
         .def = "\"tensor\"",                                                                                          \
         .unit = "none",                                                                                               \
         .doc = "count and compare within each tensor, or within each row (last axis)"},                               \
    {                                                                                                                  \
        .name = "lambda", .kind = AM_REAL, .min = -1e6, .max = 1e6, .def = "1.0", .unit = "factor",                    \
        .doc = "factor of the merged difference; the paper's alpha (0.3 to 0.4)"                                       \
    }
#define AM_CRUMB_NEEDS                                                                                                 \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .passes = 1, .bf16 = true, AM_SELECTS_NEEDS(AM_CRUMB_RANKS),                  \
        .tally = AM_FRAME_TALLY, .report = {.fixed = 2, .per_input = 4}, .scratch = AM_FRAME_SCRATCH,                  \
        .local_bytes = sizeof(struct am_breadcrumbs_local), .by_row = true, .symmetric = true                          \
    }
#define AM_CRUMB_HOOKS                                                                                                 \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .paper = "arXiv:2312.06795",                               \
    .common = am_policies_mergekit, .rules = am_frame_rules, .canonical = &am_breadcrumbs_canonical,                   \
    .unchanged = am_frame_unchanged, .prepare = am_breadcrumbs_prepare, .look = am_breadcrumbs_look,                   \
    .stat = am_breadcrumbs_stat, .merge = am_selects_merge, .between = am_breadcrumbs_between,                         \
    .apply = am_breadcrumbs_apply, .apply_bf16 = am_breadcrumbs_apply_bf16, .report = am_breadcrumbs_report

void am_breadcrumbs_prepare(const struct am_scope_info *s, void *local);
size_t am_breadcrumbs_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first);
int am_breadcrumbs_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
int am_breadcrumbs_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round);
int am_breadcrumbs_apply(const struct am_window *w, const void *acc);
bool am_breadcrumbs_apply_bf16(const struct am_window *w, const void *acc, uint16_t *out);
void am_breadcrumbs_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);

#endif
