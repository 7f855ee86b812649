/*
 * _robust_krum.h - what krum and multi_krum share. Blanchard et al., NeurIPS 2017, arXiv:1703.02757.
 */
#ifndef AM_MERGE_ROBUST_KRUM_H
#define AM_MERGE_ROBUST_KRUM_H

#include "core/merge/_robust_gram.h"

struct am_krum_local {
    struct am_gram_local gram;
    size_t f;
};
extern const struct am_param am_krum_params[];
extern const struct am_rule am_krum_rules[]; /* p >= 2f + 3 */

void am_krum_prepare(const struct am_scope_info *s, void *local);
/* `many`: the mean of the p - f - 2 best instead of the best alone. */
int am_krum_solve(struct am_gram_task *t, bool many);

#endif
