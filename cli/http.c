/*
 * http.c - requests over libcurl (http.h). Owns one easy handle, so that polling keeps its connection.
 * Not the words for refusals (problem.c).
 */
#include "cli/http.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct am_http {
    CURL *curl;
};

struct transfer {
    struct am_http *http;
    const struct am_request *q;
    struct am_reply *reply;
    struct am_buf body;
    bool stopped;
};

struct am_http *am_http_new(void)
{
    struct am_http *h = am_xalloc(sizeof *h);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (h->curl = curl_easy_init()))
        return h;
    free(h);
    return NULL;
}

void am_http_free(struct am_http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    curl_global_cleanup();
    free(h);
}

void am_reply_done(struct am_reply *r)
{
    json_decref(r->json);
    free(r->body);
    *r = (struct am_reply){0};
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * n;
    long status = 0;
    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &status);
    int rc = t->q->sink && status == 200 ? t->q->sink(t->q->arg, bytes, len) : am_buf_put(&t->body, bytes, len);
    if (rc < 0) {
        t->stopped = true;
        return 0;
    }
    return len;
}

static void keep_header(const char *line, size_t n, const char *name, char *out, size_t cap)
{
    size_t k = strlen(name);
    if (n <= k || strncasecmp(line, name, k) != 0)
        return;
    line += k;
    n -= k;
    while (n && *line == ' ') {
        line++;
        n--;
    }
    while (n && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
        n--;
    snprintf(out, cap, "%.*s", (int)(n < cap ? n : cap - 1), line);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    keep_header(bytes, size * n, "X-Request-Id:", t->reply->request_id, sizeof t->reply->request_id);
    keep_header(bytes, size * n, "Content-Type:", t->reply->type, sizeof t->reply->type);
    keep_header(bytes, size * n, "ETag:", t->reply->etag, sizeof t->reply->etag);
    return size * n;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)arg, (void)dt, (void)dn, (void)ut, (void)un;
    return am_interrupted();
}

static bool is_loopback(const char *url)
{
    static const char *const start[] = {"://127.", "://localhost:", "://localhost/", "://[::1]"};
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        if (strstr(url, start[i]))
            return true;
    return am_ends(url, "://localhost");
}

static void set_body(CURL *curl, const struct am_request *q)
{
    if (am_streq(q->verb, "HEAD"))
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (!am_streq(q->verb, "GET"))
        curl_easy_setopt(curl, CURLOPT_POST, 1L), curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->verb);
    if (q->file) { /* libcurl reads it by fread() */
        curl_easy_setopt(curl, CURLOPT_READDATA, q->file);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(q->file_bytes < 0 ? -1 : q->file_bytes));
    } else if (!am_streq(q->verb, "GET") && !am_streq(q->verb, "HEAD")) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body ? q->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(q->body ? q->body_len : 0));
    }
}

static struct curl_slist *make_headers(const struct am_cli *c, const struct am_request *q)
{
    /* An empty "Expect:" stops libcurl from waiting a second for 100-continue on large bodies. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    AM_CLEANUP(am_xfreep)
    char *type = am_xprintf("Content-Type:%s%s", q->body || q->file ? " " : "",
                            q->type              ? q->type
                            : q->body || q->file ? "application/json"
                                                 : "");
    list = curl_slist_append(list, type);
    if (q->file && q->file_bytes < 0)
        list = curl_slist_append(list, "Transfer-Encoding: chunked");
    AM_CLEANUP(am_xfreep) char *token = c->token ? am_xprintf("Authorization: Bearer %s", c->token) : NULL;
    if (token)
        list = curl_slist_append(list, token);
    for (const char *const *p = q->headers; p && *p; p++)
        list = curl_slist_append(list, *p);
    return list;
}

static CURLcode perform(struct am_cli *c, struct transfer *t, char *words)
{
    CURL *curl = c->http->curl;
    AM_CLEANUP(am_xfreep) char *url = am_xprintf("%s%s", c->endpoint, t->q->path);
    struct curl_slist *headers = make_headers(c, t->q);
    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (is_loopback(c->endpoint)) /* a proxy of the environment cannot reach this machine's own addresses */
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "amend/" AM_VERSION);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, t->q->silent ? 0L : 1L); /* a dead peer must not hold us for ever */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, t->q->silent ? 0L : 120L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)t->q->timeout_ms);
    set_body(curl, t->q);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &t->reply->status);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return rc;
}

static enum am_http_end end_of(CURLcode rc, bool stopped)
{
    switch (rc) {
    case CURLE_OK:
        return AM_HTTP_ANSWERED;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
        return AM_HTTP_UNREACHED;
    case CURLE_ABORTED_BY_CALLBACK:
        return AM_HTTP_STOPPED;
    case CURLE_WRITE_ERROR:
        return stopped ? AM_HTTP_STOPPED : AM_HTTP_LOST;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return AM_HTTP_REFUSED_LOCALLY;
    default:
        return AM_HTTP_LOST;
    }
}

enum am_http_end am_http_try(struct am_cli *c, const struct am_request *q, struct am_reply *ret, char why[300])
{
    char words[CURL_ERROR_SIZE] = "";
    struct am_reply reply = {0};
    struct transfer t = {.http = c->http, .q = q, .reply = &reply};
    am_buf_init(&t.body, AM_REPLY_MAX);
    if (q->file && !q->once)
        rewind(q->file);
    CURLcode rc = perform(c, &t, words);
    enum am_http_end end = end_of(rc, t.stopped);
    if (end != AM_HTTP_ANSWERED) {
        const char *text = t.stopped && !q->sink ? "the answer is larger than the client keeps" : words;
        snprintf(why, 300, "%s", text[0] ? text : curl_easy_strerror(rc));
        am_buf_done(&t.body);
        return end;
    }
    reply.len = t.body.len;
    reply.body = t.body.data ? am_buf_take(&t.body) : am_xdup("");
    am_buf_done(&t.body);
    if (strstr(reply.type, "json"))
        reply.json = json_loadb(reply.body, reply.len, JSON_DECODE_ANY, NULL);
    *ret = reply;
    return end;
}
