/*
 * life.h - the life of models and versions: what people note about them, deleting in two phases, retention.
 *
 * First phase: `deleted_at`. Nothing finds the thing any more (am_rev_resolve, lists, new jobs: a trigger refuses
 * them), and restore takes it back. Second phase, after the grace or in a purge: am_version_expunge() removes the rows
 * of files; blobs that nothing names then are the collector's. The rows of model and version stay for ever, for the
 * lineage. A model whose versions are all expunged is gone: its name is free. What names a version that must not go: a
 * ref, or a job that has not ended (job_version, kept by triggers). Write functions run inside am_store_write(); read
 * functions take any connection. Each change writes its event (events.h) in the same transaction.
 */
#ifndef AM_STORAGE_LIFE_H
#define AM_STORAGE_LIFE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

struct am_life { /* of a model or a version, deleted or not */
    int64_t id, model, rev;
    int64_t number;     /* of a version; -1: not on main */
    int64_t deleted_at; /* 0: it is not. Of a version the model's deletion does not count */
    int64_t gone_at;    /* 0: its bytes are there */
    char name[200] /* of the model */, commit[41] /* "" for a model */;
    char by[64], reason[256];
};
int am_life_of_model(struct am_db *db, const char *name, struct am_life *ret); /* -NOT_FOUND */
int am_life_of_version(struct am_db *db, int64_t version, struct am_life *ret);

struct am_user {
    const char *kind /* "ref" or "job" */, *name;
};
/* What names a version, or what holds a model: jobs that read any of its versions or publish into it. At most `limit`
   of them. */
int am_version_users(struct am_db *db, int64_t version, int limit, int (*row)(void *, const struct am_user *),
                     void *ctx);
int am_model_users(struct am_db *db, int64_t model, int limit, int (*row)(void *, const struct am_user *), void *ctx);

struct am_descendant {
    const char *model, *commit;
    int64_t number;
};
/* The living versions that came from a version; of model 0 one, else from all of the model, outside of it. At most
   `limit` are told; *ret_total counts what a walk of bounded length meets. */
int am_life_descendants(struct am_db *db, int64_t model, int64_t version, int limit,
                        int (*row)(void *, const struct am_descendant *), void *ctx, int64_t *ret_total);

struct am_deletion {
    int64_t id, now;
    const char *by, *reason; /* reason NULL: none given */
};
/* -AM_E_CONFLICT: it is the empty v0; -AM_E_VERSION_IN_USE; -AM_E_VERSION_GONE: it is deleted already. */
int am_version_delete(struct am_db *db, const struct am_deletion *d);
int am_model_delete(struct am_db *db, const struct am_deletion *d);
/* -AM_E_VERSION_GONE: too late; -AM_E_CONFLICT: it is not deleted, or (a version) its model is. */
int am_version_restore(struct am_db *db, int64_t version, int64_t now, const char *by);
int am_model_restore(struct am_db *db, int64_t model, int64_t now, const char *by);

struct am_model_patch { /* NULL: as it is */
    const char *description, *labels;
    const bool *is_private;
    const int64_t *keep_days; /* -1: the setting's */
    int64_t now;
    const char *by;
};
int am_model_patch(struct am_db *db, int64_t model, const struct am_model_patch *p);
struct am_version_patch { /* NULL: as it is */
    const char *labels, *note;
    bool no_note; /* it has none from now on */
    const bool *pinned;
    int64_t now;
    const char *by;
};
int am_version_patch(struct am_db *db, int64_t version, const struct am_version_patch *p);

/* ---- the second phase ---- */

/* Removes the rows of the version's files, what only they named, and its share in the blobs of its model. The version
   is deleted; nothing but its row is left. */
int am_version_expunge(struct am_db *db, int64_t version, int64_t now);
/* Marks the model as gone when it is deleted and all its versions are expunged: its refs go, main to v0. 1: it did. */
int am_model_expunge(struct am_db *db, int64_t model, int64_t now);
/* Versions deleted at or before `before` that still have files, after the id `after`; in the order of ids. */
int am_expunge_due(struct am_db *db, int64_t before, int64_t after, int limit, int64_t *ret_ids, int *ret_n);
/* Models deleted at or before `before` that are not gone and have no version with files. */
int am_models_due(struct am_db *db, int64_t before, int limit, int64_t *ret_ids, int *ret_n);

/* ---- retention ---- */

/* When a version expires that nothing holds since `since` (am_version_row); 0: never. keep_days -1: default_days. */
int64_t am_expires_at(int64_t since, int64_t keep_days, int64_t default_days);
/* The same for the id of a version. */
int am_version_expiry(struct am_db *db, int64_t version, int64_t default_days, int64_t *ret);
/* Versions that have expired, after the id `after`; in the order of ids. */
int am_expired(struct am_db *db, int64_t now, int64_t default_days, int64_t after, int limit, int64_t *ret_ids,
               int *ret_n);
/* First phase for a version that has expired; 0: it has not (something names it now), 1: deleted. */
int am_expire(struct am_db *db, int64_t version, int64_t now, int64_t default_days);

#endif
