/*
 * http.h - the client's one door to the network, over libcurl. Requests to the endpoint only; redirects are not
 * followed. Every failure is told to the person here, with cause, fix, problem code and request id. Ownership: a reply
 * owns its memory until am_reply_done(); safe on a zeroed one.
 */
#ifndef AM_CLI_HTTP_H
#define AM_CLI_HTTP_H

#include "cli/cli.h"

#include <stdio.h>

#define AM_REPLY_MAX (64u << 20) /* ceiling of an answer kept in memory */

struct am_request {
    const char *verb; /* "GET" */
    const char *path; /* from "/", percent-encoded */
    const char *body; /* or NULL */
    size_t body_len;
    FILE *file;         /* the body comes out of it instead, from its beginning; one that cannot go back is sent once */
    int64_t file_bytes; /* what it holds; negative: unknown */
    const char *type;   /* Content-Type of a body; NULL: JSON */
    const char *const *headers; /* NULL-terminated further "Name: value" lines, or NULL */
    bool once;                  /* not tried again */
    bool silent;                /* nothing may come for long */
    bool keyed;                 /* carries an Idempotency-Key that the route honours: trying again is harmless */
    int timeout_ms;             /* of the whole attempt; 0: none */
    int patience_seconds;       /* keep trying that long when the daemon cannot be reached (it may be restarting) */
    /* Takes the bytes of a 200 instead of the reply's body. Negative ends the transfer. NULL: none. */
    int (*sink)(void *arg, const void *bytes, size_t n);
    void *arg;
};

struct am_reply {
    long status;
    char *body; /* NUL-terminated */
    size_t len;
    json_t *json; /* NULL when the body is no JSON */
    char request_id[64], type[64], etag[128];
};

struct am_http *am_http_new(void); /* NULL: libcurl cannot start */
void am_http_free(struct am_http *h);

enum am_http_end { AM_HTTP_ANSWERED, AM_HTTP_UNREACHED, AM_HTTP_LOST, AM_HTTP_STOPPED, AM_HTTP_REFUSED_LOCALLY };
/* One attempt, says nothing. STOPPED: interrupted, or the sink ended it. `why` gets libcurl's words. */
enum am_http_end am_http_try(struct am_cli *c, const struct am_request *q, struct am_reply *ret, char why[300]);
/* Any answer is 0. GET and what is keyed are tried up to 3 times more after lost connections, 429, 502, 503, 504 and
   idempotency-in-progress; all else only when no connection could be made, since only then nothing can have happened.
 */
int am_http_send(struct am_cli *c, const struct am_request *q, struct am_reply *ret);
/* 0 with a 2xx answer in JSON. `body` may be NULL. */
int am_http_json(struct am_cli *c, const char *verb, const char *path, const json_t *body, struct am_reply *ret);
/* The same for POST on a route that honours Idempotency-Key; `body` and `key` may be NULL: none, a fresh one. */
int am_http_post(struct am_cli *c, const char *path, const json_t *body, const char *key, struct am_reply *ret);
#define am_http_get(c, path, ret) am_http_json(c, "GET", path, NULL, ret)
/* GET, and show() it; -o json: as it is. */
int am_http_show(struct am_cli *c, const char *path, void (*show)(const struct am_cli *c, const json_t *thing));
/* GET for waiting: outlasts a restart of the daemon. */
int am_http_poll(struct am_cli *c, const char *path, struct am_reply *ret);
/* All pages of a list as one list object in *ret, at most `want` entries. `paged`: the route takes `limit`. */
int am_http_list(struct am_cli *c, const char *path, size_t want, bool paged, json_t **ret);
/* The same for waiting, as am_http_poll(). */
int am_http_list_poll(struct am_cli *c, const char *path, size_t want, bool paged, json_t **ret);
void am_reply_done(struct am_reply *r);

/* problem.c: says what an answer of 400 or more means and returns its exit code. */
int am_problem_say(const struct am_cli *c, const struct am_reply *r);
/* The problem document in the `error` of a failed job. */
void am_problem_say_job(const struct am_cli *c, const json_t *job);
/* Why a plan was not accepted: its refusals. */
void am_problem_say_plan(const struct am_cli *c, const json_t *plan);
int am_say_unreachable(const struct am_cli *c, const char *why);

/* url.c */
struct am_ref {
    char model[256], rev[512]; /* rev "" when the text has no @ */
};
/* "ns/name@rev"; says and returns AM_EXIT_USAGE when it is none. */
int am_ref_parse(const struct am_cli *c, const char *text, struct am_ref *ret);
/* The same; without "@rev" it is @main. */
int am_rev_parse(const struct am_cli *c, const char *text, struct am_ref *ret);
int am_model_parse(const struct am_cli *c, const char *text, struct am_ref *ret); /* no '@' allowed */
/* head + "/" + each further argument as one percent-encoded segment, up to NULL. For free(). */
char *am_url(const char *head, ...) __attribute__((sentinel));
/* The same under /v1/models/ns/name. */
char *am_url_model(const char *model, ...) __attribute__((sentinel));
char *am_url_encoded(const char *s); /* one value of a query. For free(). */

#endif
