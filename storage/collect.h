/*
 * collect.h - the collector: removes what nobody names any more. First the files of versions that were deleted and
 * whose grace is over (life.h), then blobs without a span and older than the grace (row first, then the file), files
 * below blobs/ without a row and older than the grace (what a crash between rename and transaction leaves), logs of
 * ended jobs, staging folders of attempts that no longer run. The inputs of a job that has not ended are references
 * too: such a version cannot be deleted, and the spans of its files hold their blobs.
 */
#ifndef AM_STORAGE_COLLECT_H
#define AM_STORAGE_COLLECT_H

#include "storage/work.h"

#include <stddef.h>

struct am_store;

struct am_collect {
    int64_t now, grace_ms, keep_logs_ms;
};

struct am_collected {
    int64_t versions;              /* deleted, and now without files */
    int64_t blobs, blob_bytes;     /* had a row */
    int64_t orphans, orphan_bytes; /* had none */
    int64_t logs, log_bytes, staging;
};

/* 0, -AM_E_CANCELLED, or an error with a sentence in `why`; what was removed until then stays removed. */
int am_collect(struct am_store *s, const struct am_collect *in, const struct am_work *work, struct am_collected *ret,
               char *why, size_t why_cap);

#endif
