/*
 * replicates.h - what every bootstrap here has in common: the replicates are computed in parts by a crew of threads,
 * and the values of one statistic become a percentile interval. Not the draw of a replicate, nor where its values go:
 * those are the caller's. Private to core/compat and to core/evaluate's own bootstraps.
 */
#ifndef AM_COMPAT_REPLICATES_H
#define AM_COMPAT_REPLICATES_H

#include "core/compat/bootstrap.h"

/* Replicates first .. end - 1. Called from several threads at once. 0 or a negative error. */
typedef int am_replicates_part(void *arg, uint32_t first, uint32_t end);

/* -AM_E_INVALID_PARAMS: a limit of bootstrap.h; else the key of the seed, for am_draw_begin(). */
int am_replicates_begin(const struct am_boot *how, uint32_t ret_key[2]);
/* All of them, `at_once` in a part; returns when every part has ended. 0, or the error of one that failed. */
int am_replicates_run(const struct am_boot *how, uint32_t at_once, am_replicates_part *part, void *arg);

/* The values that are known, in order, into `sorted` (room for n), and their number into *ret_kept; the answer has its
   interval yet to come, or the reason why there is none. */
struct am_boot_answer am_replicates_sort(struct am_maybe estimate, const struct am_maybe *replicate, uint32_t n,
                                         double *sorted, uint32_t *ret_kept);
/* All of it: percentile intervals. */
struct am_boot_answer am_replicates_answer(struct am_maybe estimate, const struct am_maybe *replicate, uint32_t n,
                                           double *sorted);

#endif
