/*
 * openapi_parts.h - private to openapi.c and its neighbours: what a request may carry and what may come back, for one
 * row of the route table. All return new references.
 */
#ifndef AM_SERVER_OPENAPI_PARTS_H
#define AM_SERVER_OPENAPI_PARTS_H

#include "server/routes.h"

#include <jansson.h>

/* openapi_params.c */
json_t *am_openapi_parameters(const struct am_route *row);

/* openapi_answers.c */
/* Whether the good answer is one resource with an ETag, and 304 when If-None-Match names it. */
bool am_openapi_has_etag(const struct am_route *row);
/* Whether it honours Prefer: wait=n. */
bool am_openapi_waits(const struct am_route *row);
json_t *am_openapi_good(const struct am_route *row); /* {"200": ..., "304": ...} */
/* Adds the headers that an answer of this status has. */
void am_openapi_describe(const struct am_route *row, int status, json_t *answer);
void am_openapi_refusals(const struct am_route *row, json_t *answers); /* after the good ones */
json_t *am_openapi_headers(void);                                      /* components.headers */
json_t *am_openapi_problems(void); /* components.responses: one for each status, with all its codes */

json_t *am_openapi_ref(const char *kind, const char *name); /* {"$ref": "#/components/<kind>/<name>"} */
/* "{path+}" is "{path}" in OpenAPI. */
void am_openapi_pattern(const char *pattern, char out[200]);

#endif
