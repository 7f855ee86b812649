/*
 * datasets.h - what the routes of datasets share (datasets.c, dataset_edit.c, dataset_versions.c, dataset_push.c,
 * dataset_samples.c, dataset_resolve.c).
 */
#ifndef AM_SERVER_API_DATASETS_H
#define AM_SERVER_API_DATASETS_H

#include "server/http.h"
#include "storage/datasets.h"

json_t *am_dataset_json(const struct am_dataset_row *d);                 /* new reference */
json_t *am_dataset_version_json(const struct am_dataset_version_row *v); /* new reference */
void am_dataset_etag(const struct am_dataset_row *d, char out[80]);
/* 404 for a name that is no dataset. */
int am_reply_no_dataset(struct am_req *r, const char *name);
/* The version that arg[2] names in the dataset of arg[0] and arg[1]; negative: a problem was queued. */
int am_find_dataset_version(struct am_req *r, int64_t *ret, int *ret_queued);
/* That version as an object, or NULL: a problem was queued. */
json_t *am_dataset_version_load(struct am_req *r, int64_t version, int *ret_queued);

#endif
