/*
 * events.h - what happened, as numbered rows that are written in the transaction of the change itself: jobs.h writes
 * those of a job's moves, models.h those of models and refs; who changes something else calls am_event_put().
 * Not the delivery (server/streams.h) and no audit: old rows go.
 */
#ifndef AM_STORAGE_EVENTS_H
#define AM_STORAGE_EVENTS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct am_db;

enum { /* as bits */
       AM_TOPIC_JOBS = 1,
       AM_TOPIC_MODELS = 2,
       AM_TOPIC_REPORTS = 4,
       AM_TOPIC_DATASETS = 8,
       AM_TOPIC_QUEUE = 16,
       AM_TOPIC_TASKS = 32,
       AM_TOPICS = 63
};
unsigned am_topic_parse(const char *name); /* 0: no topic */
/* The topic of a type by its first word ("model.created": models); NULL: none. */
const char *am_topic_of(const char *type);
/* Whether a job or task has ended with an event of this type. */
bool am_event_ends_job(const char *type);

struct am_event_new {
    int64_t at;          /* ms since 1970 */
    const char *type;    /* "model.deleted" */
    const char *job;     /* uid of the job that did it, whose list it joins; NULL: none */
    const char *subject; /* what changed, e.g. "ns/name", "ns/name@ref"; NULL: the job */
    const char *model;   /* "ns/name" that it is about, or NULL */
    int64_t revision;    /* of the subject after the change; 0: it has none */
    const char *data;    /* JSON object; NULL: {} */
};
/* On the writer. -AM_E_NOT_FOUND: neither subject nor a known job; -AM_E_INVALID_REQUEST: a type without topic. */
int am_event_put(struct am_db *db, const struct am_event_new *e);

struct am_event_row {
    int64_t seq, at, job_seq, revision; /* 0: none */
    const char *topic, *type, *job /* uid or NULL */, *subject, *model /* or NULL */, *data;
};
struct am_event_query {
    int64_t after;
    const char *job, *model; /* NULL: any */
    unsigned topics;         /* 0: any */
    int limit;
};
/* Oldest first. -AM_E_NOT_FOUND: no such job. */
int am_event_list(struct am_db *db, const struct am_event_query *q, int (*row)(void *, const struct am_event_row *),
                  void *ctx);
/* *ret_last: the newest number given; *ret_pruned: the newest whose row is gone. 0: none. */
int am_event_bounds(struct am_db *db, int64_t *ret_last, int64_t *ret_pruned);
/* On the writer: removes at most `max` of the oldest that are older than `before`. Returns how many. */
int am_event_prune(struct am_db *db, int64_t before, int max);

#endif
