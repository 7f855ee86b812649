/*
 * publisher_index.h - the end of the task `index`: the content, the dictionary of its ids and its columns go into the
 * store, and the dataset gets its version. Files first, then one transaction with the version, its files and the task's
 * end. The same bytes again are the version that is there. Runs on a pool thread.
 */
#ifndef AM_SERVER_PUBLISHER_INDEX_H
#define AM_SERVER_PUBLISHER_INDEX_H

#include "server/publisher.h"

/* As am_publish(). */
int am_publish_index(const struct am_publication *in, char *why, size_t why_cap);

#endif
