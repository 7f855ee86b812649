/*
 * openapi.h - the OpenAPI 3.1 document, derived from the route table and the described methods.
 */
#ifndef AM_SERVER_OPENAPI_H
#define AM_SERVER_OPENAPI_H

#include "core/table/table.h"

#include <jansson.h>

char *am_openapi(const struct am_table *t); /* for free(); NULL when out of memory */
/* A schema of the document by its name, standing alone: JSON Schema 2020-12 with $defs. NULL: there is none. */
json_t *am_openapi_schema(const struct am_table *t, const char *name);

#endif
