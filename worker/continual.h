/*
 * continual.h - the parts of mode `continual`: the packed prediction sets of a line of versions on its tasks become one
 * report (contract.md). Private to continual*.c. The numbers are core/evaluate's; sets are read as compare.h does it.
 */
#ifndef AM_WORKER_CONTINUAL_H
#define AM_WORKER_CONTINUAL_H

#include "core/evaluate/_line.h"
#include "worker/compare.h"

struct am_continual_task {
    const char *name;            /* borrowed from the spec, as all JSON here */
    const json_t *predictions;   /* a uid or null for each version */
    const json_t *sets;          /* a set or null for each version */
    struct am_compare_set first; /* the first set that is there; its columns stay */
    struct am_ids ids;
    uint64_t *made[AM_LINE_MAX]; /* correctness by the other sets; for free() */
};

struct am_continuing {
    struct am_session *s;
    struct am_comparing spec; /* what reading a set needs; no sets */
    struct am_spec_fds fds;   /* of it */
    json_t *root;
    const json_t *params, *about;
    struct am_boot boot;
    struct am_line line;
    struct am_continual_task task[AM_LINE_MAX];
    struct am_line_numbers numbers;
};

/* ---- continual_spec.c ---- */
int am_continual_spec(struct am_continuing *c);

/* ---- continual_sets.c ---- */
/* Reads the sets of one task. -AM_E_DATASET_MISMATCH with faults: they are not over the same samples. */
int am_continual_load(struct am_continuing *c, size_t task);

/* ---- continual_report.c ---- */
/* The body of the report. NULL: out of memory. */
json_t *am_continual_report(const struct am_continuing *c);

#endif
