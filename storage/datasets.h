/*
 * datasets.h - datasets: named lines of immutable, content-addressed sets of samples, as rows with their stored files.
 * Rows in and out; what is in the files is the worker's business (worker/contract.md). Write functions run inside
 * am_store_write(). Callbacks get borrowed rows; a negative return ends the walk and is passed on.
 */
#ifndef AM_STORAGE_DATASETS_H
#define AM_STORAGE_DATASETS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

/* ---- the line (datasets.c) ---- */

struct am_dataset_new {
    const char *name;                 /* "ns/name" */
    const char *description, *labels; /* labels: JSON object; both may be NULL */
    const char *created_by;
    int64_t now;
};
/* With its event. -AM_E_CONFLICT: it is there; -AM_E_NAME_TAKEN: `ret_other` differs only in case. */
int am_dataset_create(struct am_db *db, const struct am_dataset_new *d, int64_t *ret_id, char ret_other[200]);

struct am_dataset_row {
    int64_t id, rev, created_at, versions, bytes, latest; /* latest: number of the newest version; 0: none */
    const char *name, *description, *labels, *created_by, *latest_sha256;
};
typedef int am_dataset_fn(void *ctx, const struct am_dataset_row *d);
int am_dataset_get(struct am_db *db, const char *name, am_dataset_fn *row, void *ctx); /* -AM_E_NOT_FOUND */
struct am_dataset_filter {
    const char *search, *space, *labels; /* of am_model_filter (models.h) */
    const char *after;                   /* name of the last one seen; NULL: from the first */
    int limit;
};
int am_dataset_list(struct am_db *db, const struct am_dataset_filter *f, am_dataset_fn *row, void *ctx);
/* NULL: stays as it is. */
int am_dataset_patch(struct am_db *db, int64_t id, const char *description, const char *labels, int64_t now);
/* With all its versions and its event. -AM_E_CONFLICT: prediction sets are about it, *ret_users of them. */
int am_dataset_delete(struct am_db *db, int64_t id, int64_t now, int64_t *ret_users);

/* ---- its versions (dataset_versions.c) ---- */

/* A stored file of a version; its blob is in the store already and pinned. Held by `owner`, the uid of a version that
   is there or is to come: "upload" until the task that indexes it ends, the others until the version is deleted. */
int am_dataset_hold(struct am_db *db, const char *owner, const char *kind, const char *sha256, int64_t bytes,
                    int64_t now);

struct am_dataset_version_new {
    const char *uid, *dataset; /* "dsv_...", "ns/name" */
    const char *sha256, *ids_sha256;
    const char *format, *ids;     /* "jsonl" or "safetensors"; "own" or "row" */
    int64_t rows, classes, bytes; /* classes 0: none */
    const char *fields, *about;   /* JSON */
    const char *created_by, *job;
    int64_t now;
};
/* With its event. -AM_E_NOT_FOUND: no such dataset. */
int am_dataset_version_insert(struct am_db *db, const struct am_dataset_version_new *v, int64_t *ret_id);
/* 1: that dataset has a version of these bytes; 0: it has not. */
int am_dataset_version_find(struct am_db *db, const char *dataset, const char *sha256, int64_t *ret_id);
/* One more name of a version. -AM_E_CONFLICT: another version has it. */
int am_dataset_version_name(struct am_db *db, int64_t version, const char *label);

struct am_dataset_version_row {
    int64_t id, number, rows, classes, bytes, created_at; /* classes 0: none */
    const char *uid, *dataset, *sha256, *format, *ids, *ids_sha256, *fields, *created_by, *job;
    const char *labels;        /* its names, a JSON list */
    int64_t ids_bytes, layout; /* layout: of the content */
    const char *rows_sha256;
    int64_t rows_bytes;
};
typedef int am_dataset_version_fn(void *ctx, const struct am_dataset_version_row *v);
/* v<N>, "latest" or NULL, a name, a SHA-256 or at least eight digits of it. -AM_E_NOT_FOUND: no such dataset;
   -AM_E_REVISION_NOT_FOUND: no such version, or several. */
int am_dataset_resolve(struct am_db *db, const char *dataset, const char *rev, int64_t *ret_id);
int am_dataset_version_get(struct am_db *db, int64_t id, am_dataset_version_fn *row, void *ctx);
/* Newest first; after: number of the last one seen, 0: from the newest. */
int am_dataset_version_list(struct am_db *db, int64_t dataset, int64_t after, int limit, am_dataset_version_fn *row,
                            void *ctx);
/* What the worker left about its columns, for free(). */
int am_dataset_about(struct am_db *db, int64_t version, char **ret);
/* With its event. -AM_E_CONFLICT: prediction sets are about it, *ret_users of them. Its files go with the next gc. */
int am_dataset_version_delete(struct am_db *db, int64_t version, int64_t now, int64_t *ret_users);

#endif
