/*
 * publisher_end.h - what every publication ends with: its transaction, the warnings and the measurements of the worker,
 * the job's end. For the files publisher*.c.
 */
#ifndef AM_SERVER_PUBLISHER_END_H
#define AM_SERVER_PUBLISHER_END_H

#include "server/publisher.h"
#include "server/result.h"

#include <jansson.h>

/* am_store_write() that waits for a full queue of the writer, which passes by itself: the files are moved already, so
   that is the cheaper way. */
int am_publisher_write(struct am_store *store, int (*write)(struct am_db *db, void *arg), void *arg);
/* The warnings of the result are the job's. */
int am_publisher_warn(struct am_claim *job, const struct am_result *result);
/* `measured` of a job's result; new reference. */
json_t *am_publisher_measured(const struct am_publication *in, int64_t write_bytes);
/* On the writer: the job succeeded with that result (stolen). `job` (may be NULL): the claim that has its warnings. */
int am_publisher_finish(struct am_db *db, const char *uid, const struct am_claim *job, int64_t now, json_t *result);

#endif
