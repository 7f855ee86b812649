/*
 * reply.h - the only ways to answer. Each queues one response on the request and returns what the HTTP library wants to
 * hear. A problem document (RFC 9457, api.md 8) is the only form of a bad answer.
 */
#ifndef AM_SERVER_REPLY_H
#define AM_SERVER_REPLY_H

#include "core/base/fault.h"
#include "server/http.h"

#include <jansson.h>

/* Extra headers: name, value, name, value, ..., NULL. */
int am_reply_json(struct am_req *r, int status, json_t *body /* stolen */, const char *const *headers);
/* 201, with the Location. */
int am_reply_created(struct am_req *r, json_t *body /* stolen */, const char *location, ...) AM_PRINTF(3, 4);
/* With a strong ETag; answers 304 when If-None-Match names it. */
int am_reply_resource(struct am_req *r, json_t *body /* stolen */, const char *etag);
/* For routes with AM_CACHED: true when an answer of before is still the one to give, and was queued. Else what
   am_reply_resource() will say is kept for others. */
bool am_reply_again(struct am_req *r, const char *path, int *ret_queued);
int am_reply_text(struct am_req *r, const char *content_type, char *text /* freed */, size_t n);
int am_reply_problem(struct am_req *r, int code, const char *fmt, ...) AM_PRINTF(3, 4);
/* One fault for one place in the request. */
int am_reply_fault(struct am_req *r, int code, const char *pointer, const char *fmt, ...) AM_PRINTF(4, 5);
/* All of them; the code is that of the worst. Ends the list. */
int am_reply_faults(struct am_req *r, struct am_faults *f);
/* A problem with headers of its own and the entries of `errors` given as JSON (stolen, may be NULL). */
int am_reply_problem_full(struct am_req *r, int code, const char *detail, json_t *errors, const char *const *headers);
/* A problem with further members of its own, such as `job` (stolen). */
int am_reply_problem_extra(struct am_req *r, int code, const char *detail, json_t *extra);
/* For a negative error of a library room. */
int am_reply_error(struct am_req *r, int rc, const char *what);

/* Puts the headers that every answer has, then queues and releases the response. */
struct MHD_Response;
int am_reply_queue(struct am_req *r, int status, struct MHD_Response *response, const char *const *headers);
/* For routes with AM_IF_MATCH: true when If-Match names `etag`; else 412, or 428 without the header, was queued. */
bool am_req_if_match(struct am_req *r, const char *etag, int *ret_queued);
bool am_etag_matches(struct am_req *r, const char *header, const char *etag);

#endif
