/*
 * cache.c - see cache.h. One lock: what it covers is a look at 64 hashes.
 */
#include "server/cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t hash, used; /* used: the higher, the later; 0 = free */
    struct am_stamp stamp;
    struct am_answer *answer;
    char key[AM_CACHE_KEY];
};

struct am_cache {
    pthread_mutex_t lock;
    uint64_t uses;
    struct entry v[AM_CACHE_ENTRIES];
};

struct am_cache *am_cache_new(void)
{
    struct am_cache *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void am_cache_free(struct am_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < AM_CACHE_ENTRIES; i++)
        am_answer_unref(c->v[i].answer);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct am_answer *am_answer_new(size_t n, const char *etag)
{
    struct am_answer *a = malloc(sizeof *a + n);
    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    snprintf(a->etag, sizeof a->etag, "%s", etag);
    a->n = n;
    return a;
}

void am_answer_unref(void *answer)
{
    struct am_answer *a = answer;
    if (a && atomic_fetch_sub(&a->refs, 1) == 1)
        free(a);
}

static uint64_t hash_of(const char *key)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return h;
}

/* Under the lock. */
static struct entry *find(struct am_cache *c, uint64_t hash, const char *key)
{
    for (size_t i = 0; i < AM_CACHE_ENTRIES; i++)
        if (c->v[i].used && c->v[i].hash == hash && strcmp(c->v[i].key, key) == 0)
            return &c->v[i];
    return NULL;
}

static struct entry *oldest(struct am_cache *c)
{
    struct entry *e = &c->v[0];
    for (size_t i = 1; i < AM_CACHE_ENTRIES; i++)
        if (c->v[i].used < e->used)
            e = &c->v[i];
    return e;
}

static bool is_same(struct am_stamp a, struct am_stamp b)
{
    return a.store == b.store && a.engine == b.engine;
}

struct am_answer *am_cache_get(struct am_cache *c, const char *key, struct am_stamp stamp)
{
    struct am_answer *a = NULL;
    uint64_t hash = hash_of(key);
    pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, hash, key);
    if (e && is_same(e->stamp, stamp)) {
        e->used = ++c->uses;
        a = e->answer;
        atomic_fetch_add(&a->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    return a;
}

/* Counters only grow: what was made under smaller ones is the older of two. */
static bool is_newer(struct am_stamp a, struct am_stamp b)
{
    return a.store > b.store || a.engine > b.engine;
}

void am_cache_put(struct am_cache *c, const char *key, struct am_stamp before, struct am_stamp after,
                  struct am_answer *a)
{
    struct am_answer *old = NULL;
    bool quiet = before.store % 2 == 0 && is_same(before, after);
    if (!quiet || a->n > AM_ANSWER_MAX || strlen(key) >= AM_CACHE_KEY)
        return;
    uint64_t hash = hash_of(key);
    pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, hash, key);
    if (!e || !is_newer(e->stamp, before)) {
        e = e ? e : oldest(c);
        old = e->answer;
        *e = (struct entry){.hash = hash, .used = ++c->uses, .stamp = before, .answer = a};
        memcpy(e->key, key, strlen(key) + 1);
        atomic_fetch_add(&a->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    am_answer_unref(old);
}
