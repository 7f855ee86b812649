/*
 * http.c - the listener and the life of a request in libmicrohttpd's callback (engineering.md 6.4): the first call sees
 * headers only and refuses cheaply; body calls collect; the last call answers. One closure a request, freed in the
 * completed callback.
 */
#include "server/http.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/guard.h"
#include "server/log.h"
#include "server/reply.h"
#include "server/routes.h"
#include "server/streams.h"
#include "server/upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* The library touches all of it for every request: 500 idle connections are 16 MiB. Bodies are small here. */
#define CONNECTION_BYTES ((size_t)32 << 10)
#define SKIP_BYTES ((size_t)16 << 20)
#define STOP_MS 2000 /* for open requests */
#define STOP_STREAMS_MS 300
#define FORM "application/x-www-form-urlencoded"
#define YAML "application/yaml"
#define SLOW_US 2000000

const char *am_req_header(struct am_req *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

struct walk {
    int (*each)(void *ctx, const char *name, const char *value);
    void *ctx;
};

static enum MHD_Result give_one(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct walk *w = arg;
    (void)kind;
    return w->each(w->ctx, name, value ? value : "") < 0 ? MHD_NO : MHD_YES;
}

void am_req_query_each(struct am_req *r, int (*each)(void *ctx, const char *name, const char *value), void *ctx)
{
    struct walk w = {.each = each, .ctx = ctx};
    MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, give_one, &w);
}

struct lookup {
    const char *name, *value;
};

static enum MHD_Result take_first(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct lookup *l = arg;
    (void)kind;
    if (!am_streq(name, l->name))
        return MHD_YES;
    l->value = value;
    return MHD_NO; /* enough */
}

/* Not by the library's look-up, which keeps the lengths that names had with their escapes. */
const char *am_req_query(struct am_req *r, const char *name)
{
    struct lookup l = {.name = name};
    MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, take_first, &l);
    return l.value;
}

bool am_req_int(struct am_req *r, const char *name, int64_t min, int64_t max, int64_t def, int64_t *ret,
                int *ret_queued)
{
    const char *text = am_req_query(r, name);
    uint64_t v = 0;
    *ret = def;
    if (!text)
        return true;
    if (am_parse_u64(text, &v) < 0 || v > (uint64_t)max || (int64_t)v < min) {
        char pointer[64];
        snprintf(pointer, sizeof pointer, "?%s", name);
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, pointer, "%s must be a whole number from %lld to %lld",
                                     name, (long long)min, (long long)max);
        return false;
    }
    *ret = (int64_t)v;
    return true;
}

bool am_req_flag(struct am_req *r, const char *name, bool *ret, int *ret_queued)
{
    const char *text = am_req_query(r, name);
    char pointer[64];
    *ret = am_streq(text, "true");
    if (!text || *ret || am_streq(text, "false"))
        return true;
    snprintf(pointer, sizeof pointer, "?%s", name);
    *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, pointer, "%s must be true or false", name);
    return false;
}

struct query_check {
    const char *known;
    bool refused, hub;
    char bad[64];
};

static bool in_words(const char *words, const char *name)
{
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (strlen(name) == n && strncmp(p, name, n) == 0)
            return true;
        if (n > 2 && p[n - 1] == '*' && strncmp(p, name, n - 1) == 0 && name[n - 1]) /* "label.*" */
            return true;
        p += n;
    }
    return false;
}

/* Names and values come undecoded (our unescape callback is the identity); decoded here once, in place. */
static enum MHD_Result check_query(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct query_check *c = arg;
    (void)kind;
    if (am_url_decode((char *)(uintptr_t)name) < 0 || (!c->hub && !in_words(c->known, name)) ||
        (value && am_url_decode((char *)(uintptr_t)value) < 0)) {
        c->refused = true;
        snprintf(c->bad, sizeof c->bad, "%s", name);
        return MHD_NO;
    }
    return MHD_YES;
}

