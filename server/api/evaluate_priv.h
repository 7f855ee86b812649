/*
 * evaluate_priv.h - what evaluate.c and evaluate_gate.c share: a side of a comparison. Private to them.
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
json_t *am_side_json(const struct am_side *side, const char *role);
void am_side_done(struct am_side *side);
/* s->gate of the body's gate, when there is one. Faults are added. */
int am_evaluate_gate(struct am_submit *s);

#endif
