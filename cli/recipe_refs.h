/*
 * recipe_refs.h - the models that a mergekit configuration names, as places in its text, so that they can be exchanged
 * while every other byte stays. Ownership: am_refs owns its texts until am_refs_done(); safe on a zeroed list.
 */
#ifndef AM_CLI_RECIPE_REFS_H
#define AM_CLI_RECIPE_REFS_H

#include "cli/cli.h"

struct am_ref_place {
    char *value;     /* as YAML means it */
    char *with;      /* what stands in its place; NULL: it stays */
    size_t from, to; /* bytes of the text */
    bool is_path;    /* of a key `path`, which may have a `revision` beside it */
    bool is_block;   /* of lines of its own ("|", ">"), with the end of the last one */
};
struct am_refs {
    struct am_ref_place *v; /* in order */
    size_t n;
    char **name; /* of the documents: what they make is no model yet */
    size_t names;
};

/* Says what is no YAML, of the file of that name. A reference to a document is left out. */
int am_refs_read(const struct am_cli *c, const char *file, const char *text, size_t n, struct am_refs *ret);
/* The text with `with` in its places. For free(). */
char *am_refs_apply(const struct am_refs *r, const char *text, size_t n);
void am_refs_done(struct am_refs *r);

#endif