static int refuse_query(struct am_req *r, const struct query_check *c)
{
    char known[1024];
    const char *names[48];
    size_t n = 0;
    snprintf(known, sizeof known, "%s", c->known);
    for (char *p = known; *p && n < 48;) {
        names[n++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = 0;
    }
    const char *near = am_nearest(c->bad, names, n);
    char pointer[80];
    snprintf(pointer, sizeof pointer, "?%s", c->bad);
    if (near)
        return am_reply_fault(r, AM_E_UNKNOWN_MEMBER, pointer, "unknown query parameter %s; did you mean %s?", c->bad,
                              near);
    return am_reply_fault(r, AM_E_UNKNOWN_MEMBER, pointer,
                          "unknown or malformed query parameter %s; this route takes: %s", c->bad,
                          n ? c->known : "none");
}

/* A writing route with a body takes application/json and nothing else. */
static int check_body_headers(struct am_req *r, const char *method, int *ret_queued)
{
    const char *length = am_req_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *chunked = am_req_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    const char *type = am_req_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    uint64_t n = 0;
    if (length && am_parse_u64(length, &n) < 0)
        n = UINT64_MAX;
    bool writes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    if (r->route->body & AM_BODY_LINES)
        return am_upload_check(r, n, ret_queued);
    if (writes && (n > 0 || chunked || r->route->body & AM_BODY_JSON)) {
        size_t k = type ? strcspn(type, "; ") : 0;
        bool form = r->route->body & AM_BODY_FORM && k == strlen(FORM) && strncasecmp(type, FORM, k) == 0;
        r->yaml = r->route->body & AM_BODY_YAML && k == strlen(YAML) && strncasecmp(type, YAML, k) == 0;
        if (!form && !r->yaml && (k != strlen("application/json") || strncasecmp(type, "application/json", k) != 0)) {
            *ret_queued = am_reply_problem(r, AM_E_MEDIA_TYPE,
                                           "this route takes JSON; add -H 'Content-Type: application/json' (got %.80s)",
                                           type ? type : "no Content-Type");
            return -AM_E_MEDIA_TYPE;
        }
    }
    if (n > r->srv->cfg->body_bytes) {
        *ret_queued =
            am_reply_problem(r, AM_E_TOO_LARGE, "the body has %llu bytes; the limit is %llu (limits.body_bytes)",
                             (unsigned long long)n, (unsigned long long)r->srv->cfg->body_bytes);
        return -AM_E_TOO_LARGE;
    }
    return 0;
}

static enum MHD_Result first_call(struct am_req *r, const char *method, const char *path)
{
    bool writes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
    int queued = MHD_NO;
    char allow[64] = "";
    if (am_guard(r, writes, &queued) < 0)
        goto refused;
    int rc = am_route_find(r, method, path, allow, sizeof allow);
    if (rc == 0 && r->route->body & AM_HUB && !am_streq(r->srv->cfg->hub_enabled, "true"))
        rc = -AM_E_NOT_FOUND;
    else if (rc == -AM_E_NOT_FOUND && am_streq(r->srv->cfg->hub_enabled, "true") &&
             am_api_hub_missing(r, path, &queued))
        goto refused;
    if (rc == -AM_E_METHOD_NOT_ALLOWED) {
        const char *headers[] = {MHD_HTTP_HEADER_ALLOW, allow, NULL};
        if (strcmp(method, "OPTIONS") == 0)
            queued = am_reply_queue(r, MHD_HTTP_NO_CONTENT,
                                    MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
        else
            queued = am_reply_problem_full(r, AM_E_METHOD_NOT_ALLOWED,
                                           "this path does not take that method; see the Allow header", NULL, headers);
        goto refused;
    }
    if (rc < 0) {
        queued =
            rc == -AM_E_NOT_FOUND
                ? am_reply_problem(r, AM_E_NOT_FOUND,
                                   "no route %.200s; GET /v1 lists the entry points, GET /v1/openapi.json all", path)
                : am_reply_problem(r, -rc, "the path cannot be decoded: bad percent-encoding, NUL, or not UTF-8");
        goto refused;
    }
    struct query_check c = {.known = r->route->query, .hub = r->route->body & AM_HUB};
    MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, check_query, &c);
    if (c.refused) {
        queued = refuse_query(r, &c);
        goto refused;
    }
    if (check_body_headers(r, method, &queued) < 0)
        goto refused;
    if (r->route->body & AM_BODY_LINES && (rc = am_upload_begin(r)) < 0) {
        queued = am_reply_error(r, rc, "the upload cannot be taken: there is no place for it in the staging folder");
        goto refused;
    }
    return MHD_YES;
refused:
    r->refused = true;
    return (enum MHD_Result)queued;
}

static enum MHD_Result parse_body_and_answer(struct am_req *r, const char *path)
{
    if (r->too_large)
        return (enum MHD_Result)am_reply_problem(r, AM_E_TOO_LARGE,
                                                 "the body is larger than %llu bytes (limits.body_bytes)",
                                                 (unsigned long long)r->srv->cfg->body_bytes);
    if ((r->route->body & AM_BODY_JSON && !r->yaml) || (r->route->body & AM_BODY_MAYBE && r->body.len > 0)) {
        json_error_t e;
        r->json = json_loadb(r->body.data ? r->body.data : "", r->body.len, JSON_REJECT_DUPLICATES, &e);
        if (!r->json)
            return (enum MHD_Result)am_reply_fault(
                r, AM_E_INVALID_REQUEST, "#", "the body is not JSON: line %d, column %d: %s", e.line, e.column, e.text);
        if (!json_is_object(r->json))
            return (enum MHD_Result)am_reply_fault(r, AM_E_INVALID_REQUEST, "#", "the body must be a JSON object");
    }
    if (atomic_load(&r->srv->draining) && strcmp(r->route->method, "GET") != 0)
        return (enum MHD_Result)am_reply_problem(r, AM_E_SHUTTING_DOWN,
                                                 "the service is stopping; try again in a few seconds");
    int queued = MHD_NO;
    if (r->upload && !am_upload_end(r, &queued))
        return (enum MHD_Result)queued;
    if (r->route->body & AM_CACHED && am_reply_again(r, path, &queued))
        return (enum MHD_Result)queued;
    return (enum MHD_Result)r->route->handler(r);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_n, void **con_cls)
{
    struct am_req *r = *con_cls;
    (void)version;
    if (!r) {
        struct am_server *s = cls;
        char id[64];
        r = calloc(1, sizeof *r);
        if (!r)
            return MHD_NO;
        *con_cls = r;
        atomic_fetch_add(&s->open, 1);
        r->srv = s;
        r->conn = conn;
        r->head = strcmp(method, "HEAD") == 0;
        am_id_new("", am_now_ms(), id);
        memcpy(r->id, id, 33);
        am_trace_parse(am_req_header(r, "traceparent"), r->trace);
        am_buf_init(&r->body, s->cfg->body_bytes);
        r->began = am_mono_us();
        r->deadline = am_mono_ms() + (int64_t)s->cfg->request_seconds * 1000;
        return first_call(r, method, url);
    }
    if (*upload_n > 0) {
        if (am_mono_ms() > r->deadline)
            return MHD_NO;
        if (r->upload && !r->refused)
            am_upload_put(r, upload, *upload_n);
        else if (!r->refused && !r->too_large && am_buf_put(&r->body, upload, *upload_n) < 0)
            r->too_large = true;
        /* the library can answer only after the body, so a longer one is read over; an endless one is cut */
        if ((r->refused || r->too_large || (r->upload && r->upload->rc < 0)) && (r->skipped += *upload_n) > SKIP_BYTES)
            return MHD_NO;
        *upload_n = 0;
        return MHD_YES;
    }
    if (r->refused)
        return MHD_YES;
    return r->hold.then ? (enum MHD_Result)am_hold_answer(r) : parse_body_and_answer(r, url);
}

/* One line a request; at debug, unless it was slow by itself or failed by the service's own trouble. */
static void log_request(const struct am_req *r, int64_t us)
{
    bool slow = us > SLOW_US && !r->hold.then;
    enum am_log_level level = r->status == 500 ? AM_LOG_ERROR : r->status > 500 || slow ? AM_LOG_WARN : AM_LOG_DEBUG;
    if (!am_log_shows(level))
        return;
    am_log(level, "request request=%s method=%s route=%s status=%d ms=%.3f%s%s%s%s%s", r->id,
           r->head    ? "HEAD"
           : r->route ? r->route->method
                      : "-",
           r->route ? r->route->pattern : "-", r->status, (double)us / 1000, r->trace[0] ? " trace=" : "",
           r->trace[0] ? r->trace : "", r->failure[0] ? " failure=\"" : "", r->failure, r->failure[0] ? "\"" : "");
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
    struct am_req *r = *con_cls;
    (void)cls;
    (void)conn;
    (void)why;
    if (!r)
        return;
    am_hold_done(r);
    am_upload_drop(r);
    int64_t us = am_mono_us() - r->began;
    am_metrics_request(&r->srv->metrics, r->route ? (int)(r->route - am_routes) : -1, r->head, r->status, us);
    log_request(r, us);
    atomic_fetch_sub(&r->srv->open, 1);
    for (size_t i = 0; i < AM_ROUTE_ARGS; i++)
        free(r->arg[i]);
    free(r->path);
    am_buf_done(&r->body);
    json_decref(r->json);
    free(r);
    *con_cls = NULL;
}

static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls;
    (void)conn;
    return strlen(text);
}

