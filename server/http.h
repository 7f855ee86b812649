/*
 * http.h - one request as a handler sees it, and the listener that makes them. libmicrohttpd stays behind this header,
 * reply.h and content.h. Handlers run on one of http.threads threads and may block. Ownership: an am_req and everything
 * in it lives until the answer has been sent; handlers own what they allocate.
 */
#ifndef AM_SERVER_HTTP_H
#define AM_SERVER_HTTP_H

#include "core/base/buf.h"
#include "core/table/table.h"
#include "server/config.h"
#include "server/engine.h"
#include "storage/store.h"

#include <jansson.h>
#include <stdatomic.h>

struct MHD_Connection;
struct MHD_Daemon;

struct am_server {
    const struct am_config *cfg;
    struct am_store *store;
    struct am_engine *engine;
    struct am_table table;
    char *openapi; /* the document, as text */
    struct MHD_Daemon *mhd;
    char url[256]; /* http://127.0.0.1:8420, as bound */
    int64_t started_at;
    atomic_bool draining;
};

#define AM_ROUTE_ARGS 6

struct am_route;
struct am_req {
    struct am_server *srv;
    struct MHD_Connection *conn;
    const struct am_route *route;
    char *path;               /* raw path, cut into segments in place */
    char *arg[AM_ROUTE_ARGS]; /* decoded values of {…}, in the order of the pattern */
    struct am_buf body;
    json_t *json; /* the body of routes that take JSON; an object */
    char id[40];  /* request id: 32 hex digits */
    bool head;    /* HEAD: same answer, no body */
    bool refused; /* answered at the first call; the rest is ignored */
    bool too_large;
    int64_t deadline; /* monotonic ms */
};

/* A query parameter, percent-decoded, or NULL. The text lives as long as the request. */
const char *am_req_query(struct am_req *r, const char *name);
const char *am_req_header(struct am_req *r, const char *name);
/* The integer query parameter, `def` when absent; false: out of [min, max] or no number, and an answer was queued. */
bool am_req_int(struct am_req *r, const char *name, int64_t min, int64_t max, int64_t def, int64_t *ret,
                int *ret_queued);

/* Binds and starts the threads. 0, or a negative error with a sentence in `why`. */
int am_http_start(struct am_server *s, char *why, size_t why_cap);
void am_http_quiesce(struct am_server *s); /* takes no new connections */
void am_http_stop(struct am_server *s);    /* waits for open requests */

#endif
