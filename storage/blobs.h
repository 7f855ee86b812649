/*
 * blobs.h - immutable files named by their SHA-256 under blobs/ab/, and the way from staging into the store.
 * Publishing: files are already written, hashed and fsynced in staging; here they are checked (regular, inside staging,
 * size), renamed to blobs/ab/<sha256> (mode 0440; an existing name is the same bytes) and the folders are fsynced. The
 * row comes after.
 */
#ifndef AM_STORAGE_BLOBS_H
#define AM_STORAGE_BLOBS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_store;

int am_blob_open(struct am_store *s, const char *sha256); /* read-only descriptor, or negative */
struct am_blob_move {
    const char *staged; /* plain name in the staging folder */
    const char *sha256;
    int64_t bytes;
    bool broken;    /* the store's own is marked as damaged (damage.h): this one takes its place */
    bool was_there; /* set on return: the blob existed */
};
/* All moves, then one fsync of each distinct folder (and of blobs/ when a folder is new). The digests are pinned first,
   for `staging_dir`, and stay so, whatever the result, until am_blobs_unpin(): after the transaction that names them.
 */
int am_blobs_publish(struct am_store *s, int staging_dir, struct am_blob_move *move, size_t n, char *why,
                     size_t why_cap);
void am_blobs_unpin(struct am_store *s, int staging_dir);
/* For the collector: unlinks a blob's file unless it is pinned or named(ctx, sha256) says 1. 1 = removed, 0 = kept or
   not there. The folder is the caller's to sync. */
int am_blob_remove(struct am_store *s, const char *sha256, int (*named)(void *ctx, const char *sha256), void *ctx);
/* The folder of a body while it comes in begins so; its request removes it. */
#define AM_STAGING_UPLOAD "upload."
/* Start-up: removes every folder under staging/. */
int am_staging_clear(struct am_store *s);
/* Creates staging/<name>, returns its directory descriptor. */
int am_staging_make(struct am_store *s, const char *name);
int am_staging_drop(struct am_store *s, const char *name);

#endif
