/*
 * st_arena.h - memory for the names and shapes of one header. Private to core/tensor.
 * Ownership: an arena owns its chunks until am_st_arena_done(); safe on a zeroed one. A tail is a string in the making
 * at the end of an arena: kept or dropped, and nothing else is taken from the arena in between.
 */
#ifndef AM_TENSOR_ST_ARENA_H
#define AM_TENSOR_ST_ARENA_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct am_st_chunk {
    struct am_st_chunk *below;
    size_t used, cap;
    char data[];
};

struct am_st_arena {
    struct am_st_chunk *chunk; /* the one being filled is first */
};

void *am_st_arena_get(struct am_st_arena *a, size_t n); /* aligned to 8, n at most 64 KiB; NULL: out of memory */
void am_st_arena_done(struct am_st_arena *a);

struct am_st_tail {
    struct am_st_arena *arena;
    char *text;
    size_t len, cap;
    struct am_st_chunk *own; /* a long string has a chunk of its own */
};

int am_st_tail_open(struct am_st_tail *t, struct am_st_arena *a);
/* `rest`: how many bytes may follow at most. Room for a NUL after the text is always kept. */
int am_st_tail_put(struct am_st_tail *t, const void *bytes, size_t n, uint64_t rest);
void am_st_tail_keep(struct am_st_tail *t);
void am_st_tail_drop(struct am_st_tail *t);

#endif
