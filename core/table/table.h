/*
 * table.h - the described registry (the JSON that `amend-worker describe` prints), loaded and looked up.
 * This is all the daemon and the client know of methods; it holds no code of theirs.
 * Ownership: am_table owns the JSON; everything returned is borrowed from it. Read-only after load, so any thread may
 * read.
 */
#ifndef AM_TABLE_TABLE_H
#define AM_TABLE_TABLE_H

#include <jansson.h>
#include <stddef.h>

struct am_table {
    json_t *root;
    char sha256[65]; /* of the bytes it was loaded from */
};

int am_table_load(struct am_table *ret, const char *bytes, size_t n);
void am_table_done(struct am_table *t);
/* `type` "merge"; `name` "linear" or "merge/linear". NULL when unknown. */
json_t *am_table_find(const struct am_table *t, const char *type, const char *name);
/* Nearest method name of that type ("task_arithmetic"), or NULL. */
const char *am_table_nearest(const struct am_table *t, const char *type, const char *name);
/* JSON Schema 2020-12 of one method's `params` object (per_input: of the `params` beside a model). New reference. */
json_t *am_table_params_schema(json_t *method, int per_input);

#endif
