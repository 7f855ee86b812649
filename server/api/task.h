/*
 * task.h - what routes that queue a task share (admin.c).
 */
#ifndef AM_SERVER_API_TASK_H
#define AM_SERVER_API_TASK_H

#include "server/api/idempotency.h"

/* Answers a request that was answered before, or lets `fresh` answer it. */
int am_task_once(struct am_req *r, int (*fresh)(struct am_req *r, const struct am_idem *idem));
/* Queues a task with these members of its recipe (stolen) and answers 202. */
int am_task_reply(struct am_req *r, const struct am_idem *idem, const char *kind, json_t *more);

#endif
