/*
 * tasks_parts.h - a task while it runs, and the kinds of them: what tasks.c, tasks_care.c and tasks_versions.c share.
 * Private to them.
 */
#ifndef AM_SERVER_TASKS_PARTS_H
#define AM_SERVER_TASKS_PARTS_H

#include "server/tasks.h"

enum { AM_TASK_VERSIONS_MAX = 20, AM_TASK_TOLD_MAX = 100 }; /* in the lists of a result; the totals count all */

struct am_task {
    struct am_store *store;
    const struct am_config *cfg;
    struct am_claim *job;
    const struct am_work *work;
    json_t *damaged;
    char *why;
    size_t why_cap;
};

/* Each does all of a task. 0 and its result, a new reference; or a negative error, with a sentence in `why` if the
   error says too little. */
int am_task_gc(struct am_task *t, json_t **ret);
int am_task_verify(struct am_task *t, json_t **ret);
int am_task_scrub(struct am_task *t, json_t **ret);
int am_task_backup(struct am_task *t, json_t **ret);
int am_task_check(struct am_task *t, json_t **ret);
int am_task_export(struct am_task *t, json_t **ret);
int am_task_retention(struct am_task *t, json_t **ret);
int am_task_purge(struct am_task *t, json_t **ret);

/* Appends "model@commit" to the list `ctx`. */
int am_task_add_version(void *ctx, const char *model, const char *commit);

#endif
