/*
 * compare.h - the parts of mode `compare`: two packed prediction sets become a report with its slices and samples
 * (contract.md). Private to compare*.c. The numbers are core/evaluate's; here they are read from the spec and written
 * as JSON and safetensors.
 */
#ifndef AM_WORKER_COMPARE_H
#define AM_WORKER_COMPARE_H

#include "core/evaluate/_find.h"
#include "core/evaluate/_groups.h"
#include "core/gate/policy.h"
#include "worker/files.h"
#include "worker/session.h"
#include "worker/spec.h"

#define AM_COMPARE_KEYS (2 * AM_PACKED_KEYS_MAX + 1)

/* One prediction set as the spec names it. */
struct am_compare_set {
    const char *name; /* "old", "new": in faults */
    int fd[2];        /* packed, ids */
    uint64_t bytes[2];
    const json_t *header; /* borrowed */
    json_t *meta;         /* of the packed file */
    struct am_packed packed;
    struct am_packed_meta plain;
    const char **text; /* what `plain` points into, beside `meta` */
};

struct am_comparing {
    struct am_session *s;
    json_t *root;
    const json_t *params, *about, *gate; /* gate NULL: none */
    struct am_spec_fds *fds;             /* the session's spec's */
    unsigned threads;
    uint64_t seed;
    struct am_compare_set set[2];
    struct am_ids ids[2]; /* the second is empty when both sets have one dictionary */
    struct am_join join;
    struct am_grouping grouping;
    struct am_compare_how how;
    struct am_compared numbers;
    struct am_slice_key key[AM_COMPARE_KEYS]; /* that the report tells, by name */
    size_t keys;
    json_t *groups;          /* list: the gaps of each key of params.groups */
    json_t *found;           /* what params.find_slices found; NULL: not asked */
    uint64_t slices;         /* rows of slices.ndjson */
    json_t *gate_slices;     /* rows of slices that the gate looks at */
    struct am_policy policy; /* of the gate */
    const char *folder;      /* of the result's files: "", or beside those of a version */
    unsigned first;          /* number of the first staged file */
    const char *doubt;       /* of the gate: am_gate_input */
    enum am_gate_check finite;
    bool alone;       /* a gate with nothing to compare with */
    json_t *warnings; /* {code, detail}, in the report and in the job */
};

/* ---- compare_spec.c ---- */
int am_compare_spec(struct am_comparing *c);
/* One set of the spec; `pointer` is where it stands. */
int am_compare_spec_set(struct am_comparing *c, json_t *o, const char *name, const char *pointer,
                        struct am_compare_set *ret);

/* ---- compare_set.c ---- */
/* Opens the packed file and reads its metadata into `meta` and `plain`, then loads its columns. */
int am_compare_set_load(struct am_compare_set *set, struct am_faults *f);
/* Task, metric, direction and labels must be the same. -AM_E_DATASET_MISMATCH with every fault. */
int am_compare_sets_agree(const struct am_compare_set set[2], struct am_faults *f);
void am_compare_set_done(struct am_compare_set *set);

/* ---- compare_slices.c ---- */
/* The keys that params.slices asks for. -AM_E_INVALID_PARAMS with a fault for each that no sample has. */
int am_compare_keys(struct am_comparing *c);
/* slices.ndjson into staging as f<number>; counts c->slices. */
int am_compare_put_slices(struct am_comparing *c, unsigned number);

/* ---- compare_groups.c ---- */
/* The gaps of params.groups, into c->groups; the widest of each go among the values. -AM_E_INVALID_PARAMS with faults.
 */
int am_compare_groups(struct am_comparing *c);
/* What params.find_slices asks for, into c->found. */
int am_compare_find(struct am_comparing *c);

/* ---- compare_samples.c ---- */
int am_compare_put_samples(struct am_comparing *c, unsigned number);

/* ---- compare_report.c ---- */
/* The body of the report. NULL: out of memory. */
json_t *am_compare_report(const struct am_comparing *c);
json_t *am_compare_value(const struct am_value *v);
json_t *am_compare_real(struct am_maybe v);
json_t *am_compare_pair(struct am_interval v);

/* ---- compare_gate.c ---- */
#define AM_COMPARE_CRITICAL_MAX 20 /* sets of critical samples */
/* The policy of the spec, into c->policy. */
int am_compare_gate_spec(struct am_comparing *c);
/* The decision about the report, with the critical samples compared; NULL in *ret without a gate. */
int am_compare_decide(struct am_comparing *c, const json_t *report, json_t **ret);

/* ---- compare_run.c: of mode `run`, the gate that its result has to pass (contract.md) ---- */
/* `spec`: the member `compare` of the spec; NULL or null: no gate, and nothing to do below. */
int am_compare_run_open(struct am_comparing *c, struct am_session *s, json_t *spec, struct am_spec_fds *fds);
/* When all weight files are in the result: compares and decides, into files from f<first> on. */
int am_compare_run_put(struct am_comparing *c, unsigned first, enum am_gate_check finite);

/* ---- compare.c ---- */
/* Reads, counts and writes; the session's result is open. */
int am_compare_work(struct am_comparing *c);
void am_compare_done(struct am_comparing *c);
int am_compare_put_json(struct am_comparing *c, unsigned number, const char *path, const json_t *body);
json_t *am_compare_record(const struct am_comparing *c, const char *path, const struct am_staged *staged);
void am_compare_warn(struct am_comparing *c, const char *code, const char *fmt, ...) AM_PRINTF(3, 4);

#endif
