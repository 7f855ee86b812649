/*
 * streams.h - the hub between what happens and those who wait for it: event streams, followed logs, and requests with
 * Prefer: wait. One thread reads new event rows after each commit (and the progress of running jobs twice a second),
 * renders each once, and wakes the connections that it concerns. Those sleep in libmicrohttpd meanwhile: nobody has a
 * thread of its own. Without clients it does nothing.
 * Not the queueing of events (storage/events.h) and not the routes (api/events.c, api/job_log.c).
 * Ownership: am_streams_new() gives an object for am_streams_stop() (before the store closes) and am_streams_free()
 * (after it).
 */
#ifndef AM_SERVER_STREAMS_H
#define AM_SERVER_STREAMS_H

#include "server/http.h"
#include "storage/events.h"

struct am_streams;

struct am_streams *am_streams_new(struct am_store *store, struct am_engine *engine, size_t max);
void am_streams_drain(struct am_streams *h);         /* every stream ends and every wait answers; no new ones */
unsigned am_streams_open(struct am_streams *h);      /* event streams and followed logs */
unsigned am_streams_suspended(struct am_streams *h); /* connections asleep: none may be when the listener stops */
void am_streams_stop(struct am_streams *h);
void am_streams_free(struct am_streams *h);

struct am_stream_new {
    const char *job, *model; /* NULL: any */
    unsigned topics;
    bool ndjson;   /* lines instead of server-sent events */
    bool over;     /* the job has ended: end after what is stored */
    int64_t after; /* what is stored beyond comes first; -1: from now on */
};
/* Answers with a stream, or with a problem when there are too many. */
int am_stream_reply(struct am_req *r, const struct am_stream_new *n);

/* The log of a job as it grows, from `offset` of that attempt's file; `fixed`: not on to later attempts. */
int am_stream_log(struct am_req *r, const char *uid, int attempt, bool fixed, int64_t offset);

#endif
