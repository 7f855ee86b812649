/*
 * continual.h - metrics of a line of updates (compat.md 13) from the score matrix R[i][j], the score on task j after
 * update i; 1 <= j <= i <= T for what was measured on tasks seen so far, j > i for tasks to come. A cell that was not
 * measured makes what needs it undefined; it is never taken for 0. Nothing is owned.
 */
#ifndef AM_COMPAT_CONTINUAL_H
#define AM_COMPAT_CONTINUAL_H

#include "core/compat/maybe.h"

#include <stddef.h>

/* cell[(i-1) * tasks + (j-1)] is R[i][j]. random[j-1]: score on task j of a model that was not trained; NULL: unknown.
 */
struct am_scores {
    size_t tasks;
    const struct am_maybe *cell, *random;
};

/* What a metric needed and did not find. i = 0: the score of the untrained model. */
struct am_missing {
    size_t i, j;
};

enum am_continual_id {
    AM_CONTINUAL_AVERAGE_INCREMENTAL, /* mean over i of the mean over j <= i of R[i][j] */
    AM_CONTINUAL_FINAL_AVERAGE,       /* mean over j of R[T][j] */
    AM_CONTINUAL_BWT,                 /* mean over j < T of R[T][j] - R[j][j]; negative: forgetting */
    AM_CONTINUAL_FORGETTING,          /* mean over j < T of max over j <= i <= T of R[i][j], less R[T][j]; >= 0 */
    AM_CONTINUAL_FWT,                 /* mean over j > 1 of R[j-1][j] - random[j] */
    AM_CONTINUAL_METRICS
};
const char *am_continual_name(enum am_continual_id id);

/* T = 1: bwt, forgetting and fwt are undefined, with nothing missing. `missing` (NULL, or room for `most`) gets the
   first missing cells in the order in which they are needed, *ret_missing how many there are in all. */
struct am_maybe am_continual_of(enum am_continual_id id, const struct am_scores *scores, struct am_missing *missing,
                                size_t most, size_t *ret_missing);

/* Mean over updates of the share of samples of earlier tasks that were right before the update and wrong after it.
   Counts, or sums of weights. No updates, or one without samples: undefined. */
struct am_maybe am_nfr_per_update(const double *negative_flips, const double *samples, size_t updates);

#endif
