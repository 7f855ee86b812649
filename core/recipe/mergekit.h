/*
 * mergekit.h - a mergekit configuration, as it is, becomes the body of a merge job (merge.md B): names, settings, base
 * and dtypes are translated, core/table/body.h checks the result as it checks any body. What mergekit would ignore
 * without a word is a fault here, or with `lenient` a warning. Not the arithmetic of mergekit: that is the methods'
 * (`compat`).
 * Ownership: am_mergekit owns all it holds until am_mergekit_done(); safe on a zeroed struct.
 */
#ifndef AM_RECIPE_MERGEKIT_H
#define AM_RECIPE_MERGEKIT_H

#include "core/base/fault.h"
#include "core/recipe/yaml.h"
#include "core/table/json_util.h"
#include "core/table/table.h"

struct am_mergekit {
    struct am_yaml yaml;
    json_t *body;     /* of a job; NULL: there was nothing to make it of */
    json_t *warnings; /* {"code", "detail", "pointer"} each */
    json_t *place;    /* [pointer into the body, pointer into the configuration] each */
    size_t own;       /* faults that the configuration has in itself: the first ones */
    size_t number;    /* of several documents this one's, from 1: pointers begin with it; 0: there is one */
};

/*
 * `ask` is what YAML cannot say: the query parameters by name, each a text (a list of texts: tag). Adds every fault
 * that the configuration has in itself, with pointers into it; the body holds what could be read, so that a check of it
 * finds the rest. 0, or the code of the worst fault, or -AM_E_OUT_OF_MEMORY. Of several documents there are only
 * those, in `yaml`: they are for chain.h.
 */
int am_mergekit_read(struct am_mergekit *ret, const char *text, size_t n, json_t *ask, const struct am_table *t,
                     struct am_faults *f);
void am_mergekit_done(struct am_mergekit *m);
/* A pointer into the body as one into the configuration. Returns `out`. */
const char *am_mergekit_pointer(const struct am_mergekit *m, const char *pointer, char out[AM_POINTER]);
/* Faults of the body point into the configuration from now on, and know their line. */
void am_mergekit_place(const struct am_mergekit *m, struct am_faults *f);

#endif
