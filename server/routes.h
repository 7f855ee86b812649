/*
 * routes.h - THE table: every route of the service with its handler, its query parameters and one line of
 * documentation. The OpenAPI document and the route table of api.md are made from it.
 */
#ifndef AM_SERVER_ROUTES_H
#define AM_SERVER_ROUTES_H

#include "server/http.h"

enum { /* am_route.body, as bits */
       AM_BODY_NONE = 0,
       AM_BODY_JSON = 1,
       AM_IDEM = 2,           /* honours Idempotency-Key */
       AM_IF_MATCH = 4,       /* refuses to work without If-Match (am_req_if_match) */
       AM_BODY_MAYBE = 8,     /* JSON, when there is a body at all */
       AM_BODY_LINES = 32,    /* lines of JSON of any length, into r->upload */
       AM_BODY_DATASET = 512, /* with AM_BODY_LINES: JSON Lines or safetensors */
       AM_BODY_FORM = 64,     /* a form, or JSON; the handler reads r->body */
       AM_HUB = 128, /* of the Hub's protocol: unknown query parameters are ignored, off with hub.enabled=false */
       AM_BODY_YAML = 1024, /* a mergekit configuration in place of the JSON; the handler reads r->body */
       AM_CACHED = 256 /* what it answers depends on its path, the store and the engine's progress alone, and goes out
                          by am_reply_resource() */
};

struct am_route {
    const char *method;  /* "GET", "POST"; GET serves HEAD */
    const char *pattern; /* "/v1/jobs/{id}"; a last "{path+}" takes the rest with its slashes */
    int (*handler)(struct am_req *r);
    unsigned body;
    const char *query;   /* space-separated names of query parameters, "" for none; "label.*": label. and any name */
    int status;          /* of the good answer */
    const char *schema;  /* name under #/components/schemas of the good answer, or NULL: not JSON */
    const char *group;   /* heading in api.md */
    const char *doc;     /* one line */
    const char *request; /* AM_BODY_JSON, AM_BODY_MAYBE: name of the body's schema */
};

extern const struct am_route am_routes[]; /* ended by an empty entry */

/*
 * Finds the row for a raw path; cuts `r->path` into segments and decodes the arguments. 0; -AM_E_NOT_FOUND;
 * -AM_E_METHOD_NOT_ALLOWED with the allowed methods in `allow`; -AM_E_INVALID_REQUEST for a segment that cannot be
 * decoded.
 */
int am_route_find(struct am_req *r, const char *method, const char *path, char *allow, size_t allow_cap);

#endif
