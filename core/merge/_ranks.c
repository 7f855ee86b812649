/*
 * _ranks.c - see _ranks.h.
 */
#include "core/merge/_ranks.h"

#include <stdbool.h>
#include <string.h>

#define SHORT 24 /* entries that are sorted by insertion */
#define DIGITS_MAX 2048

struct list {
    uint32_t *key, *index;
};

static uint32_t key_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u & 0x7fffffff;
}

/* From the last entry to the first, so that a stable sort leaves equal ones in that order. */
static void gather(const float *x, size_t n, size_t stride, struct list to)
{
    for (size_t i = 0; i < n; i++) {
        to.key[i] = key_of(x[(n - 1 - i) * stride]);
        to.index[i] = (uint32_t)(n - 1 - i);
    }
}

static void insert(struct list l, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t key = l.key[i], index = l.index[i];
        size_t at = i;
        for (; at > 0 && l.key[at - 1] > key; at--) {
            l.key[at] = l.key[at - 1];
            l.index[at] = l.index[at - 1];
        }
        l.key[at] = key;
        l.index[at] = index;
    }
}

/* One digit; false when all entries have the same one, and nothing was moved. */
static bool by_digit(struct list from, struct list to, size_t n, unsigned shift, uint32_t mask)
{
    uint32_t at[DIGITS_MAX], sum = 0;
    memset(at, 0, (mask + 1) * sizeof(*at));
    for (size_t i = 0; i < n; i++)
        at[from.key[i] >> shift & mask]++;
    if (at[from.key[0] >> shift & mask] == n)
        return false;
    for (size_t d = 0; d <= mask; d++) {
        uint32_t count = at[d];
        at[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t place = at[from.key[i] >> shift & mask]++;
        to.key[place] = from.key[i];
        to.index[place] = from.index[i];
    }
    return true;
}

const uint32_t *am_ranks(const float *x, size_t n, size_t stride, uint32_t *const work[AM_RANKS_WORK])
{
    struct list now = {work[0], work[1]}, other = {work[2], work[3]};
    unsigned bits = n < 1024 ? 8 : 11; /* clearing many counters costs more than a pass over few entries */
    gather(x, n, stride, now);
    if (n <= SHORT) {
        insert(now, n);
        return now.index;
    }
    for (unsigned shift = 0; shift < 31; shift += bits) {
        if (!by_digit(now, other, n, shift, (1u << bits) - 1))
            continue;
        struct list swap = now;
        now = other;
        other = swap;
    }
    return now.index;
}
