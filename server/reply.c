/*
 * reply.c - answers (see reply.h).
 */
#include "server/reply.h"

#include "core/base/text.h"
#include "core/table/fault_json.h"
#include "server/json.h"
#include "server/routes.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json; charset=utf-8"

int am_reply_queue(struct am_req *r, int status, struct MHD_Response *response, const char *const *headers)
{
    if (!response)
        return MHD_NO;
    char trace[AM_TRACE_PARENT];
    r->status = status;
    MHD_add_response_header(response, "X-Request-Id", r->id);
    if (r->trace[0]) { /* this request as a span of the caller's trace */
        snprintf(trace, sizeof trace, "%.36s%.16s%s", r->trace, r->id + 16, r->trace + 52);
        MHD_add_response_header(response, "traceresponse", trace);
    }
    if (r->replayed)
        MHD_add_response_header(response, "Idempotency-Replayed", "true");
    if (r->preferred) {
        char applied[32];
        snprintf(applied, sizeof applied, "wait=%d", r->preferred);
        MHD_add_response_header(response, "Preference-Applied", applied);
    }
    bool cached = false;
    for (; headers && *headers; headers += 2) {
        cached = cached || strcmp(headers[0], MHD_HTTP_HEADER_CACHE_CONTROL) == 0;
        MHD_add_response_header(response, headers[0], headers[1]);
    }
    if (!cached)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    enum MHD_Result queued = MHD_queue_response(r->conn, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

static int reply_bytes(struct am_req *r, int status, const char *type, char *bytes, size_t n,
                       const char *const *headers)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(bytes);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return am_reply_queue(r, status, response, headers);
}

static int reply_json_as(struct am_req *r, int status, const char *type, json_t *body, const char *const *headers)
{
    struct am_buf b;
    am_buf_init(&b, 256u << 20);
    char *text = am_json_text(body);
    json_decref(body);
    int rc = text ? am_buf_printf(&b, "%s\n", text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    if (rc < 0) {
        am_buf_done(&b);
        return MHD_NO;
    }
    size_t n = b.len;
    return reply_bytes(r, status, type, am_buf_take(&b), n, headers);
}

int am_reply_json(struct am_req *r, int status, json_t *body, const char *const *headers)
{
    return reply_json_as(r, status, JSON_TYPE, body, headers);
}

bool am_etag_matches(struct am_req *r, const char *header, const char *etag)
{
    const char *given = am_req_header(r, header);
    if (!given)
        return false;
    if (strcmp(given, "*") == 0)
        return true;
    size_t n = strlen(etag);
    for (const char *p = given; (p = strchr(p, '"')); p += 1) {
        const char *end = strchr(p + 1, '"');
        if (!end)
            return false;
        if ((size_t)(end - p - 1) == n && strncmp(p + 1, etag, n) == 0)
            return true;
        p = end;
    }
    return false;
}

bool am_req_if_match(struct am_req *r, const char *etag, int *ret_queued)
{
    const char *given = am_req_header(r, MHD_HTTP_HEADER_IF_MATCH);
    if (!given)
        *ret_queued = am_reply_problem(r, AM_E_PRECONDITION_REQUIRED,
                                       "add -H 'If-Match: \"...\"' with the ETag of the state you have seen; now it is "
                                       "\"%s\"",
                                       etag);
    else if (!am_etag_matches(r, MHD_HTTP_HEADER_IF_MATCH, etag))
        *ret_queued =
            am_reply_problem(r, AM_E_PRECONDITION_FAILED,
                             "somebody was first: its ETag is now \"%s\", not %.100s; read it again", etag, given);
    else
        return true;
    return false;
}

static struct am_stamp stamp_now(const struct am_req *r)
{
    return (struct am_stamp){am_store_generation(r->srv->store), am_engine_changes(r->srv->engine)};
}

static struct am_answer *render(const json_t *body, const char *etag)
{
    char *text = am_json_text(body);
    size_t n = text ? strlen(text) : 0;
    struct am_answer *a = text ? am_answer_new(n + 1, etag) : NULL;
    if (a) {
        memcpy(a->text, text, n);
        a->text[n] = '\n';
    }
    free(text);
    return a;
}

/* Takes over the caller's reference. */
static int reply_answer(struct am_req *r, struct am_answer *a)
{
    char quoted[160];
    struct MHD_Response *response;
    snprintf(quoted, sizeof quoted, "\"%s\"", a->etag);
    const char *headers[] = {MHD_HTTP_HEADER_ETAG, quoted, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache", NULL};
    if (am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, a->etag)) {
        am_answer_unref(a);
        response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
        return am_reply_queue(r, MHD_HTTP_NOT_MODIFIED, response, headers);
    }
    response = MHD_create_response_from_buffer_with_free_callback_cls(a->n, a->text, am_answer_unref, a);
    if (!response) {
        am_answer_unref(a);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, JSON_TYPE);
    return am_reply_queue(r, MHD_HTTP_OK, response, headers);
}

int am_reply_created(struct am_req *r, json_t *body, const char *location, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, location);
    vsnprintf(text, sizeof text, location, ap);
    va_end(ap);
    const char *headers[] = {MHD_HTTP_HEADER_LOCATION, text, NULL};
    return am_reply_json(r, 201, body, headers);
}

int am_reply_resource(struct am_req *r, json_t *body, const char *etag)
{
    bool known = !r->keep && am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, etag); /* its text is not needed */
    struct am_answer *a = known ? am_answer_new(0, etag) : render(body, etag);
    json_decref(body);
    if (!a)
        return MHD_NO;
    if (r->keep)
        am_cache_put(r->srv->cache, r->keep, r->stamp, stamp_now(r), a);
    return reply_answer(r, a);
}

