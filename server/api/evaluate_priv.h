/*
 * evaluate_priv.h - what evaluate.c, evaluate_gate.c and made_gate.c share: a side of a comparison. Private to them.
 */
#ifndef AM_SERVER_API_EVALUATE_PRIV_H
#define AM_SERVER_API_EVALUATE_PRIV_H

#include "server/api/evaluate.h"

struct am_side { /* a prediction set, as its row says; uid empty: none */
    char uid[64], packed[65], ids[65], dataset_sha256[65], task[32];
    char *version;  /* "ns/name@commit", or NULL: */
    char *external; /* its name elsewhere */
    char *dataset;
    json_t *header;
    int64_t version_row; /* 0: it is elsewhere, or gone */
    int64_t packed_bytes, ids_bytes, rows, distinct;
    int64_t correct; /* -1: not known */
    int64_t columns; /* of core/table/plan_compare.h; -1: not known */
};

/* The newest set of a version, or of a model that is not here, on the dataset; ret->uid stays empty without one. */
int am_side_newest(struct am_db *db, int64_t version, const char *external, const char *dataset, struct am_side *ret);
/* The set of that id. -AM_E_NOT_FOUND. */
int am_side_get(struct am_db *db, const char *uid, struct am_side *ret);
/* ret->version_row: of its version, deleted or not; 0: it is elsewhere, or was purged. */
int am_side_row(struct am_db *db, struct am_side *side);
/* Faults when s->side are not about the same samples, at `pointer`. */
void am_sides_check(struct am_submit *s, const char *pointer);
/* What comparing s->side reads, writes and holds, added to the plan. */
void am_sides_plan(struct am_submit *s, uint64_t replicates);
json_t *am_side_json(const struct am_side *side, const char *role);
void am_side_done(struct am_side *side);
/* s->gate of the body's gate, when there is one, and both sides are there or there is nothing to compare. Faults are
   added. */
int am_evaluate_gate(struct am_submit *s);

#endif
