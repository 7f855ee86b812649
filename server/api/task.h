/*
 * task.h - what routes that queue a task share: those that answer with the task (admin.c), and those that wait for it
 * and answer with what it made (task_made.c), out of an upload (task_upload.c) or something else.
 */
#ifndef AM_SERVER_API_TASK_H
#define AM_SERVER_API_TASK_H

#include "server/api/idempotency.h"

struct am_task_kept {
    const struct am_idem *idem;
    json_t *answer; /* of a request with a key; the caller's */
};
/* `also` of am_task_queue(): the request sent again gets the same task. */
int am_task_keep(struct am_db *db, const char *uid, void *kept /* struct am_task_kept */);

/* Queues a task with these members of its recipe (stolen) and answers 202. */
int am_task_reply(struct am_req *r, const struct am_idem *idem, const char *kind, json_t *more);

/* Queues the task of a request; *ret_queued: why not, with a negative result. */
typedef int am_task_begin(struct am_req *r, const struct am_idem *idem, char uid[64], int *ret_queued);
/* 201 with what a task that succeeded has made. */
typedef int am_task_answer(struct am_req *r, struct am_db *db, const json_t *job);

/* Whether store.min_free would stay free; else an answer was queued. */
bool am_task_has_room(struct am_req *r, int *ret_queued);
struct am_task_upload { /* a task that works on the body of its request (task_upload.c) */
    const char *kind;
    json_t *more;      /* of its recipe, beside what says which blob the upload is; stolen */
    const char *owner; /* who holds the blob: the uid of what is to be made of it */
    int (*hold)(struct am_db *db, const char *owner, const struct am_upload *u, int64_t now);
    int empty; /* code, place and text of the fault when there is no byte of it */
    const char *empty_pointer, *empty_text;
};
/* Stores the upload and queues its task, with the results of an am_task_begin. From the moment that the task is in the
   queue a crash loses nothing; before, nothing is left of it. */
int am_task_upload(struct am_req *r, const struct am_idem *idem, const struct am_task_upload *t, char uid[64],
                   int *ret_queued);
/* Begins the task, or finds the one of a request that was answered before, and waits for it. The last call of a
 * handler. */
int am_task_make(struct am_req *r, am_task_begin *begin, am_after_wait *then);
/* What `then` does: the task as long as it goes on, what it made, or why it made nothing. */
int am_task_made(struct am_req *r, const char *uid, bool ended, am_task_answer *made);

#endif
