/*
 * refs.h - what is done to branches, tags and aliases beside models.h: one ref, a page of them, their history, going
 * back, deleting, protecting. Rows in and out; who may do what is the caller's business. Write functions run inside
 * am_store_write(). Callbacks get borrowed rows; a negative return ends the walk and is passed on.
 */
#ifndef AM_STORAGE_REFS_H
#define AM_STORAGE_REFS_H

#include "storage/models.h"

/* The row of a model by name. -NOT_FOUND. */
int am_model_row(struct am_db *db, const char *model, int64_t *ret);

/* The version with that commit id, or that is v<N>, whatever refs are called and also when it is deleted: 1, or 0. */
int am_version_any(struct am_db *db, int64_t model, const char *rev, int64_t *ret);

/* 1 and one call of row(), or 0: the model has no such ref. */
int am_ref_get(struct am_db *db, int64_t model, const char *name, int (*row)(void *, const struct am_ref_row *),
               void *ctx);
/* By name, at most `limit` after `after`; kind or NULL. */
int am_ref_page(struct am_db *db, int64_t model, const char *kind, const char *after, int limit,
                int (*row)(void *, const struct am_ref_row *), void *ctx);

/* One move. It never changes. A NULL commit: the ref was not there before, or after. */
struct am_ref_move_row {
    int64_t seq, at, steps /* 0: no rollback */, from_number, to_number /* -1: none */;
    const char *kind /* create move rollback delete */, *from, *to, *by, *reason, *job /* or NULL */;
    const char *decision; /* uid of the one that let it pass a gate, or NULL */
    bool forced;          /* past a protection */
};
/* Newest first, at most `limit` before the seq `before` (0: all). Also of a ref that is no more. */
int am_ref_history(struct am_db *db, int64_t model, const char *name, int64_t before, int limit,
                   int (*row)(void *, const struct am_ref_move_row *), void *ctx);
/* The last move made at the time `at` or before it: 1 and one call of row(), or 0. */
int am_ref_history_at(struct am_db *db, int64_t model, const char *name, int64_t at,
                      int (*row)(void *, const struct am_ref_move_row *), void *ctx);

/* ---- writing (inside am_store_write) ---- */

/* What am_ref_set() does, with what let it pass kept in the history. */
struct am_ref_move_new {
    int64_t model, version, now;
    const char *name, *kind, *by, *reason, *job; /* the last two may be NULL */
    int64_t decision;                            /* row of a decision; 0: none */
    bool forced;                                 /* past the ref's protection */
};
int am_ref_move(struct am_db *db, const struct am_ref_move_new *m);

/* So far below its top a stack can be gone back on. */
#define AM_ROLLBACK_MAX 10000
struct am_ref_back {
    int64_t model, now;
    const char *name, *by, *reason;
    int64_t steps; /* 1..AM_ROLLBACK_MAX; or 0 and: */
    int64_t to;    /* a version: back to the last place where the ref named it; no move when it does so now */
};
/*
 * Goes down the stack of the ref's targets: a create starts it, a move pushes, a rollback pops; a delete empties it.
 * -AM_E_NOT_FOUND: no such ref. -AM_E_STACK_EMPTY: nothing there. -AM_E_VERSION_GONE: what is there was deleted.
 */
int am_ref_rollback(struct am_db *db, const struct am_ref_back *b);
/* The history stays. -AM_E_NOT_FOUND. `main` is refused: every model has one (-AM_E_CONFLICT). */
int am_ref_delete(struct am_db *db, int64_t model, const char *name, int64_t now, const char *by, const char *reason);
/* What it takes to move the ref. Not a move: no history, but a new revision when it changes something. -AM_E_NOT_FOUND:
   no such ref, or (also when `gate` is not NULL and is there) no such gate: am_gate_get() tells. */
struct am_ref_policy {
    bool is_protected;
    const char *gate; /* whose decision a move takes while it is protected; NULL: none */
};
int am_ref_protect(struct am_db *db, int64_t model, const char *name, const struct am_ref_policy *policy, int64_t now,
                   const char *by);

#endif
