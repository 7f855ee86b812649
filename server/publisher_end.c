/*
 * publisher_end.c - see publisher_end.h.
 */
#include "server/publisher_end.h"

#include "server/json.h"
#include "storage/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { WRITER_TRIES = 200, WRITER_PAUSE_MS = 50 };

int am_publisher_write(struct am_store *store, int (*write)(struct am_db *db, void *arg), void *arg)
{
    int rc = -AM_E_QUEUE_FULL;
    for (int i = 0; rc == -AM_E_QUEUE_FULL && i < WRITER_TRIES; i++) {
        if (i)
            uv_sleep(WRITER_PAUSE_MS);
        rc = am_store_write(store, write, arg);
    }
    return rc;
}

int am_publisher_warn(struct am_claim *job, const struct am_result *result)
{
    for (size_t i = 0; i < result->warnings; i++)
        AM_TRY(am_claim_warn(job, result->warning[i].code, result->warning[i].detail));
    if (result->warnings_total > result->warnings) {
        char more[80];
        snprintf(more, sizeof more, "and %zu more warnings", result->warnings_total - result->warnings);
        AM_TRY(am_claim_warn(job, "more-warnings", more));
    }
    return 0;
}

json_t *am_publisher_measured(const struct am_publication *in, int64_t write_bytes)
{
    return json_pack("{s:s?, s:f, s:o, s:o, s:I, s:I}", "kernels", in->kernels, "seconds", in->seconds, "cpu_seconds",
                     am_json_measure(in->done->cpu_seconds), "peak_memory_bytes",
                     am_json_count(in->done->peak_memory_bytes), "read_bytes", (json_int_t)in->read_bytes,
                     "write_bytes", (json_int_t)write_bytes);
}

int am_publisher_finish(struct am_db *db, const char *uid, const struct am_claim *job, int64_t now, json_t *result)
{
    char *text = result ? json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    char *warnings = job ? json_dumps(job->warnings, JSON_COMPACT) : NULL;
    int rc = text && (warnings || !job) ? am_job_finish(db, uid, AM_SUCCEEDED, now, text, NULL, warnings)
                                        : -AM_E_OUT_OF_MEMORY;
    free(text);
    free(warnings);
    json_decref(result);
    return rc;
}
