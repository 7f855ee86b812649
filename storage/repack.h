/*
 * repack.h - packs one blob anew for a purge (purge.h): what others than the purged versions read of it goes into a
 * blob of its own. Private to storage/.
 */
#ifndef AM_STORAGE_REPACK_H
#define AM_STORAGE_REPACK_H

#include "storage/db.h"
#include "storage/purge.h"
#include "storage/store_priv.h"

/* True of a version `v` that the purge is about: ?2 its model, ?3 its id or 0. */
#define AM_SQL_PURGED                                                                                                  \
    "(v.model = ?2 AND ?3 IN (0, v.id) AND (v.deleted_at IS NOT NULL OR EXISTS (SELECT 1 FROM model WHERE id = ?2"     \
    " AND deleted_at IS NOT NULL)))"

struct am_repacked {
    int64_t kept; /* bytes that others read; 0: nobody */
    bool whole;   /* others read all of it: nothing was done */
    bool packed;  /* their spans are on `blob` now */
    char blob[65];
};

/* 0; -AM_E_VERSION_IN_USE: a job that has not ended names one of its readers; -AM_E_CONFLICT: its readers changed
   meanwhile; or another error. Nothing is changed then. */
int am_repack(struct am_store *s, struct am_db *db, const struct am_purge *in, const char *sha256, int64_t bytes,
              const struct am_work *work, struct am_repacked *ret, char *why, size_t why_cap);

#endif
