/*
 * openapi.h - the OpenAPI 3.1 document, derived from the route table and the described methods.
 */
#ifndef AM_SERVER_OPENAPI_H
#define AM_SERVER_OPENAPI_H

#include "core/table/table.h"

char *am_openapi(const struct am_table *t); /* for free(); NULL when out of memory */

#endif
