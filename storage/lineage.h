/*
 * lineage.h - where a version came from and what came of it: bounded walks over the edges.
 */
#ifndef AM_STORAGE_LINEAGE_H
#define AM_STORAGE_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

struct am_db;
struct am_lineage_node {
    int64_t version, number, created_at, deleted_at /* 0: it is not */;
    const char *model, *commit, *job, *type, *method /* or NULL */, *refs /* JSON array of names */;
};
struct am_lineage_edge {
    const char *from, *to; /* commits: parent -> child */
    const char *role;
    double weight;  /* NAN: none */
    double trust;   /* NAN: none */
    int64_t report; /* row of the newest report that compares the two; 0: none */
};
enum am_lineage_way { AM_UP = 1, AM_DOWN = 2 }; /* or both */

/* Nodes first (the root among them), then the edges between them. depth -1: full closure. At most `cap` nodes;
 * *ret_truncated. */
int am_lineage_walk(struct am_db *db, int64_t root, unsigned ways, int depth, int cap,
                    int (*node)(void *, const struct am_lineage_node *),
                    int (*edge)(void *, const struct am_lineage_edge *), void *ctx, bool *ret_truncated);

#endif
