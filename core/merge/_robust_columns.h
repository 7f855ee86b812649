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
/* From out = the merged difference to fl(b + fl(alpha out)), and the counts for the report. The smallest and largest
   `f` of scratch are taken as outside; equal to one that is inside counts as inside. */
void am_columns_finish(const struct am_window *w, size_t f);
/* `f` as for am_columns_finish. */
void am_columns_report(const struct am_scope_info *s, const double *tally, size_t f, struct am_report *r);

#endif
