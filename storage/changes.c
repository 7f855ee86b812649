/*
 * changes.c - what people may change of a job afterwards, and the search for jobs that did the same. Moves between
 * states are queue.c.
 */
#include "storage/events.h"
#include "storage/jobs_priv.h"

#include "core/base/text.h"

#define MINUTE_MS 60000

static int note(struct am_db *db, const char *uid, int64_t rev, const struct am_job_change *c)
{
    AM_STMT st = am_db_bind(
        db,
        "SELECT json_patch('{}', json_object('by', ?1, 'priority', iif(?2 < 0, NULL, ?2), 'metadata', json(?3),"
        " 'archived', iif(?4 < 0, NULL, json(iif(?4, 'true', 'false')))))",
        "titi", c->by, (int64_t)c->priority, c->metadata, (int64_t)c->archived);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(
        db, &(struct am_event_new){
                .at = c->now, .type = "job.changed", .job = uid, .revision = rev, .data = am_col_text(st, 0)});
}

int am_job_change(struct am_db *db, const char *uid, int64_t rev, const struct am_job_change *c)
{
    struct am_job_now j;
    AM_TRY(am_job_look(db, uid, &j));
    if ((c->priority >= 0 || c->metadata) && j.state != AM_QUEUED)
        return -AM_E_CONFLICT;
    if (c->archived >= 0 && !am_state_terminal(j.state))
        return -AM_E_CONFLICT;
    /* since when it waits is rank less what its priority weighed */
    AM_TRY(am_db_exec(db,
                      "UPDATE job SET rev = rev + 1, rank = rank + iif(?3 < 0, 0, (?3 - priority) * ?4),"
                      " priority = iif(?3 < 0, priority, ?3), metadata = ifnull(?5, metadata),"
                      " archived = iif(?6 < 0, archived, ?6) WHERE id = ?1 AND rev = ?2",
                      "iiiiti", j.id, rev, (int64_t)c->priority, c->ageing_ms > 0 ? c->ageing_ms : (int64_t)MINUTE_MS,
                      c->metadata, (int64_t)c->archived));
    if (am_db_changes(db) != 1)
        return -AM_E_PRECONDITION_FAILED;
    return note(db, uid, rev + 1, c);
}

int am_job_same(struct am_db *db, const char *spec_sha256, const char *model, int limit,
                int (*row)(void *, const struct am_job_row *), void *ctx)
{
    unsigned char sha[32];
    AM_TRY(am_unhex(spec_sha256, sizeof sha, sha));
    AM_STMT st = am_db_bind(db,
                            AM_JOB_COLUMNS " INDEXED BY job_spec WHERE spec_sha256 = ?1 AND state = 'succeeded'"
                                           " AND (?2 IS NULL OR publish_model = ?2) ORDER BY id DESC LIMIT ?3",
                            "bti", sha, sizeof sha, model, (int64_t)limit);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        struct am_job_row j;
        am_job_fill(st, &j);
        if ((rc = row(ctx, &j)) != 0)
            return rc;
    }
    return rc;
}
