/*
 * roots.h - the folders of the machine that the service may read from or write to: a setting (colon-separated absolute
 * paths) as resolved paths, and whether a path lies below one of them.
 * Ownership: am_roots owns its paths until am_roots_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_ROOTS_H
#define AM_SERVER_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

#define AM_ROOTS_MAX 64

struct am_roots {
    const char *list; /* the setting; borrowed */
    char *v[AM_ROOTS_MAX];
    size_t n;
};

/* A root that does not exist allows nothing, so it is passed over. */
void am_roots_read(struct am_roots *ret, const char *list);
void am_roots_done(struct am_roots *r);
/* Of a path without links in it: is it a root or below one? */
bool am_roots_hold(const struct am_roots *r, const char *real);
/* The same for a path that cannot be resolved, by its text alone: below a root as configured or as resolved. */
bool am_roots_named(const struct am_roots *r, const char *path);
/* Opens what `real` names, for reading, and makes sure that it still lies below a root; -AM_E_PATH_NOT_ALLOWED when it
   does not: a link was swapped in. */
int am_roots_open(const struct am_roots *r, const char *real, int flags);
bool am_roots_is_one(const struct am_roots *r, const char *real);

#endif
