/*
 * _select_keep.c - what a selection that is done keeps of a tile, and the selection of one row in memory (_select.h).
 */
#include "core/merge/_select.h"

#include "core/tensor/kernels.h"

#include <string.h>

#define KEYS AM_SELECT_KEYS

const struct am_edge am_edge_all = {.key = 0, .quota = UINT64_MAX};
const struct am_edge am_edge_none = {.key = KEYS - 1, .quota = 0};

struct am_edge am_select_edge(const struct am_select *s, const struct am_window *w)
{
    struct am_edge e = {.key = s->low, .last = false, .quota = 0};
    bool before = w->index < s->cut || (w->index == s->cut && w->tile < s->cut_tile);
    if (w->index == s->cut && w->tile == s->cut_tile) {
        e.last = s->last;
        e.quota = s->cut_quota;
    } else if (before != s->last) {
        e.quota = UINT64_MAX;
    }
    return e;
}

float am_select_threshold(const struct am_select *s)
{
    float x;
    memcpy(&x, &s->low, sizeof(x));
    return x;
}

static uint32_t key_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u & (KEYS - 1);
}

static bool chosen(const struct am_edge *e, uint32_t u, uint64_t *equals)
{
    if (u != e->key)
        return u > e->key;
    return (*equals < e->quota && ++*equals) != e->last;
}

/* No entry must be counted: the lowest chosen key. */
static bool plain(const struct am_edge *e, uint32_t *ret)
{
    *ret = e->quota ? e->key : e->key + 1;
    return !e->last && (e->quota == 0 || e->quota == UINT64_MAX);
}

bool am_select_plain(const struct am_edge *bottom, const struct am_edge *top, uint32_t *low, uint32_t *high)
{
    return plain(bottom, low) & plain(top, high);
}

size_t am_select_band(float *out, const float *x, size_t n, const struct am_edge *bottom, const struct am_edge *top)
{
    uint32_t low, high;
    uint64_t below = 0, over = 0;
    size_t kept = 0;
    top = top ? top : &am_edge_none;
    if (am_select_plain(bottom, top, &low, &high))
        return am_keep_range(out, x, n, low, high);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = key_of(x[i]);
        bool in = chosen(bottom, u, &below), dropped = chosen(top, u, &over);
        out[i] = in && !dropped ? x[i] : 0.0f;
        kept += in && !dropped;
    }
    return kept;
}

/* Few entries: the k-th largest key by insertion. */
static struct am_edge short_row(const float *x, size_t n, size_t k)
{
    uint32_t sorted[16];
    for (size_t i = 0; i < n; i++) {
        uint32_t u = key_of(x[i]);
        size_t at = i;
        for (; at > 0 && sorted[at - 1] < u; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = u;
    }
    uint64_t quota = 1;
    while (quota < k && sorted[k - 1 - quota] == sorted[k - 1])
        quota++;
    return (struct am_edge){.key = sorted[k - 1], .quota = sorted[k] == sorted[k - 1] ? quota : UINT64_MAX};
}

struct am_edge am_select_row(const float *x, size_t n, size_t k)
{
    if (k == 0)
        return am_edge_none;
    if (k >= n)
        return am_edge_all;
    if (n <= 16)
        return short_row(x, n, k);
    uint32_t low = 0, high = KEYS;
    uint64_t rank = k;
    for (unsigned shift = 23;; shift = shift > 8 ? shift - 8 : 0) {
        uint32_t bins[256] = {0}, b = ((high - low) >> shift) - 1;
        rank = k - am_count_range(x, n, low, high, shift, bins);
        while (rank > bins[b])
            rank -= bins[b--];
        low += b << shift;
        high = low + (1u << shift);
        if (shift == 0)
            return (struct am_edge){.key = low, .quota = rank == bins[b] ? UINT64_MAX : rank};
    }
}

uint64_t am_select_share(double share, uint64_t n)
{
    double k = floor(share * (double)n * (1 + 4 * 0x1p-52));
    return k < (double)n ? (uint64_t)k : n;
}

uint64_t am_select_truncated(double share, uint64_t n)
{
    double k = floor(share * (double)n);
    return k < (double)n ? (uint64_t)k : n;
}
