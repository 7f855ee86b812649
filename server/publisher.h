/*
 * publisher.h - from a finished worker to a version: check, move into the store, one transaction (engineering.md 9.1).
 * Runs on a pool thread: it syncs folders and waits for the writer.
 * Not the end of failed jobs (engine_end.h is).
 */
#ifndef AM_SERVER_PUBLISHER_H
#define AM_SERVER_PUBLISHER_H

#include "core/base/fault.h"
#include "server/engine_claim.h"
#include "server/records.h"
#include "storage/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_publication {
    struct am_store *store;
    struct am_claim *job; /* warnings of the result are added to its own */
    int staging;
    int64_t unreferenced_days; /* retention: when a result that nothing names expires */
    bool verify;               /* hash again what the worker wrote (publish.verify=full) */
    const struct am_record_done *done;
    const char *kernels; /* the set that the worker computed with */
    double seconds;      /* from start to exit of the worker */
    uint64_t read_bytes;
    atomic_uint_least64_t *written; /* counts the bytes that were moved into the store */
    struct am_faults *faults;       /* what is wrong in single places of an upload goes here; NULL: nowhere */
    int64_t reuse;                  /* the version whose files are the result; 0: staging holds it */
    const char *reused_from;
};

/* On the writer, of a queued or running job: gives it the files of `version`, which the job `reused_from` made, and
   ends it as succeeded. When the branch stands at that version it is the result itself, else a new version with the
   same files is. Negative: the caller's transaction is to be rolled back; a sentence may be in `why`. */
int am_publish_reused(struct am_db *db, const char *uid, const char *reused_from, int64_t version, char *why,
                      size_t why_cap);

/* 0: the version, its refs and the job's end are committed. Else nothing is, but files that nothing names yet may lie
   in blobs/; a negative error with a sentence in `why`. */
int am_publish(const struct am_publication *p, char *why, size_t why_cap);

#endif
