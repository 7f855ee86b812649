/*
 * bootstrap.h - the paired bootstrap (compat.md 5.6): samples are drawn again with replacement and any number of
 * statistics is computed from the same resample. A resample is described by at most AM_BOOT_SUMS sums, from which every
 * statistic is computed; no statistic sees samples. Two ways to draw:
 *   classes   without weights and clusters: samples of one class are alike, so a resample is one multinomial draw
 *             of the classes' sizes (a handful of binomials, whatever the number of samples)
 *   units     with weights, clusters or scores: whole units (rows or clusters) are drawn, and their sums added; of very
 *             many units, only those that stand out are, and the sum of all others comes from its limit (boot_limit.h)
 * The same input and seed give the same bytes for any number of threads (samplers: draw.h). Nothing is
 * owned; inputs must stay while the call runs.
 */
#ifndef AM_COMPAT_BOOTSTRAP_H
#define AM_COMPAT_BOOTSTRAP_H

#include "core/compat/maybe.h"

#include <stddef.h>
#include <stdint.h>

#define AM_BOOT_SUMS 16
#define AM_BOOT_STATS 64
#define AM_BOOT_MIN 200
#define AM_BOOT_MAX 100000

/* A statistic of a resample; undefined is allowed. Called from several threads at once: `arg` is only read. */
typedef struct am_maybe am_boot_statistic(const double *sums, const void *arg);

struct am_boot_ask {
    am_boot_statistic *statistic;
    const void *arg;
    bool bca; /* bias-corrected and accelerated (for ratios), else percentile */
};

/*
 * lower, upper: two-sided 95 %; lower95, upper95: the one-sided bounds. Replicates whose statistic is undefined are
 * dropped; with more than 5 % dropped the interval is undefined: reason "unstable"; "undefined" when the statistic of
 * the data itself is. A statistic that no resample changes has an interval of width 0: it tells nothing.
 */
struct am_boot_answer {
    struct am_maybe estimate;
    struct am_interval two_sided, one_sided;
    const char *reason; /* NULL: known */
    uint32_t dropped;
    bool limited; /* by the sampler AM_SAMPLER_LIMIT */
};

struct am_boot {
    uint32_t replicates; /* AM_BOOT_MIN .. AM_BOOT_MAX; usually 2000 */
    uint64_t seed;
    unsigned threads; /* >= 1 */
};

/* Classes of `sums` sizes (whole, below 2^53): the sums of a resample are the sizes it drew. -AM_E_INVALID_PARAMS (a
   limit of this header), -AM_E_OUT_OF_MEMORY. */
int am_boot_classes(const struct am_boot *how, const double *sizes, size_t sums, const struct am_boot_ask *ask,
                    size_t asks, struct am_boot_answer *ret);
/* `rows` holds `units` rows (below 2^32) of `sums` each. Drawn one by one, time grows with replicates times units, and
   each thread holds 4 bytes a unit; so from am_boot_limited() on the limit is used. */
int am_boot_units(const struct am_boot *how, const double *rows, size_t units, size_t sums,
                  const struct am_boot_ask *ask, size_t asks, struct am_boot_answer *ret);

bool am_boot_limited(uint32_t replicates, uint64_t units);

/* Rows for am_boot_units from samples in six cells: one a cluster (numbered 0 .. clusters - 1; NULL: one a sample), the
   weights (NULL: 1) added up. `ret` has room for clusters (or n) rows of six. Cluster numbers beyond:
   -AM_E_INVALID_PARAMS. */
int am_boot_cell_rows(const uint8_t *cell, const float *weight, const int32_t *cluster, size_t n, size_t clusters,
                      double *ret);

/* Quantile of type 7 (linear between order statistics), sorted[0 .. n - 1], n >= 1, 0 <= level <= 1. */
double am_quantile7(const double *sorted, size_t n, double level);

#endif
