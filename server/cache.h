/*
 * cache.h - answers that are given again while nothing has changed: the text of a resource by its path, with its ETag.
 * An entry counts only under the very stamp it was made under, so nobody has to throw anything away when something
 * changes. A pure table: knows neither HTTP nor
 * the store. At most AM_CACHE_ENTRIES texts of AM_ANSWER_MAX bytes; the one that was used longest ago makes room.
 * Ownership: answers are counted; whoever got one calls am_answer_unref(). Thread-safe.
 */
#ifndef AM_SERVER_CACHE_H
#define AM_SERVER_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_CACHE_ENTRIES 64
#define AM_ANSWER_MAX ((size_t)64 << 10)
#define AM_CACHE_KEY 256 /* bytes of a path, its end included; a longer one is not kept */

struct am_stamp {
    uint64_t store;  /* am_store_generation(): odd while a commit becomes visible, when nothing counts */
    uint64_t engine; /* am_engine_changes() */
};

struct am_answer {
    atomic_uint refs;
    char etag[96]; /* without quotes */
    size_t n;
    char text[]; /* n bytes */
};

struct am_cache;

struct am_cache *am_cache_new(void); /* NULL: no memory */
void am_cache_free(struct am_cache *c);

/* Room for n bytes of text, which the caller fills before others see it. NULL: no memory. */
struct am_answer *am_answer_new(size_t n, const char *etag);
void am_answer_unref(void *answer);

/* The answer kept under this key and the stamp of now, with a reference for the caller, or NULL. */
struct am_answer *am_cache_get(struct am_cache *c, const char *key, struct am_stamp stamp);
/* Keeps it with a reference of its own, if it is small enough and nothing has changed while it was made: the stamps
   from before and after reading are the same. */
void am_cache_put(struct am_cache *c, const char *key, struct am_stamp before, struct am_stamp after,
                  struct am_answer *a);

#endif
