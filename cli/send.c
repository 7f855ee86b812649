/*
 * send.c - requests that are tried again where that is safe, answers in JSON, and lists of several pages (http.h).
 */
#include "cli/http.h"

#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 4 /* the first one and three more */

static bool worth_again(const struct am_request *q, enum am_http_end end, long status, const json_t *json)
{
    if (end == AM_HTTP_UNREACHED)
        return true;
    if (!am_streq(q->verb, "GET") && !q->keyed)
        return false; /* it may have happened */
    if (end == AM_HTTP_ANSWERED && status == 409)
        return q->keyed && am_streq(am_js_text(json, "code", NULL), "idempotency-in-progress");
    return end == AM_HTTP_LOST ||
           (end == AM_HTTP_ANSWERED && (status == 429 || status == 502 || status == 503 || status == 504));
}

int am_http_send(struct am_cli *c, const struct am_request *q, struct am_reply *ret)
{
    char why[300];
    int64_t pause = 100, until = am_mono_ms() + (int64_t)q->patience_seconds * 1000;
    for (int tries = 1;; tries++) {
        struct am_reply r = {0};
        enum am_http_end end = am_http_try(c, q, &r, why);
        bool more = !q->once && (tries < TRIES || am_mono_ms() < until) && !am_interrupted();
        if (more && worth_again(q, end, r.status, r.json)) {
            am_reply_done(&r);
            am_nap(pause);
            pause = pause < 1000 ? pause * 2 : 1000;
            continue;
        }
        switch (end) {
        case AM_HTTP_ANSWERED:
            *ret = r;
            return 0;
        case AM_HTTP_STOPPED:
            if (am_interrupted())
                return AM_EXIT_INTERRUPTED;
            am_say_error(c, NULL, "%s", why);
            return AM_EXIT_ERROR;
        case AM_HTTP_REFUSED_LOCALLY:
            am_say_error(c, "give a URL such as " AM_DEFAULT_ENDPOINT " in --endpoint or AMEND_ENDPOINT",
                         "the endpoint '%s' (from %s) cannot be used: %s", c->endpoint, c->endpoint_from, why);
            return AM_EXIT_USAGE;
        default:
            return am_say_unreachable(c, why);
        }
    }
}

static int take_json(struct am_cli *c, struct am_reply *r, struct am_reply *ret)
{
    if (r->status >= 400 || r->status < 200) {
        int rc = am_problem_say(c, r);
        am_reply_done(r);
        return rc;
    }
    if (!json_is_object(r->json) && !json_is_array(r->json)) {
        am_say_error(c, "is the endpoint an amend daemon? ask: amend doctor", "%s answered %ld, but not with JSON (%s)",
                     c->endpoint, r->status, r->type[0] ? r->type : "no content type");
        am_reply_done(r);
        return AM_EXIT_ERROR;
    }
    *ret = *r;
    return 0;
}

int am_http_json(struct am_cli *c, const char *verb, const char *path, const json_t *body, struct am_reply *ret)
{
    AM_CLEANUP(am_xfreep) char *text = body ? am_js_dump(body, false) : NULL;
    struct am_request q = {.verb = verb, .path = path, .body = text, .body_len = text ? strlen(text) : 0};
    struct am_reply r = {0};
    int rc = am_http_send(c, &q, &r);
    return rc ? rc : take_json(c, &r, ret);
}

int am_http_post(struct am_cli *c, const char *path, const json_t *body, const char *key, struct am_reply *ret)
{
    char fresh[64];
    am_id_new("", am_now_ms(), fresh);
    AM_CLEANUP(am_xfreep) char *line = am_xprintf("Idempotency-Key: %s", key ? key : fresh);
    AM_CLEANUP(am_xfreep) char *text = body ? am_js_dump(body, false) : NULL;
    const char *headers[] = {line, NULL};
    struct am_request q = {.verb = "POST",
                           .path = path,
                           .body = text,
                           .body_len = text ? strlen(text) : 0,
                           .headers = headers,
                           .keyed = true};
    struct am_reply r = {0};
    int rc = am_http_send(c, &q, &r);
    return rc ? rc : take_json(c, &r, ret);
}

int am_http_show(struct am_cli *c, const char *path, void (*show)(const struct am_cli *c, const json_t *thing))
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_get(c, path, &r);
    if (rc)
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        show(c, r.json);
    return 0;
}

int am_http_poll(struct am_cli *c, const char *path, struct am_reply *ret)
{
    struct am_request q = {.verb = "GET", .path = path, .patience_seconds = 30};
    struct am_reply r = {0};
    int rc = am_http_send(c, &q, &r);
    return rc ? rc : take_json(c, &r, ret);
}

static char *page_path(const char *path, size_t limit, const char *after)
{
    AM_CLEANUP(am_xfreep) char *cursor = after ? am_url_encoded(after) : NULL;
    char sep = strchr(path, '?') ? '&' : '?';
    if (limit && cursor)
        return am_xprintf("%s%climit=%zu&after=%s", path, sep, limit, cursor);
    if (limit)
        return am_xprintf("%s%climit=%zu", path, sep, limit);
    return cursor ? am_xprintf("%s%cafter=%s", path, sep, cursor) : am_xdup(path);
}

static int list(struct am_cli *c, const char *path, size_t want, bool paged, bool patient, json_t **ret)
{
    AM_CLEANUP(am_jsonp) json_t *all = json_array();
    AM_CLEANUP(am_xfreep) char *after = NULL;
    bool more = true;
    while (more && json_array_size(all) < want) {
        size_t left = want - json_array_size(all);
        AM_CLEANUP(am_xfreep) char *url = page_path(path, !paged ? 0 : left < 100 ? left : 100, after);
        AM_CLEANUP(am_reply_done) struct am_reply r = {0};
        int rc = patient ? am_http_poll(c, url, &r) : am_http_get(c, url, &r);
        if (rc)
            return rc;
        const json_t *data = json_is_array(r.json) ? r.json : am_js(r.json, "data");
        for (size_t i = 0; i < json_array_size(data) && json_array_size(all) < want; i++)
            json_array_append(all, json_array_get(data, i));
        const char *next = am_js_text(r.json, "next", NULL);
        /* A page that is empty or points at itself ends the list: a faulty peer must not keep us here. */
        more = json_is_true(am_js(r.json, "has_more")) && next && json_array_size(data) && !am_streq(next, after);
        free(after);
        after = next ? am_xdup(next) : NULL;
    }
    *ret =
        json_pack("{s:s,s:O,s:b,s:s?}", "object", "list", "data", all, "has_more", more, "next", more ? after : NULL);
    if (!*ret) {
        am_say_error(c, NULL, "the list cannot be read");
        return AM_EXIT_ERROR;
    }
    return 0;
}

int am_http_list(struct am_cli *c, const char *path, size_t want, bool paged, json_t **ret)
{
    return list(c, path, want, paged, false, ret);
}

int am_http_list_poll(struct am_cli *c, const char *path, size_t want, bool paged, json_t **ret)
{
    return list(c, path, want, paged, true, ret);
}
