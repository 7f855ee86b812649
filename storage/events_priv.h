/*
 * events_priv.h - the events that the moves of jobs and refs write. Nobody outside storage/ includes it.
 */
#ifndef AM_STORAGE_EVENTS_PRIV_H
#define AM_STORAGE_EVENTS_PRIV_H

#include "storage/db.h"
#include "storage/events.h"

/* A job's row as it is after a move. type: "job.running"; of a task's row it becomes "task.started". by, reason (a JSON
   object) may be NULL. */
/* The first of a new job: job.queued. */
int am_event_first(struct am_db *db, int64_t job, int64_t at);
int am_event_move(struct am_db *db, int64_t job, int64_t at, const char *type, const char *by, const char *reason);

/* Of something that is made, never changes, and may be deleted. The only row of `st`: subject, model, data, and the job
   that made it. -AM_E_NOT_FOUND: there is no row. */
int am_event_once(struct am_db *db, sqlite3_stmt *st, const char *type, int64_t at);

struct am_life_event {
    int64_t at, model, version; /* model counts when version is 0 */
    const char *type, *by, *reason /* NULL: not known */, *more /* JSON object for its data, or NULL */;
};
/* With the revision that its row has now. */
int am_event_life(struct am_db *db, const struct am_life_event *e);

#endif
