/*
 * st_arena.c - memory for names and shapes of one header: chunks that are only given back together. See st_arena.h.
 * The ceiling is the header's own size: nothing is kept that the header did not spell out.
 */
#include "core/tensor/st_arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 65536u
#define ALONE 4096u /* from here on a string gets a chunk of its own size, so that little of a shared one is lost */

static struct am_st_chunk *chunk_new(size_t cap)
{
    struct am_st_chunk *c = malloc(sizeof(*c) + cap);
    if (c)
        *c = (struct am_st_chunk){.cap = cap};
    return c;
}

static int chunk_push(struct am_st_arena *a)
{
    struct am_st_chunk *c = chunk_new(CHUNK);
    if (!c)
        return -AM_E_OUT_OF_MEMORY;
    c->below = a->chunk;
    a->chunk = c;
    return 0;
}

void *am_st_arena_get(struct am_st_arena *a, size_t n)
{
    struct am_st_chunk *c = a->chunk;
    if (n > CHUNK)
        return NULL;
    if (!c || c->cap - c->used < n + 8) {
        if (chunk_push(a) < 0)
            return NULL;
        c = a->chunk;
    }
    c->used = (c->used + 7) & ~(size_t)7;
    void *p = c->data + c->used;
    c->used += n;
    return p;
}

void am_st_arena_done(struct am_st_arena *a)
{
    while (a->chunk) {
        struct am_st_chunk *below = a->chunk->below;
        free(a->chunk);
        a->chunk = below;
    }
}

int am_st_tail_open(struct am_st_tail *t, struct am_st_arena *a)
{
    if (!a->chunk || a->chunk->cap - a->chunk->used < 64)
        AM_TRY(chunk_push(a));
    struct am_st_chunk *c = a->chunk;
    *t = (struct am_st_tail){.arena = a, .text = c->data + c->used, .cap = c->cap - c->used};
    return 0;
}

/* More than ALONE bytes: a chunk of its own, at most as long as what can still come (`rest`). */
static int tail_alone(struct am_st_tail *t, size_t need, uint64_t rest)
{
    size_t cap = need * 2;
    if (cap - need > rest)
        cap = need + (size_t)rest;
    struct am_st_chunk *c = realloc(t->own, sizeof(*c) + cap);
    if (!c)
        return -AM_E_OUT_OF_MEMORY;
    if (!t->own)
        memcpy(c->data, t->text, t->len);
    c->used = c->cap = cap;
    t->own = c;
    t->text = c->data;
    t->cap = cap;
    return 0;
}

int am_st_tail_put(struct am_st_tail *t, const void *bytes, size_t n, uint64_t rest)
{
    size_t need = t->len + n + 1;
    if (need > t->cap) {
        if (t->own || need > ALONE) {
            AM_TRY(tail_alone(t, need, rest));
        } else {
            AM_TRY(chunk_push(t->arena));
            struct am_st_chunk *c = t->arena->chunk;
            memcpy(c->data, t->text, t->len);
            t->text = c->data;
            t->cap = c->cap;
        }
    }
    memcpy(t->text + t->len, bytes, n);
    t->len += n;
    return 0;
}

void am_st_tail_keep(struct am_st_tail *t)
{
    struct am_st_arena *a = t->arena;
    if (!t->own) {
        a->chunk->used += t->len + 1;
        return;
    }
    struct am_st_chunk *c = realloc(t->own, sizeof(*c) + t->len + 1);
    if (!c)
        c = t->own;
    c->used = c->cap = t->len + 1;
    t->text = c->data;
    t->own = NULL;
    /* Below the chunk that is being filled, so that its room is not lost. */
    c->below = a->chunk ? a->chunk->below : NULL;
    if (a->chunk)
        a->chunk->below = c;
    else
        a->chunk = c;
}

void am_st_tail_drop(struct am_st_tail *t)
{
    free(t->own);
    *t = (struct am_st_tail){0};
}
