/*
 * _robust_columns.h - what the robust rules by coordinate share: the differences of a tile sorted column by column, and
 * how often each contributor was inside the range that the rule keeps. No statistics pass, no accumulator.
 */
#ifndef AM_MERGE_ROBUST_COLUMNS_H
#define AM_MERGE_ROBUST_COLUMNS_H

#include "core/methods/method.h"

struct am_columns_local {
    float alpha;
    unsigned f;     /* so many smallest and largest are outside */
    bool propagate; /* NaN may come in */
};
#define AM_COLUMNS_TALLY                                                                                               \
    {                                                                                                                  \
        .fixed = 1, .per_input = 1, .per_pair = 1                                                                      \
    }
#define AM_COLUMNS_SCRATCH                                                                                             \
    {                                                                                                                  \
        .per_input = 1                                                                                                 \
    }
#define AM_COLUMNS_REPORT                                                                                              \
    {                                                                                                                  \
        .per_input = 1                                                                                                 \
    }

/* alpha and propagate from the parameters; `local` begins with a struct am_columns_local. */
void am_columns_prepare(const struct am_scope_info *s, void *local);
/* scratch[0] <= scratch[1] <= ...: the differences fl(x_i - b), sorted for each element. */
void am_columns_sort(const struct am_window *w);
/* Of the p sorted arrays x (p <= AM_MAX_INPUTS), for each element the mean of the `keep` values nearest to `center`,
   into center; of two at the same distance the smaller one. f32, from the smallest on. The smallest and the largest of
   those kept go to x[0] and x[p - 1]. */
void am_columns_nearest(float *const *x, size_t p, size_t keep, float *center, size_t n);
/* From the sorted arrays: the mean of the middle two of an even number. */
void am_columns_median(float *const *x, size_t p, float *out, size_t n);
/* ... the mean without the f smallest and largest; 2f < p. */
void am_columns_trimmed(float *const *x, size_t p, size_t f, float *out, size_t n);
/* From out = the merged difference to fl(b + fl(alpha out)), and the counts for the report. The smallest and largest
   `f` of scratch are taken as outside; equal to one that is inside counts as inside. */
void am_columns_finish(const struct am_window *w, size_t f);
/* `f` as for am_columns_finish. */
void am_columns_report(const struct am_scope_info *s, const double *tally, size_t f, struct am_report *r);
/* The same for a rule that keeps `kept` values of each element, with their range in x[0] and x[p - 1] and f = 0. */
void am_columns_report_kept(const struct am_scope_info *s, const double *tally, size_t kept, struct am_report *r);

#endif
