/*
 * guard.c - framing, Host and Origin (see guard.h).
 */
#include "server/guard.h"

#include "core/base/text.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

struct framing {
    int lengths, encodings, hosts;
};

static enum MHD_Result count_framing(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = arg;
    (void)kind;
    (void)value;
    f->lengths += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    f->encodings += strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    f->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    return MHD_YES;
}

/* "host:port", "[::1]:port" or "host" -> the host without brackets and port, lower case. */
static void host_name(const char *authority, char *out, size_t cap)
{
    size_t n = strcspn(authority, ":/");
    if (authority[0] == '[') {
        authority++;
        n = strcspn(authority, "]");
    }
    if (n >= cap)
        n = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(authority[i] >= 'A' && authority[i] <= 'Z' ? authority[i] + 32 : authority[i]);
    out[n] = 0;
}

static bool host_allowed(const struct am_config *cfg, const char *authority)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
    char host[256], own[256];
    host_name(authority, host, sizeof host);
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        if (am_streq(host, loopback[i]))
            return true;
    const char *url = strstr(cfg->public_url, "://");
    if (url) {
        host_name(url + 3, own, sizeof own);
        if (own[0] && am_streq(host, own))
            return true;
    }
    for (const char *p = cfg->allowed_hosts; *p;) {
        size_t n = strcspn(p, ",");
        if (n < sizeof own) {
            memcpy(own, p, n);
            own[n] = 0;
            if (own[0] && strcasecmp(own, host) == 0)
                return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

static bool origin_is_ours(const struct am_config *cfg, const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    if (!authority)
        return false;
    if (strcasecmp(authority + 3, host) == 0)
        return true;
    size_t n = strlen(cfg->public_url);
    while (n && cfg->public_url[n - 1] == '/')
        n--;
    return n && strlen(origin) == n && strncasecmp(origin, cfg->public_url, n) == 0;
}

int am_guard(struct am_req *r, bool writes, int *ret_queued)
{
    static const char *const close[] = {MHD_HTTP_HEADER_CONNECTION, "close", NULL};
    struct framing f = {0};
    MHD_get_connection_values(r->conn, MHD_HEADER_KIND, count_framing, &f);
    if (f.lengths > 1 || f.encodings > 1 || f.hosts > 1 || (f.lengths && f.encodings)) {
        *ret_queued = am_reply_problem_full(
            r, AM_E_INVALID_REQUEST,
            "Content-Length, Transfer-Encoding and Host may each appear once, and the first two not together", NULL,
            close);
        return -AM_E_INVALID_REQUEST;
    }
    const char *coding = am_req_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (coding && strcasecmp(coding, "chunked") != 0) { /* the library would read on to the end of the connection */
        *ret_queued = am_reply_problem_full(
            r, AM_E_INVALID_REQUEST, "Transfer-Encoding must be chunked; no other coding is read here", NULL, close);
        return -AM_E_INVALID_REQUEST;
    }
    const char *host = am_req_header(r, MHD_HTTP_HEADER_HOST);
    if (!host || !host_allowed(r->srv->cfg, host)) {
        *ret_queued = am_reply_problem(
            r, AM_E_HOST_REFUSED,
            "this service does not answer for Host \"%.100s\"; use localhost, or name it with --allowed_hosts=",
            host ? host : "");
        return -AM_E_HOST_REFUSED;
    }
    const char *origin = am_req_header(r, MHD_HTTP_HEADER_ORIGIN);
    const char *site = am_req_header(r, "Sec-Fetch-Site");
    if ((origin && !origin_is_ours(r->srv->cfg, origin, host)) ||
        (writes && site && strcasecmp(site, "cross-site") == 0)) {
        *ret_queued = am_reply_problem(r, AM_E_ORIGIN_REFUSED, "requests from another site (%.100s) are refused",
                                       origin ? origin : "cross-site");
        return -AM_E_ORIGIN_REFUSED;
    }
    return 0;
}
