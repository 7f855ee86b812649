/*
 * _find.h - a search for values, and pairs of values, of slice keys that regress (compat.md 6, params.find_slices). A
 * search through everything: what it finds is a hint, its q counts all that was tried, and no gate looks at it.
 * Nothing is owned.
 */
#ifndef AM_EVALUATE_FIND_H
#define AM_EVALUATE_FIND_H

#include "core/evaluate/_numbers.h"

#define AM_FIND_LEAST 50 /* samples */
#define AM_FIND_SHOWN 200
#define AM_FIND_TRIED_MAX 1000000

struct am_found {
    size_t keys;             /* 1 or 2 */
    size_t key[2], value[2]; /* numbers into the keys that were searched */
    struct am_slice_counts counts;
    double lower, p, q; /* one-sided Wilson bound of the NFR; two-sided mid-p; Benjamini-Hochberg over all tried */
    size_t place;       /* among all that was tried */
};

struct am_finds {
    struct am_found shown[AM_FIND_SHOWN]; /* by lower, largest first */
    size_t n;
    size_t tried;
    bool cut; /* there was more than AM_FIND_TRIED_MAX */
};

int am_find_slices(const struct am_join *j, const struct am_slice_key *key, size_t keys, struct am_finds *ret);

#endif
