/*
 * publisher_staged.h - what a worker that read an upload left: files by their paths, small ones of JSON, numbers by
 * their names. For publisher_pack.c and publisher_index.c.
 */
#ifndef AM_SERVER_PUBLISHER_STAGED_H
#define AM_SERVER_PUBLISHER_STAGED_H

#include "server/result.h"

#include <jansson.h>

/* A staged file of the result, or NULL. */
const struct am_result_file *am_staged_file(const struct am_result *r, const char *path);
/* A metric of the result, -1 when it is not there. */
int64_t am_staged_metric(const struct am_result *r, const char *name);
/* The object in a staged file that is not longer than `max`, and (text may be NULL) its text for free().
   -AM_E_PUBLISH: it is none. */
int am_staged_json(int staging, const struct am_result_file *file, int64_t max, json_t **ret, char **ret_text);

#endif
