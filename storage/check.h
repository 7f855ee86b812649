/*
 * check.h - is the database itself sound? quick_check and foreign_key_check, table by table on a read-only connection
 * of its own, so that no snapshot is held for long. Looks at no blob (verify.h does).
 */
#ifndef AM_STORAGE_CHECK_H
#define AM_STORAGE_CHECK_H

#include "storage/work.h"

#include <stddef.h>

struct am_store;

#define AM_CHECK_FINDINGS 20
struct am_checked {
    int tables;
    int64_t findings;                     /* all of them */
    char finding[AM_CHECK_FINDINGS][200]; /* the first */
};

/* What it found is kept in the store for am_store_is_sound(). 0 also when there are findings; -AM_E_CANCELLED, or an
   error with a sentence in `why`, and then the store keeps what it knew. */
int am_check(struct am_store *s, const struct am_work *work, struct am_checked *ret, char *why, size_t why_cap);

#endif
