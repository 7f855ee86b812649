/*
 * tasks.h - the store's own work as rows of the queue: gc, verify, scrub, backup, check, retention, purge, export. A
 * job of type "task" whose method is the kind; it runs inside the daemon, on a pool thread, and has state, progress,
 * cancel and result like any other job. (The tasks "import", "pack" and "index" have a worker: launch.h.) One of each
 * kind runs at a time (storage/queue.c).
 */
#ifndef AM_SERVER_TASKS_H
#define AM_SERVER_TASKS_H

#include "server/config.h"
#include "server/engine_claim.h"
#include "storage/store.h"
#include "storage/work.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

bool am_task_known(const char *kind);        /* one of ours */
bool am_task_may_be_asked(const char *kind); /* by POST /v1/admin/tasks; the others have a route of their own */
extern const char am_task_kinds[];           /* "gc, verify, scrub, backup, check or retention", for sentences */

struct am_task_new {
    const char *kind;               /* one of ours, or of those with a worker */
    json_t *more;                   /* members of the recipe beside type and method; stolen */
    const char *publish, *metadata; /* JSON; NULL: {} */
    bool again;                     /* tried as often as a job (jobs.max_attempts), not once */
    int (*also)(struct am_db *db, const char *uid, void *arg); /* NULL: nothing; its error takes the row back */
    void *arg;
};
/* Makes the row, and what `also` does in the same transaction. uid has room for 64. */
int am_task_queue(struct am_store *store, const struct am_config *cfg, const struct am_task_new *t, char *ret_uid);

#define AM_BACKUP_PREFIX "scheduled-" /* of files that rotate; those that people ask for are theirs */
/* <prefix><time>.db in database.backup_dir; data_dir/backup, which is made, when that is not set. */
int am_task_backup_name(struct am_store *store, const struct am_config *cfg, const char *prefix, int64_t now, char *ret,
                        size_t cap);

/* Runs a claimed one to its end; its recipe is parsed. What deserves a warning is added to the job. 0 and the result
   (new reference), -AM_E_CANCELLED, or a negative error with a sentence. */
int am_task_run(struct am_store *store, const struct am_config *cfg, struct am_claim *job, const struct am_work *work,
                json_t **ret_result, char *why, size_t why_cap);
/* The row to succeeded, or to cancelled when that was asked meanwhile. */
int am_task_finish(struct am_store *store, struct am_claim *job, const json_t *result);

#endif
