/*
 * pack_dict.c - distinct texts with numbers. See pack.h.
 */
#include "worker/pack.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h ^ (h >> 29);
}

const char *am_pack_dict_text(const struct am_pack_dict *d, size_t entry)
{
    return d->text + d->at[entry];
}

/* The slot of a text, or the free one where it belongs. */
static size_t seat_of(const struct am_pack_dict *d, const char *text)
{
    size_t i = (size_t)hash_of(text) & (d->slots - 1);
    while (d->slot[i] && !am_streq(am_pack_dict_text(d, d->slot[i] - 1), text))
        i = (i + 1) & (d->slots - 1);
    return i;
}

static int grow(struct am_pack_dict *d)
{
    size_t cap = d->cap ? 2 * d->cap : 16;
    uint64_t *at = reallocarray(d->at, cap, sizeof *at);
    if (!at)
        return -AM_E_OUT_OF_MEMORY;
    d->at = at;
    uint32_t *slot = calloc(2 * cap, sizeof *slot);
    if (!slot)
        return -AM_E_OUT_OF_MEMORY;
    free(d->slot);
    d->slot = slot;
    d->slots = 2 * cap;
    d->cap = cap;
    for (size_t i = 0; i < d->n; i++)
        d->slot[seat_of(d, am_pack_dict_text(d, i))] = (uint32_t)i + 1;
    return 0;
}

static int keep(struct am_pack_dict *d, const char *text)
{
    size_t n = strlen(text) + 1;
    if (n > d->bytes_cap - d->bytes) {
        size_t cap = 2 * d->bytes_cap + n + 256;
        char *bigger = realloc(d->text, cap);
        if (!bigger)
            return -AM_E_OUT_OF_MEMORY;
        d->text = bigger;
        d->bytes_cap = cap;
    }
    memcpy(d->text + d->bytes, text, n);
    d->at[d->n++] = d->bytes;
    d->bytes += n;
    return 0;
}

int am_pack_dict_take(struct am_pack_dict *d, const char *text, size_t max, uint32_t *ret)
{
    if (d->n == d->cap)
        AM_TRY(grow(d));
    size_t i = seat_of(d, text);
    if (!d->slot[i]) {
        if (d->n >= max)
            return -AM_E_TOO_LARGE;
        AM_TRY(keep(d, text));
        d->slot[i] = (uint32_t)d->n;
    }
    *ret = d->slot[i] - 1;
    return 0;
}

static int by_text(const void *a, const void *b, void *arg)
{
    const struct am_pack_dict *d = arg;
    return strcmp(am_pack_dict_text(d, *(const uint32_t *)a), am_pack_dict_text(d, *(const uint32_t *)b));
}

uint32_t *am_pack_dict_ranks(const struct am_pack_dict *d)
{
    uint32_t *sorted = calloc(d->n + 1, sizeof *sorted), *rank = calloc(d->n + 1, sizeof *rank);
    for (size_t i = 0; sorted && i < d->n; i++)
        sorted[i] = (uint32_t)i;
    if (sorted && rank) {
        qsort_r(sorted, d->n, sizeof *sorted, by_text, (void *)(uintptr_t)d);
        for (size_t i = 0; i < d->n; i++)
            rank[sorted[i]] = (uint32_t)i;
        free(sorted);
        return rank;
    }
    free(sorted);
    free(rank);
    return NULL;
}

json_t *am_pack_dict_sorted(const struct am_pack_dict *d)
{
    uint32_t *rank = am_pack_dict_ranks(d);
    json_t *texts = rank ? json_array() : NULL;
    for (size_t i = 0; texts && i < d->n; i++)
        json_array_append_new(texts, json_null());
    for (size_t i = 0; texts && i < d->n; i++)
        json_array_set_new(texts, rank[i], json_string(am_pack_dict_text(d, i)));
    free(rank);
    return texts;
}

uint64_t am_pack_dict_memory(const struct am_pack_dict *d)
{
    return d->bytes_cap + d->cap * sizeof *d->at + d->slots * sizeof *d->slot;
}

void am_pack_dict_done(struct am_pack_dict *d)
{
    free(d->text);
    free(d->at);
    free(d->slot);
    *d = (struct am_pack_dict){0};
}
