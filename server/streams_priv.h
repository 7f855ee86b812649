/*
 * streams_priv.h - the inside of the hub. Everything is under its lock, but what a stream's reader alone uses (marked).
 * A connection is suspended under the lock and resumed outside it, by the hub's thread only.
 */
#ifndef AM_SERVER_STREAMS_PRIV_H
#define AM_SERVER_STREAMS_PRIV_H

#include "server/streams.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    RING_ENTRIES = 4096,
    RING_BYTES = 1 << 20,      /* what the hub keeps for all streams together */
    BACKLOG_BYTES = 256 << 10, /* what may wait for one stream before it is reset */
    BEAT_MS = 15000,
    PROGRESS_MS = 500,
    LOG_MS = 250,
    HOLDS_MAX = 512 /* requests that wait at once */
};

struct am_entry { /* one event, rendered; freed with one free() */
    int64_t seq;  /* of one that is not stored: of the last that is */
    bool stored, ends_job;
    unsigned topic;
    size_t bytes;
    const char *type, *subject, *job /* or NULL */, *model /* or NULL */, *json;
};

struct am_stream {
    struct am_streams *hub;
    struct MHD_Connection *conn;
    struct am_stream *prev, *next;
    bool asleep, over; /* over: the job has ended */
    bool is_log;
    char job[64], *model; /* "" and NULL: any */
    unsigned topics;
    bool ndjson;
    bool replaying;   /* reads stored rows; the ring does not count yet */
    bool reset;       /* has lost events, and is to be told */
    uint64_t pos;     /* of the ring: the next one */
    size_t pending;   /* bytes of the ring that wait for it */
    int64_t given_at; /* monotonic, of the last bytes */
    /* the reader's own: */
    int64_t seen; /* newest stored event given or passed over */
    bool greeted, closing;
    struct am_buf out;
    size_t sent; /* of out */
};

struct am_seen { /* the last progress of a slot */
    char uid[64];
    int64_t at;
};

struct am_streams {
    struct am_store *store;
    struct am_engine *engine;
    size_t max;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    atomic_bool watching; /* commits are worth a look */
    atomic_uint suspended;
    bool stop, draining, dirty, idle;
    int64_t seq; /* the newest event in the ring or passed over */
    struct am_entry *ring[RING_ENTRIES];
    uint64_t head, tail; /* next to write; oldest kept */
    size_t bytes;
    struct am_stream *first;
    size_t streams;
    struct am_hold *holds;
    size_t held;
    struct MHD_Connection **due; /* the thread's own: to be resumed */
    size_t dues;
    struct am_seen *slot; /* the thread's own */
    size_t slots;
    int64_t progress_at, log_at; /* monotonic: next look */
};

/* streams.c, under the lock: */
int am_streams_begin(struct am_streams *h); /* somebody comes: watches commits; negative: the database fails */
void am_streams_sleep(struct am_streams *h, struct MHD_Connection *conn);
void am_streams_due(struct am_streams *h, struct MHD_Connection *conn);
/* without it: 0, -AM_E_TOO_MANY_STREAMS, -AM_E_SHUTTING_DOWN, or of the database */
int am_streams_join(struct am_streams *h, struct am_stream *s);
void am_streams_leave(struct am_streams *h, struct am_stream *s);

/* stream_ring.c */
struct am_entry *am_entry_new(const struct am_event_row *e, bool stored); /* NULL: out of memory */
bool am_stream_wants(const struct am_stream *s, const struct am_entry *e);
void am_ring_put(struct am_streams *h, struct am_entry *e); /* under the lock; takes e */
void am_ring_clear(struct am_streams *h);                   /* the same */
/* The hub's thread, without the lock: an entry for a slot that has got further, or NULL; false: there is no slot i. */
bool am_progress_entry(struct am_streams *h, size_t i, struct am_entry **ret);

/* stream_read.c: says why am_streams_join() refused. */
int am_stream_refuse(struct am_req *r, int rc);

/* hold.c, under the lock */
void am_holds_see(struct am_streams *h, const struct am_entry *e);
int64_t am_holds_expire(struct am_streams *h, int64_t now); /* returns when the next one's time is over */

#endif
