/*
 * publisher_pack.h - the end of the task `pack`: the packed prediction set goes into the store and gets its row. Files
 * first, then one transaction with the set, its files and the task's end. Runs on a pool thread.
 */
#ifndef AM_SERVER_PUBLISHER_PACK_H
#define AM_SERVER_PUBLISHER_PACK_H

#include "server/publisher.h"

/* As am_publish(). */
int am_publish_pack(const struct am_publication *in, char *why, size_t why_cap);
/* Of a task that failed or was cancelled, and whose row says so: removes what was uploaded for it. */
void am_pack_forget(struct am_store *store, const struct am_claim *job);

#endif