bool am_reply_again(struct am_req *r, const char *path, int *ret_queued)
{
    if (am_req_header(r, "Prefer")) /* it may wait for a change */
        return false;
    r->stamp = stamp_now(r);
    struct am_answer *a = am_cache_get(r->srv->cache, path, r->stamp);
    if (a)
        *ret_queued = reply_answer(r, a);
    else
        r->keep = path;
    return a != NULL;
}

int am_reply_text(struct am_req *r, const char *content_type, char *text, size_t n)
{
    return reply_bytes(r, MHD_HTTP_OK, content_type, text, n, NULL);
}

/* The UUID form of a request id, for `instance`. */
static void uuid_text(const char *hex, char out[64])
{
    snprintf(out, 64, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* One line of printable ASCII: what Hub clients show (hub.md 5). */
static void header_text(const char *text, char out[512])
{
    size_t n = 0;
    for (; *text && n < 511; text++)
        out[n++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
    out[n] = 0;
}

/* errors and extra are stolen and may be NULL. */
static int reply_problem(struct am_req *r, int code, const char *detail, json_t *errors, json_t *extra,
                         const char *const *headers)
{
    char type[80], instance[64], line[512];
    const char *out[12] = {NULL};
    size_t n = 0;
    int status = am_err_status(code) ? am_err_status(code) : 422; /* errors of jobs answer a waiting registration */
    snprintf(type, sizeof type, "/v1/problems/%s", am_err_slug(code));
    uuid_text(r->id, instance);
    for (; headers && headers[n] && n + 5 < sizeof out / sizeof *out; n++)
        out[n] = headers[n];
    json_t *said = am_fault_text(detail);
    if (said)
        detail = json_string_value(said);
    header_text(detail, line);
    out[n++] = "X-Error-Message";
    out[n++] = line;
    if (status == 503 || status == 507) {
        out[n++] = MHD_HTTP_HEADER_RETRY_AFTER;
        out[n++] = "5";
    }
    char *message = NULL;
    if (asprintf(&message, "%s: %s", am_err_title(code), detail) < 0)
        message = NULL;
    /* Hub clients print `error` below X-Error-Message unless it is the same line */
    bool hub = r->route && r->route->body & AM_HUB;
    json_t *body =
        json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:o, s:s, s:s}", "type", type, "title", am_err_title(code),
                  "status", status, "code", am_err_slug(code), "detail", detail, "instance", instance, "request_id",
                  r->id, "retryable", am_err_retryable(code), "errors", errors ? errors : json_array(), "message",
                  message ? message : detail, "error", message && !hub ? message : detail);
    free(message);
    if (extra)
        json_object_update_missing(body, extra);
    json_decref(extra);
    if (status >= 500) /* goes to the log with the request's line */
        snprintf(r->failure, sizeof r->failure, "%s: %s", am_err_slug(code), detail);
    json_decref(said);
    return reply_json_as(r, status, "application/problem+json", body, out);
}

int am_reply_problem_full(struct am_req *r, int code, const char *detail, json_t *errors, const char *const *headers)
{
    return reply_problem(r, code, detail, errors, NULL, headers);
}

int am_reply_problem_extra(struct am_req *r, int code, const char *detail, json_t *extra)
{
    return reply_problem(r, code, detail, NULL, extra, NULL);
}

int am_reply_problem(struct am_req *r, int code, const char *fmt, ...)
{
    char detail[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    return am_reply_problem_full(r, code, detail, NULL, NULL);
}

int am_reply_fault(struct am_req *r, int code, const char *pointer, const char *fmt, ...)
{
    char detail[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    struct am_faults f = {0};
    am_fault_add(&f, code, (struct am_where){.pointer = pointer}, "%s", detail);
    return am_reply_faults(r, &f);
}

int am_reply_faults(struct am_req *r, struct am_faults *f)
{
    int worst = -am_faults_worst(f);
    char more[64] = "";
    if (f->total > 1)
        snprintf(more, sizeof more, " (and %zu more, see errors)", f->total - 1);
    const char *first = "";
    for (size_t i = 0; i < f->n && !*first; i++)
        if (f->v[i].code == worst)
            first = f->v[i].detail;
    struct am_buf b;
    am_buf_init(&b, 64 << 10);
    am_buf_printf(&b, "%s%s", first, more);
    int queued =
        am_reply_problem_full(r, worst ? worst : AM_E_INTERNAL, b.data ? b.data : "", am_faults_to_json(f), NULL);
    am_buf_done(&b);
    am_faults_done(f);
    return queued;
}

int am_reply_error(struct am_req *r, int rc, const char *what)
{
    int code = rc < 0 ? -rc : AM_E_INTERNAL;
    if (am_err_status(code) == 0)
        code = AM_E_INTERNAL;
    if (code == AM_E_QUEUE_FULL)
        what = "the queue holds limits.queue entries; try again later";
    return am_reply_problem(r, code, "%s", what);
}
