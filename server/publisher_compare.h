/*
 * publisher_compare.h - whether a result is what a job made before, file by file: the proof behind `rerun`.
 */
#ifndef AM_SERVER_PUBLISHER_COMPARE_H
#define AM_SERVER_PUBLISHER_COMPARE_H

#include "storage/models.h"
#include "storage/store.h"

#include <jansson.h>

struct am_comparison {
    const json_t *with;  /* publish.compare of the job: {"job","model","commit","kernels","program",...} */
    const char *kernels; /* the set that computed the result */
    const struct am_file_new *file;
    size_t files;
};

/* *ret_reproduced: true, false, or null when that cannot be said; *ret: the account of it, with the files that differ
   and the reason. New references, also with an error. */
int am_publisher_compare(struct am_db *db, const struct am_comparison *c, json_t **ret_reproduced, json_t **ret);

/* Reads the inputs of a result that differs again. 0: they are whole; -AM_E_STORE_DAMAGED with a sentence in `why`: one
   is not, so the difference says nothing. On a pool thread: it may take long. */
int am_publisher_doubt(struct am_store *store, const json_t *inputs, char *why, size_t why_cap);

#endif
