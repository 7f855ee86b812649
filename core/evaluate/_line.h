/*
 * _line.h - the numbers of a line of versions on its tasks (compat.md 13), as plain data: the score of version i on
 * task j, what the metrics of core/compat/continual.h make of them, and intervals from a bootstrap that draws the
 * samples of each task again, the same ones for all versions. Not the reading of sets, not JSON. Nothing is owned.
 */
#ifndef AM_EVALUATE_LINE_H
#define AM_EVALUATE_LINE_H

#include "core/compat/continual.h"
#include "core/evaluate/_numbers.h"

#define AM_LINE_MAX 16 /* versions, and tasks: one was learned with each */

struct am_line_task {
    size_t n;                  /* samples; 0: no version was measured on it */
    uint64_t *ok[AM_LINE_MAX]; /* bitset by version, bits beyond n are 0; NULL: not measured */
    struct am_grouping grouping;
    struct am_maybe random; /* score of a model that was not trained */
};

struct am_line {
    size_t tasks; /* and as many versions, oldest first */
    struct am_line_task task[AM_LINE_MAX];
};

enum { AM_LINE_NFR = AM_CONTINUAL_METRICS, AM_LINE_VALUES };

struct am_line_cell {
    struct am_value value; /* not known: not measured */
    uint64_t right;
};

/* An update from version i - 1 to version i, on the tasks before i. Sums of weights where samples have them. */
struct am_line_update {
    bool known;
    double flips, samples, nfr;
};

struct am_line_numbers {
    struct am_line_cell cell[AM_LINE_MAX * AM_LINE_MAX]; /* [version * tasks + task] */
    struct am_value value[AM_LINE_VALUES];
    struct am_missing missing[AM_LINE_VALUES][2 * AM_LINE_MAX * AM_LINE_MAX]; /* what each value lacks */
    size_t missing_n[AM_LINE_VALUES];
    struct am_line_update update[AM_LINE_MAX]; /* [1 .. tasks - 1] */
};

/* -AM_E_INVALID_PARAMS: a limit of this header or of bootstrap.h; -AM_E_OUT_OF_MEMORY. */
int am_line_numbers(const struct am_line *line, const struct am_boot *how, struct am_line_numbers *ret);

#endif
