/*
 * openapi.h - the OpenAPI 3.1 document, derived from the route table and the described methods.
 */
#ifndef AM_SERVER_OPENAPI_H
#define AM_SERVER_OPENAPI_H

#include "core/table/table.h"

#include <jansson.h>
#include <pthread.h>

/* What a daemon keeps of the document. It takes a tenth of a second to make and few ask for it, so it is made for the
   first who does, not at the start. Thread-safe. */
struct am_openapi_kept {
    pthread_mutex_t lock;
    char *text;
    json_t *schemas;
};

char *am_openapi(const struct am_table *t); /* for free(); NULL when out of memory */
/* The same as kept in `k`; for free(). */
char *am_openapi_copy(struct am_openapi_kept *k, const struct am_table *t);
/* A schema of the document by its name, standing alone: JSON Schema 2020-12 with $defs. NULL: there is none. */
json_t *am_openapi_schema(struct am_openapi_kept *k, const struct am_table *t, const char *name);
void am_openapi_forget(struct am_openapi_kept *k);

#endif
