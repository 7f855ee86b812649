/*
 * line.h - a line of versions: each the one that the next was put on top of. And what a version adds to the one before
 * it. Reads only.
 */
#ifndef AM_STORAGE_LINE_H
#define AM_STORAGE_LINE_H

#include <stdint.h>

struct am_db;

/* `version` and what it stands on, newest first, at most `limit`; not the empty v0. */
int am_line_walk(struct am_db *db, int64_t version, int limit, int (*row)(void *, int64_t version), void *ctx);
/* Bytes of the version's files that the version before it does not have; of a first version, all of them. */
int am_line_growth(struct am_db *db, int64_t version, int64_t *ret_bytes);

#endif
