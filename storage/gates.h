/*
 * gates.h - gate policies with their revisions, and the decisions made by them, as rows. What is in a policy or in the
 * body of a decision is core/gate's business. Write functions run inside am_store_write(). Callbacks get borrowed rows;
 * a negative return ends the walk and is passed on.
 */
#ifndef AM_STORAGE_GATES_H
#define AM_STORAGE_GATES_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

#define AM_GATE_NAME_MAX 64
/* Why a text cannot be the name of a gate, or NULL. */
const char *am_gate_name_fault(const char *name);

struct am_gate_row {
    const char *name, *policy /* JSON, the long form */, *created_by;
    int64_t revision, created_at; /* of the revision */
};
/* Its newest revision. -AM_E_NOT_FOUND. */
int am_gate_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_gate_row *), void *ctx);
/* By name, at most `limit` after `after` (NULL: from the first). */
int am_gate_list(struct am_db *db, const char *after, int limit, int (*row)(void *, const struct am_gate_row *),
                 void *ctx);
/* Newest first, at most `limit` before the revision `before` (0: all); also of a gate that is no more. */
int am_gate_revisions(struct am_db *db, const char *name, int64_t before, int limit,
                      int (*row)(void *, const struct am_gate_row *), void *ctx);
/* "ns/name@ref" of a ref whose policy names the gate: 1, or 0. */
int am_gate_used(struct am_db *db, const char *name, char *ret, size_t cap);

/* A new revision, with its event. `policy` is JSON. *ret_revision (may be NULL): its number. */
int am_gate_put(struct am_db *db, const char *name, const char *policy, const char *by, int64_t now,
                int64_t *ret_revision);
/* Its revisions stay. -AM_E_NOT_FOUND; -AM_E_CONFLICT: am_gate_used(). */
int am_gate_delete(struct am_db *db, const char *name, const char *by, int64_t now);
/* Revision 1 of a gate that never was, without an event; nothing when it was there once. For what is built in. */
int am_gate_seed(struct am_db *db, const char *name, const char *policy, int64_t now);

/* ---- decisions ---- */

struct am_decision_new {
    const char *uid;                  /* "gdc_..." */
    const char *gate;                 /* NULL: a policy without a name */
    int64_t revision;                 /* of the gate; 0 without one */
    int64_t old_version, new_version; /* 0: of a model that is not here */
    const char *old, *new;            /* commit, or the name of a model elsewhere */
    const char *report, *job;         /* uid or NULL */
    const char *verdict, *body;       /* body: JSON of core/gate/decide.h */
    const char *created_by;
    int64_t now;
};
/* With its event. */
int am_decision_insert(struct am_db *db, const struct am_decision_new *d);

struct am_decision_row {
    int64_t id, revision, old_version, new_version, created_at; /* 0: none */
    const char *uid, *gate, *old, *new, *old_model, *new_model, *report, *job, *verdict, *body, *created_by;
};
int am_decision_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_decision_row *),
                    void *ctx); /* -AM_E_NOT_FOUND */
struct am_decision_filter {
    int64_t version;           /* that is the new one; 0: any */
    int64_t ref_model;         /* with ref: decisions about targets that the ref has or had; 0: any */
    const char *ref, *verdict; /* NULL: any */
    int64_t after;             /* id of the last one seen; newest first; 0: from the newest */
    int limit;
};
int am_decision_list(struct am_db *db, const struct am_decision_filter *f,
                     int (*row)(void *, const struct am_decision_row *), void *ctx);
/* The newest decision by that revision of the gate for exactly these two versions, not made before `since`: 1 and one
   call of row(), or 0. */
int am_decision_find(struct am_db *db, const char *gate, int64_t revision, int64_t old_version, int64_t new_version,
                     int64_t since, int (*row)(void *, const struct am_decision_row *), void *ctx);
/* The rate of negative flips that the report of a ref's last promotion shows, of at most `limit` refs. `name`: the ref.
 */
int am_promotion_rates(struct am_db *db, int limit,
                       int (*row)(void *, const char *model, const char *name, double rate), void *ctx);
/* How many there are of each verdict: promote, inconclusive, hold. */
int am_decision_counts(struct am_db *db, int64_t ret[3]);

#endif
