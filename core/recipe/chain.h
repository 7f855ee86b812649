/*
 * chain.h - several documents in one text (merge.md B21): each is a configuration, and one may take what another makes,
 * by its `name`. The last, which no other takes, makes the result; the rest are stages on the way. Finds who needs whom
 * and translates each (mergekit.h); jobs are the caller's.
 * Ownership: am_chain owns all it holds until am_chain_done(); safe on a zeroed struct.
 */
#ifndef AM_RECIPE_CHAIN_H
#define AM_RECIPE_CHAIN_H

#include "core/recipe/mergekit.h"

struct am_chain_stage {
    struct am_mergekit mergekit; /* of its document alone; pointers begin with its number, "#/0/models" */
    struct am_faults faults;     /* that the document has in itself */
    const char *name;            /* borrowed; NULL: it has none, or there is a fault */
    bool needs[AM_YAML_DOCUMENTS];
};

struct am_chain {
    struct am_chain_stage v[AM_YAML_DOCUMENTS]; /* as they stand in the text */
    size_t n, last;
    size_t order[AM_YAML_DOCUMENTS]; /* each after those that it needs; of no use after a fault */
};

/* Of two or more documents, read from `text`. A body has the name of a stage where that of a version would be, until
   am_chain_bind(). 0, or the code of a fault, or -AM_E_OUT_OF_MEMORY; am_chain_done() in every case. */
int am_chain_read(struct am_chain *ret, const struct am_yaml *yaml, const char *text, size_t n, json_t *ask,
                  const struct am_table *t);
void am_chain_done(struct am_chain *c);
/* The bodies name jobs from now on, uid[i] of document i. */
int am_chain_bind(struct am_chain *c, const char *const *uid);

#endif
