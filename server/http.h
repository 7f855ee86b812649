/*
 * http.h - one request as a handler sees it, and the listener that makes them. libmicrohttpd stays behind this header
 * and reply.h. Handlers run on one of http.threads threads and may block. Ownership: an am_req and everything in it
 * lives until the answer has been sent; handlers own what they allocate.
 */
#ifndef AM_SERVER_HTTP_H
#define AM_SERVER_HTTP_H

#include "core/base/buf.h"
#include "core/table/table.h"
#include "server/cache.h"
#include "server/config.h"
#include "server/engine.h"
#include "server/metrics.h"
#include "server/openapi.h"
#include "server/trace.h"
#include "storage/store.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

struct MHD_Connection;
struct MHD_Daemon;
struct am_idem;
struct am_streams;
struct am_upload;

/* Requests with an Idempotency-Key that are at work now: one a thread at most (api/idempotency.c). */
struct am_flight {
    pthread_mutex_t lock;
    struct am_idem *first;
};

struct am_server {
    const struct am_config *cfg;
    struct am_store *store;
    struct am_engine *engine;
    struct am_table table;
    struct am_openapi_kept openapi;
    struct MHD_Daemon *mhd;
    struct am_cache *cache;
    struct am_streams *streams;
    char url[256];    /* http://127.0.0.1:8420, as bound */
    char kernels[16]; /* the set that workers compute with */
    char
        blas[96]; /* the library under methods of whole matrices: "OpenBLAS 0.3.21 Haswell"; empty: none is installed */
    int64_t started_at;
    struct am_flight flight;
    atomic_bool draining;
    atomic_uint open; /* requests being answered */
    struct am_http_metrics metrics;
};

#define AM_ROUTE_ARGS 6

struct am_route;
struct am_req;

/* Answers a request that has waited; over: what it waited for has come. */
typedef int am_after_wait(struct am_req *r, const char *subject, bool over);
struct am_hold {         /* hold.c's own */
    am_after_wait *then; /* NULL: nothing is waited for */
    struct MHD_Connection *conn;
    char subject[520];
    int64_t until; /* monotonic ms */
    bool for_end, over, asleep, linked;
    struct am_hold *prev, *next;
};

struct am_req {
    struct am_server *srv;
    struct MHD_Connection *conn;
    const struct am_route *route;
    char *path;               /* raw path, cut into segments in place */
    char *arg[AM_ROUTE_ARGS]; /* decoded values of {…}, in the order of the pattern */
    struct am_buf body;
    json_t *json;             /* the body of routes that take JSON; an object */
    bool yaml;                /* AM_BODY_YAML, and it is: the handler makes `json` of it */
    struct am_upload *upload; /* that of routes that take lines (upload.h) */
    char id[40];              /* request id: 32 hex digits */
    bool head;                /* HEAD: same answer, no body */
    bool replayed;            /* the answer is one that was given before */
    bool waited;              /* for something, as far as it could */
    int preferred;            /* the n of Prefer: wait=n that was honoured; 0: none */
    bool refused;             /* answered at the first call; the rest is ignored */
    bool too_large;
    const char *keep;            /* AM_CACHED: the path under which the answer may be kept, ... */
    struct am_stamp stamp;       /* ... if this is still the stamp after reading; NULL: it may not */
    size_t skipped;              /* bytes of a body that is too large */
    int64_t deadline;            /* monotonic ms */
    int64_t began;               /* monotonic us */
    int status;                  /* of the answer; 0: none was queued */
    char trace[AM_TRACE_PARENT]; /* traceparent, empty when none was sent */
    char failure[200];           /* of an answer of 500 and above: its detail */
    struct am_hold hold;
};

/* A query parameter, percent-decoded, or NULL. The text lives as long as the request. */
const char *am_req_query(struct am_req *r, const char *name);
/* Every query parameter, name and value percent-decoded; a negative return ends the walk. */
void am_req_query_each(struct am_req *r, int (*each)(void *ctx, const char *name, const char *value), void *ctx);
const char *am_req_header(struct am_req *r, const char *name);
/* The integer query parameter, `def` when absent; false: out of [min, max] or no number, and an answer was queued. */
bool am_req_int(struct am_req *r, const char *name, int64_t min, int64_t max, int64_t def, int64_t *ret,
                int *ret_queued);

/* ?name=true or false, false when absent; false: neither, and an answer was queued. */
bool am_req_flag(struct am_req *r, const char *name, bool *ret, int *ret_queued);
/* The time that Prefer: wait=n asks for, at most a minute; `def_ms` when it asks for nothing; 0 for respond-async. The
   answer will say Preference-Applied. */
int64_t am_req_prefer_ms(struct am_req *r, int64_t def_ms);

struct am_wait {
    const char *subject; /* of the events that end it: a job's uid, "ns/name@ref", ... */
    int64_t ms;          /* at most */
    bool for_end;        /* the subject is a job, and only its end counts */
    int64_t revision;    /* what the caller has seen, for over() */
    /* Looked at once, after the wait has begun to listen: has it come already? */
    bool (*over)(struct am_db *db, const struct am_wait *w);
};
/*
 * Waits, then `then` answers. The connection sleeps meanwhile, so the HTTP thread is free for others. When hundreds
 * wait already, and while the service stops, `then` is called right away. The last call of a handler: it returns what
 * this returns.
 */
int am_req_wait(struct am_req *r, const struct am_wait *w, am_after_wait *then);
int am_req_wait_job(struct am_req *r, const char *uid, int64_t ms, am_after_wait *then); /* for its end */
int am_req_wait_ref(struct am_req *r, const char *model, const char *ref, int64_t revision, int64_t ms,
                    am_after_wait *then); /* until its revision is another */
int am_hold_answer(struct am_req *r);     /* for http.c: after the sleep */
void am_hold_done(struct am_req *r);      /* for http.c: it is gone */

/* Binds and starts the threads. 0, or a negative error with a sentence in `why`. */
int am_http_start(struct am_server *s, char *why, size_t why_cap);
void am_http_stop(struct am_server *s); /* waits a little for open requests, then closes */

#endif
