/*
 * purge.h - real removal (safetensors.md 5.8): the bytes of deleted versions leave the store now, not after the grace.
 * A blob that only they name is removed. One that others name too is packed anew: what others read from it is copied
 * into a new blob, compared, their spans are moved there in one transaction, and the old blob is removed. Contents,
 * hashes and ids of the others do not change. What cannot be removed is told, never passed over.
 */
#ifndef AM_STORAGE_PURGE_H
#define AM_STORAGE_PURGE_H

#include "storage/work.h"

#include <stddef.h>

struct am_store;
struct am_db;

struct am_purge {
    int64_t model, version; /* version 0: all of the model, which is deleted */
    int64_t now;
    const char *staging; /* name of a folder that this may make and remove */
};

struct am_purge_blob {
    const char *sha256;
    int64_t bytes;
    const char *packed; /* the blob that holds what others read from it; NULL: none */
    int64_t kept;       /* bytes of it that stay in the store, because others read them */
    const char *why;    /* it is still there, and why; NULL: it is removed */
};

struct am_purged {
    int64_t versions;               /* that lost their files now */
    int64_t removed, removed_bytes; /* blobs, and how much shorter all of them are together */
    int64_t packed, packed_bytes;   /* blobs that were packed anew; what others keep of them */
    int64_t shared;                 /* blobs that others read whole: nothing of them is the deleted versions' alone */
    int64_t held;                   /* blobs that are still there though something of them should go */
};

/* 0, -AM_E_CANCELLED, or an error with a sentence in `why`. Each blob is told once, those that are read whole by others
   too (why "shared"). Asked again it goes on where it ended, also when
   the versions have no files any more: it looks again at what had to stay. */
int am_purge(struct am_store *s, const struct am_purge *in, const struct am_work *work,
             int (*blob)(void *ctx, struct am_db *db, const struct am_purge_blob *b), void *ctx, struct am_purged *ret,
             char *why, size_t why_cap);

/* Living readers of a blob that are not of the purge, as "model", "commit"; at most `limit`. */
int am_purge_readers(struct am_db *db, const struct am_purge *in, const char *sha256, int limit,
                     int (*row)(void *ctx, const char *model, const char *commit), void *ctx);

#endif
