/*
 * _numbers.h - the numbers of a comparison over a joined table (compat.md 3 to 7), as plain data: what a report says,
 * but not its JSON. Ownership: am_compared owns its arrays until am_compared_done(); texts are static or borrowed from
 * the sets.
 */
#ifndef AM_EVALUATE_NUMBERS_H
#define AM_EVALUATE_NUMBERS_H

#include "core/compat/bootstrap.h"
#include "core/compat/cells.h"
#include "core/compat/metrics.h"
#include "core/compat/slices.h"
#include "core/compat/tests.h"
#include "core/evaluate/_join.h"

#define AM_VALUES_MAX 32

struct am_compare_how {
    struct am_boot boot;
    double epsilon, tau;
    bool texts; /* scores are compared, else correctness */
    bool higher_is_better;
    bool micro; /* sets of labels: every label is a decision */
    size_t exemplars;
};

/* What is drawn again by the bootstrap: samples, or groups of samples that belong together. */
struct am_grouping {
    const float *weight; /* NULL: 1; borrowed */
    int32_t *unit;       /* of each sample; NULL: every sample is one */
    size_t units;
    const char *what;  /* "sample", "cluster", "id" (replicates of one id) */
    uint64_t clusters; /* distinct clusters among the samples; 0: none are named */
    double n_eff;
};
int am_grouping_of(const struct am_join *j, struct am_grouping *ret);
void am_grouping_done(struct am_grouping *g);

struct am_value {
    const char *name;
    struct am_maybe value;
    struct am_interval interval, one_sided; /* two-sided 95 %; one-sided 95 % bounds */
    const char *method;                     /* "wilson", "tango", "bca", "percentile" */
    const char *reason;                     /* why the value or its interval is not known; NULL: both are */
    bool limited;                           /* the interval is by AM_SAMPLER_LIMIT */
};

struct am_compared {
    struct am_cells cells;    /* of samples (of decisions when micro) */
    double weighed[AM_CELLS]; /* the same as sums of weights */
    uint64_t decisions;       /* what the cells add up to */
    uint8_t *cell;            /* of each sample: AM_CELL_... */
    double *d;                /* of each sample: how much the score rose; texts only */
    struct am_value value[AM_VALUES_MAX];
    size_t values;
    struct am_mcnemar mcnemar;
    struct am_wilcoxon wilcoxon; /* texts */
    struct am_maybe noise, noise_expected;
    const char *noise_why; /* where the floor is from, or why there is none */
    struct am_flip_pair pair[AM_FLIP_PAIRS];
    size_t pairs;
    size_t *exemplar; /* samples */
    size_t exemplars;
};

/* All of it. Changes nothing in `j` but j->ok (texts: made from the scores). -AM_E_DATASET_MISMATCH with a fault: one
   set has no correctness (no score) to compare. */
int am_compare(struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how, struct am_faults *f,
               struct am_compared *ret);
void am_compared_done(struct am_compared *c);

/* ---- parts of am_compare ---- */

/* A row of sums a unit, from one a sample. `row` fills in the sums of sample i; weights are multiplied here. For
   free(). NULL: out of memory. */
typedef void am_sums_of(const void *arg, size_t i, double *sums);
double *am_grouped_rows(const struct am_grouping *g, size_t n, size_t sums, am_sums_of *row, const void *arg);
/* The interval that the bootstrap found, for a value that is known already. */
void am_value_boot(struct am_value *v, const struct am_boot_answer *a, bool bca);
void am_value_put(struct am_compared *c, const struct am_value *v);

int am_class_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                    struct am_compared *c);
/* The same over rows of six sums a unit. */
int am_drawn_values(const struct am_compare_how *how, const double *rows, size_t units, struct am_compared *c);
/* Cells of texts: j->ok and c->d from the scores; then their values and the test. */
int am_text_cells(struct am_join *j, const struct am_compare_how *how, struct am_compared *c);
int am_text_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                   struct am_compared *c);
/* Puts decisions in place of samples: c->cells, c->weighed, and the values. */
int am_micro_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                    struct am_faults *f, struct am_compared *c);
int am_noise_floor(const struct am_join *j, struct am_compared *c);

/* ---- _slices.c ---- */

struct am_slice_key {
    const char *key;
    size_t values;
    const char *const *text; /* of each value; NULL: the number itself */
    const int32_t *value;    /* of each sample; -1: none */
};
/* The keys of both sets, of the old one first; `label` (classes) is told apart by the caller. Room for 2 *
   AM_PACKED_KEYS_MAX. */
size_t am_slice_keys(const struct am_join *j, struct am_slice_key *ret);
/* The class of the samples as a key. false: there are no classes, or too many (*ret_many). */
bool am_slice_label(const struct am_join *j, struct am_slice_key *ret, bool *ret_many);
/* A row for each value, for free(). */
int am_slice_rows(const struct am_join *j, const struct am_slice_key *k, struct am_slice **ret);

#endif
