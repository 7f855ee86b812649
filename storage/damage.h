/*
 * damage.h - marks on what a verify found broken: a blob, or a file put together from spans whose blobs are whole.
 * Marks say what a job or a download would get before it gets it; they change nothing on disk and a verify that finds
 * the bytes whole again takes them away.
 */
#ifndef AM_STORAGE_DAMAGE_H
#define AM_STORAGE_DAMAGE_H

#include "core/base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

struct am_damage {
    const char *sha256; /* of the blob, or of the assembled file's content */
    bool assembled;
    const char *reason; /* missing, size, sha256, unreadable; NULL: whole */
};

/* On the writer. 1 = the mark changed (*ret_was: there was one before), 0 = it was so already, -AM_E_NOT_FOUND: no such
   blob (any more). */
int am_damage_mark(struct am_db *db, const struct am_damage *d, int64_t now, bool *ret_was);
/* 1 = the blob is marked, 0 = it is not, or is not known. */
int am_damage_of_blob(struct am_db *db, const char *sha256);
/* The versions that cannot be read whole, oldest first; at most `limit` are named, all are counted. */
int am_damage_versions(struct am_db *db, const struct am_damage *d, int limit,
                       int (*row)(void *ctx, const char *model, const char *commit), void *ctx, int64_t *ret_total);
/* 0 when nothing behind the version is marked; else one fault store-damaged at `where` and its negative code. */
int am_damage_check(struct am_db *db, int64_t version, struct am_where where, const char *label,
                    struct am_faults *faults);
/* The same for one file's layout: 0, or -AM_E_STORE_DAMAGED and a sentence. */
int am_damage_of_layout(struct am_db *db, int64_t layout, char *why, size_t why_cap);

#endif
