/*
 * predictions.h - prediction sets: what a version said about the samples of a dataset, as rows with their stored files.
 * Rows in and out; what is in the files is the worker's business (worker/contract.md). Write functions run inside
 * am_store_write(). Callbacks get borrowed rows; a negative return ends the walk and is passed on.
 */
#ifndef AM_STORAGE_PREDICTIONS_H
#define AM_STORAGE_PREDICTIONS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;
struct am_store;

/* A stored file of a set; its blob is in the store already and pinned. */
struct am_prediction_file {
    const char *kind; /* "upload", "packed" or "ids" */
    const char *sha256;
    int64_t bytes;
    bool gzip; /* as it is stored */
};
/* The file is held by `owner`, the uid of a set that is there or is to come, until that is deleted, or the task `pack`
   whose recipe names it fails. */
int am_prediction_hold(struct am_db *db, const char *owner, const struct am_prediction_file *file, int64_t now);

struct am_prediction_new {
    const char *uid;                                     /* "prd_..." */
    int64_t version;                                     /* 0: of a model that is not here */
    int64_t dataset_version;                             /* 0: of a dataset that is not here */
    const char *model;                                   /* as submitted */
    const char *model_sha256, *dataset, *dataset_sha256; /* hex, or NULL */
    const char *split, *task, *metric;                   /* split and metric may be NULL */
    int64_t n, ids, correct;                             /* correct -1: not known */
    int64_t columns;                                     /* of core/table/plan_compare.h; below 0: not known */
    const char *header;                                  /* JSON object */
    const char *job, *created_by;
    bool by_job; /* computed here, not uploaded */
    int64_t now;
};
/* With its event. */
int am_prediction_insert(struct am_db *db, const struct am_prediction_new *p);

struct am_prediction_row {
    int64_t id;
    const char *uid, *model_name, *commit; /* the last two NULL: of a model that is not here */
    const char *model, *model_sha256, *dataset, *dataset_sha256, *split, *task, *metric; /* hex or NULL */
    const char *dataset_name; /* "ns/name"; NULL, and the next two 0: of a dataset that is not here */
    int64_t dataset_version, dataset_number;
    int64_t n, ids, correct, created_at;
    int64_t columns; /* -1: not known */
    const char *header, *source, *job, *created_by;
    const char *upload_sha256, *packed_sha256, *ids_sha256;
    int64_t upload_bytes, packed_bytes, ids_bytes, upload_layout;
    bool gzip; /* the upload as it is stored */
};
int am_prediction_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_prediction_row *),
                      void *ctx); /* -AM_E_NOT_FOUND */
struct am_prediction_filter {
    int64_t version;                     /* 0: any */
    const char *external;                /* of a model that is not here, by its name; NULL: any */
    const char *dataset;                 /* NULL: any; else the name of one that is not here, or ... */
    int64_t dataset_id, dataset_version; /* ... all versions of one that is, or one of them; 0: neither */
    int64_t after;                       /* id of the last one seen; newest first; 0: from the newest */
    int limit;
};
int am_prediction_list(struct am_db *db, const struct am_prediction_filter *f,
                       int (*row)(void *, const struct am_prediction_row *), void *ctx);
/* The dataset on which versions `a` and `b` both have sets, of several that of the largest set: 1 and its name, or 0.
 */
int am_prediction_common(struct am_db *db, int64_t a, int64_t b, char *ret, size_t cap);
/* With its event. -AM_E_NOT_FOUND. Its files go with the next gc. */
int am_prediction_delete(struct am_db *db, const char *uid, int64_t now);

/* Removes a blob that nothing names, now; one that is named, or about to be, stays. For what was stored for a task that
   failed. */
int am_prediction_forget(struct am_store *s, const char *sha256);

#endif
