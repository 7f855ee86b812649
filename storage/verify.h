/*
 * verify.h - the scrub: reads blobs again and holds them to their size and SHA-256; then files that are put together
 * from spans of blobs that were found whole. What is broken is marked (damage.h), what is whole again loses its mark.
 * Not a repair. One at a time is the caller's business: two would only read everything twice.
 */
#ifndef AM_STORAGE_VERIFY_H
#define AM_STORAGE_VERIFY_H

#include "storage/damage.h"
#include "storage/work.h"

#include <stddef.h>

struct am_store;

struct am_verified {
    int64_t blobs, bytes, assembled; /* read */
    int64_t damaged, repaired;       /* broken now; marked before and whole now */
};

/* version 0: all blobs; else those that one version is read from. `found` is called for each broken one, with a
   connection to ask more. 0, -AM_E_CANCELLED, or an error of the store with a sentence in `why`. */
int am_verify(struct am_store *s, int64_t version, const struct am_work *work,
              int (*found)(void *ctx, struct am_db *db, const struct am_damage *d), void *ctx, struct am_verified *ret,
              char *why, size_t why_cap);

#endif