AM_PRINTF(2, 0) static void on_log(void *cls, const char *fmt, va_list ap)
{
    char line[512];
    (void)cls;
    vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    am_log(AM_LOG_DEBUG, "http: %s", line);
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* "127.0.0.1:8420" or "[::1]:8420" or "localhost:8420" -> a listening socket. */
static int listen_on(struct am_server *s, char *why, size_t why_cap)
{
    char host[256];
    const char *colon = strrchr(s->cfg->listen, ':');
    size_t n = colon ? (size_t)(colon - s->cfg->listen) : 0;
    uint64_t number; /* getaddrinfo() takes 99999 for 34463 */
    if (!colon || n == 0 || n >= sizeof host || am_parse_u64(colon + 1, &number) < 0 || number > 65535) {
        snprintf(why, why_cap, "listen must be address:port, for example 127.0.0.1:8420 (got \"%s\")", s->cfg->listen);
        return -AM_E_INVALID_REQUEST;
    }
    bool bracket = s->cfg->listen[0] == '[' && s->cfg->listen[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracket ? n - 2 : n), s->cfg->listen + bracket);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int g = getaddrinfo(host, colon + 1, &hints, &found);
    if (g != 0) {
        snprintf(why, why_cap, "cannot listen on %s: %s", s->cfg->listen, gai_strerror(g));
        return -AM_E_INVALID_REQUEST;
    }
    int fd = -1;
    if (!is_loopback(found->ai_addr)) {
        snprintf(why, why_cap,
                 "refusing to listen on %s: it is reachable from the network and this version has no tokens (auth.mode "
                 "is none). "
                 "Listen on 127.0.0.1 and put a proxy with authentication in front",
                 s->cfg->listen);
        freeaddrinfo(found);
        return -AM_E_FORBIDDEN;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 511) < 0) {
        snprintf(why, why_cap, "cannot listen on %s: %s", s->cfg->listen, strerror(errno));
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        return -AM_E_CONFLICT;
    }
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char port[16] = "";
    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
        getnameinfo((struct sockaddr *)&bound, len, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    snprintf(s->url, sizeof s->url, found->ai_family == AF_INET6 ? "http://[%.200s]:%s" : "http://%.200s:%s", host,
             port);
    freeaddrinfo(found);
    return fd;
}

