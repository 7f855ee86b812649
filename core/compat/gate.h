/*
 * gate.h - whether a candidate may take the place of a version: rules as data, each with one of three outcomes, and the
 * verdict (compat.md 8). Here bounds that others computed are compared with limits; only needed_n computes bounds, of
 * samples that do not exist yet. Not the text of a policy: doors read JSON into these structs. Policies and facts
 * belong to the caller and must stay while a decision is looked at, whose texts point into them.
 */
#ifndef AM_COMPAT_GATE_H
#define AM_COMPAT_GATE_H

#include "core/compat/maybe.h"

#include <stddef.h>
#include <stdint.h>

enum am_gate_form {
    AM_GATE_VALUE,     /* one value of a report, of the whole or of slices: bound op limit; and `alpha` */
    AM_GATE_BETWEEN,   /* both two-sided bounds in [low, high] passes; the interval wholly outside fails */
    AM_GATE_ANY_OF,    /* passes if one passes, fails if all that are defined fail */
    AM_GATE_MUST_PASS, /* critical samples */
    AM_GATE_FINITE,    /* no NaN or infinity in any tensor */
    AM_GATE_LEAK,      /* the gate's data is not among the candidate's training data */
};
enum am_gate_bound { AM_GATE_POINT, AM_GATE_LOWER, AM_GATE_UPPER }; /* the one-sided 95 % bounds */
enum am_gate_op { AM_GATE_GT, AM_GATE_GE, AM_GATE_LT, AM_GATE_LE };
/* What a report compares; a rule says which of them it is about. */
enum { AM_GATE_CLASSES = 1, AM_GATE_TEXTS = 2, AM_GATE_RETRIEVAL = 4 };

struct am_gate_rule {
    const char *id;
    enum am_gate_form form;
    unsigned tasks; /* AM_GATE_CLASSES and so on; 0: all. A rule about others is skipped */
    const char *report,
        *value; /* NULL report: the comparison itself. NULL value (with slice and alpha): regression only */
    enum am_gate_bound bound;
    enum am_gate_op op;
    double limit;
    double noise_factor;               /* > 0: the limit is at least that many noise floors, where the floor is known */
    bool null_passes;                  /* an undefined value passes; else it is inconclusive */
    double low, high;                  /* AM_GATE_BETWEEN */
    const char *slice;                 /* NULL: the whole; "protected:*", "key=value", "key=*": every such slice */
    double alpha;                      /* > 0, with slice: Holm-adjusted one-sided mid-p must exceed it */
    const struct am_gate_rule *any_of; /* not AM_GATE_ANY_OF themselves */
    size_t any_of_n;
    const char *dataset; /* AM_GATE_MUST_PASS */
    bool all_right;      /* mode "correct": none may be wrong; else no negative flip */
};

struct am_gate_key {
    const char *key, *value;
};

struct am_gate_policy {
    const char *description;
    uint64_t min_samples;
    double min_ids_matched;
    const struct am_gate_key *protected;
    size_t protected_n;
    const struct am_gate_rule *rules;
    size_t rules_n;
};

/* The policy "default" (compat.md 8.2). Its limits are proposals of ours; no public source gives a budget for flips. */
extern const struct am_gate_policy am_gate_default;

struct am_gate_value {
    const char *report, *name;
    struct am_maybe value;
    struct am_interval one_sided, two_sided; /* not known: the point decides */
};

struct am_gate_slice {
    const char *key, *value;
    uint64_t n;
    double p_regression;
    const struct am_gate_value *values;
    size_t values_n;
};

struct am_gate_critical {
    const char *dataset;
    uint64_t flips, wrong, missing;
};

/* What `doubt` may be: the report is of other bytes than the candidate's, or there is none. */
#define AM_GATE_OTHER_BYTES "other_bytes"
#define AM_GATE_NO_OLD "nothing_to_compare"

enum am_gate_check { AM_GATE_UNCHECKED, AM_GATE_CLEAN, AM_GATE_DIRTY, AM_GATE_NOTHING };

struct am_gate_facts {
    unsigned task;
    double n;            /* samples; the effective number when weighted */
    double ids_matched;  /* share of the union of ids that both sides have */
    bool partial;        /* compared on a part of the ids by request: the data rule cannot pass */
    const char *doubt;   /* why the comparison is not about the candidate, the reason of the data rule; NULL: it is */
    const double *cells; /* six sums of unweighted samples (cells.h), for needed_n; NULL: unknown */
    const struct am_gate_value *values;
    size_t values_n;
    const struct am_gate_slice *slices;
    size_t slices_n;
    const struct am_gate_critical *critical;
    size_t critical_n;
    struct am_maybe noise_floor;
    enum am_gate_check finite, leak; /* DIRTY: NaN found, rows found. NOTHING: nothing there to look at, rule skipped */
};

enum am_gate_outcome { AM_GATE_PASS, AM_GATE_FAIL, AM_GATE_INCONCLUSIVE, AM_GATE_SKIPPED };

struct am_gate_result {
    const char *id;
    const struct am_gate_rule *rule; /* of any_of the alternative that decided; NULL: the data rule */
    enum am_gate_outcome outcome;
    /* "data", a `doubt`, "missing" (not in the report), "undefined", "small" (a slice), "unchecked", "regression",
       "non_finite", "leak", "critical"; NULL: the bounds say it all */
    const char *reason;
    struct am_maybe value;
    struct am_interval interval;       /* that was compared: one-sided bounds, or the two-sided interval of `between` */
    double limit;                      /* with the noise floor in it */
    struct am_maybe adjusted_p;        /* the least of its slices */
    const struct am_gate_slice *slice; /* the one that decided, or NULL */
    struct am_maybe needed_n; /* samples in all (of the slice) that would settle it if the rates stay as they are */
};

enum am_gate_verdict { AM_GATE_PROMOTE, AM_GATE_UNDECIDED, AM_GATE_HOLD };
/* "promote", "inconclusive", "hold"; "pass", "fail", "inconclusive", "skipped". */
const char *am_gate_verdict_name(enum am_gate_verdict verdict);
const char *am_gate_outcome_name(enum am_gate_outcome outcome);

/* `ret` has room for rules_n + 1: first the data rule ("data"), then the rules. Any fail: hold; else any inconclusive,
   or not one rule that was not skipped: undecided. -AM_E_INVALID_PARAMS (am_gate_rule_fault), -AM_E_OUT_OF_MEMORY. */
int am_gate_decide(const struct am_gate_policy *policy, const struct am_gate_facts *facts, struct am_gate_result *ret,
                   enum am_gate_verdict *ret_verdict);

/* What is wrong with a rule as data, or NULL. */
const char *am_gate_rule_fault(const struct am_gate_rule *rule);

/* The least number of samples with which the policy can pass at all, without a single negative flip, and the rule that
   asks for them (rules_n: min_samples). `tasks`: what the report may be of; a rule that may be skipped asks for
   nothing. UINT64_MAX: it never can. */
uint64_t am_gate_least_samples(const struct am_gate_policy *policy, unsigned tasks, size_t *ret_rule);

#endif
