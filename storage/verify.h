/*
 * verify.h - reads blobs again and holds them to their size and SHA-256; then files that are put together from spans of
 * blobs that were found whole. A scrub does a part of that: the blobs that were not read for longest. What is broken is
 * marked (damage.h), what is whole again loses its mark, and each blob's row says when it was read.
 * Not a repair. One at a time is the caller's business: two would only read everything twice.
 */
#ifndef AM_STORAGE_VERIFY_H
#define AM_STORAGE_VERIFY_H

#include "storage/damage.h"
#include "storage/work.h"

#include <stddef.h>

struct am_store;

struct am_verify_scope {
    int64_t version; /* 0: all blobs; else those that one version is read from */
    int64_t before;  /* above 0: a scrub of blobs that were last read (or written) before, ms since 1970; no files */
    int64_t budget;  /* of a scrub: it ends when it has read that many bytes */
};

struct am_verified {
    int64_t blobs, bytes, assembled; /* read */
    int64_t damaged, repaired;       /* broken now; marked before and whole now */
};

/* `found` is called for each broken one, with a connection to ask more. 0, -AM_E_CANCELLED, or an error of the store
   with a sentence in `why`. */
int am_verify(struct am_store *s, const struct am_verify_scope *scope, const struct am_work *work,
              int (*found)(void *ctx, struct am_db *db, const struct am_damage *d), void *ctx, struct am_verified *ret,
              char *why, size_t why_cap);
/* 1: there are blobs that were last read before that time, 0: there are none. */
int am_verify_due(struct am_db *db, int64_t before);

#endif