/* None while the daemon stops. (MHD_quiesce_daemon() would be the way, but it and the library's threads may both take
   the socket out of an epoll set, and the second one aborts the process: seen with 0.9.75.) */
static enum MHD_Result on_connection(void *cls, const struct sockaddr *from, socklen_t n)
{
    const struct am_server *s = cls;
    (void)from;
    (void)n;
    return atomic_load(&s->draining) ? MHD_NO : MHD_YES;
}

int am_http_start(struct am_server *s, char *why, size_t why_cap)
{
    int fd = listen_on(s, why, why_cap);
    if (fd < 0)
        return fd;
    s->mhd = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, on_connection, s, on_request,
        s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)s->cfg->http_threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->cfg->connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!s->mhd) {
        close(fd);
        snprintf(why, why_cap, "the HTTP library could not start");
        return -AM_E_INTERNAL;
    }
    return 0;
}

void am_http_stop(struct am_server *s)
{
    if (!s->mhd)
        return;
    /* The library may not stop while somebody sleeps. Then what is answered gets out; a stream that nobody reads is not
       waited for as long. */
    am_streams_drain(s->streams);
    int64_t began = am_mono_ms(), past = 0;
    while (am_streams_suspended(s->streams) > 0 || (atomic_load(&s->open) > 0 && past < STOP_MS)) {
        if (past > STOP_STREAMS_MS && atomic_load(&s->open) <= am_streams_open(s->streams))
            break;
        usleep(2000);
        past = am_mono_ms() - began;
    }
    MHD_stop_daemon(s->mhd);
    s->mhd = NULL;
}
