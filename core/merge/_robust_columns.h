/*
 * _robust_columns.h - what the robust rules by coordinate share: the differences of a tile sorted column by column, and
 * how often each contributor was inside the range that the rule keeps. No statistics pass, no accumulator.
 */
#ifndef AM_MERGE_ROBUST_COLUMNS_H
#define AM_MERGE_ROBUST_COLUMNS_H

#include "core/merge/_policies.h"
#include "core/merge/_robust_gram.h"
#include "core/methods/method.h"

struct am_columns_local {
    float alpha;
    unsigned f;     /* of the parameter `f`, where there is one */
    bool propagate; /* NaN may come in */
};

/* The tally: see _robust_columns.c. */
#define AM_COLUMNS_NEEDS                                                                                               \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .tally = {.fixed = 1, .per_input = 1, .per_pair = 1},                         \
        .report = {.per_input = 1}, .scratch = {.per_input = 1}, .local_bytes = sizeof(struct am_columns_local),       \
        .symmetric = true                                                                                              \
    }
#define AM_COLUMNS_HOOKS                                                                                               \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .common = am_policies, .unchanged = am_robust_unchanged,   \
    .prepare = am_columns_prepare
/* Of a rule that needs p >= 2f + 1 models (am_columns_rules). */
#define AM_COLUMNS_F(left_out)                                                                                         \
    {                                                                                                                  \
        .name = "f", .kind = AM_INT, .min = 0, .max = (AM_MAX_INPUTS - 1) / 2, .unit = "models", .flags = AM_REQUIRED, \
        .doc = "how many faulty models to tolerate: so many " left_out " are left out; needs 2f + 1 models"            \
    }
extern const struct am_rule am_columns_rules[];

void am_columns_prepare(const struct am_scope_info *s, void *local);
/* scratch[0] <= scratch[1] <= ...: the differences fl(x_i - b), sorted for each element. Refuses too few models. */
int am_columns_sort(const struct am_window *w);
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
/* The whole of a rule that keeps the p - f differences nearest to what `center` puts into w->out. */
typedef void am_columns_center(const struct am_window *w, size_t f);
int am_columns_apply_nearest(const struct am_window *w, am_columns_center *center);
void am_columns_report_nearest(const struct am_scope_info *s, const void *acc, const double *tally,
                               struct am_report *r);

#endif
