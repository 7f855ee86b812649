/*
 * _select.c - the histogram selection of merge.md A4, walked from the bottom.
 */
#include "core/edit/_select.h"

#include <string.h>

static uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits & 0x7fffffffu;
}

static void touch(struct am_select *s, uint32_t low, uint32_t high)
{
    if (low >= high)
        return;
    if (s->low == s->high) {
        s->low = low;
        s->high = high;
        return;
    }
    s->low = low < s->low ? low : s->low;
    s->high = high > s->high ? high : s->high;
}

void am_select_count(const struct am_select *sofar, struct am_select *acc, const float *x, size_t n, uint64_t window)
{
    enum am_select_stage stage = sofar ? sofar->stage : AM_SELECT_UPPER;
    uint32_t low = AM_SELECT_BINS, high = 0;
    acc->stage = stage;
    acc->window = window;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = magnitude(x[i]), bin = u >> 16;
        if (stage == AM_SELECT_EQUALS) {
            acc->equals += u == sofar->threshold;
            continue;
        }
        if (stage == AM_SELECT_LOWER) {
            if (bin != sofar->bin)
                continue;
            bin = u & 0xffff;
        }
        acc->count[bin]++;
        low = bin < low ? bin : low;
        high = bin >= high ? bin + 1 : high;
    }
    touch(acc, low, high);
}

void am_select_merge(struct am_select *into, const struct am_select *from)
{
    if (into->stage == AM_SELECT_EQUALS) {
        uint64_t before = into->equals;
        into->equals += from->equals;
        if (before < into->quota && into->equals >= into->quota) {
            into->cut = from->window;
            into->cut_quota = into->quota - before;
        }
        return;
    }
    for (uint32_t b = from->low; b < from->high; b++)
        into->count[b] += from->count[b];
    touch(into, from->low, from->high);
}

static void clear(struct am_select *s)
{
    memset(&s->count[s->low], 0, (s->high - s->low) * sizeof(s->count[0]));
    s->low = s->high = 0;
}

/* The bin that holds entry number `rank` (from 1); *rank becomes its number inside that bin. */
static uint32_t walk(const struct am_select *s, uint64_t *rank)
{
    uint32_t b = s->low;
    while (*rank > s->count[b])
        *rank -= s->count[b++];
    return b;
}

static int finish(struct am_select *s, uint32_t threshold)
{
    s->threshold = threshold;
    s->quota = 0;
    s->stage = AM_SELECT_DONE;
    clear(s);
    return 0;
}

int am_select_next(struct am_select *s, uint64_t k, uint64_t elements)
{
    uint64_t rank = k;
    if (s->stage == AM_SELECT_EQUALS) {
        s->stage = AM_SELECT_DONE;
        return 0;
    }
    if (k == 0)
        return finish(s, 0);
    if (k >= elements)
        return finish(s, 0x80000000u); /* above every magnitude */
    if (s->stage == AM_SELECT_UPPER) {
        s->bin = walk(s, &rank);
        if (rank == s->count[s->bin])
            return finish(s, (s->bin + 1) << 16);
        s->quota = rank;
        s->stage = AM_SELECT_LOWER;
        clear(s);
        return 1;
    }
    rank = s->quota;
    uint32_t low = walk(s, &rank), value = s->bin << 16 | low;
    if (rank == s->count[low])
        return finish(s, value + 1);
    s->threshold = value;
    s->quota = rank;
    s->stage = AM_SELECT_EQUALS;
    clear(s);
    return 1;
}

void am_select_zero(const struct am_select *s, const float *x, float *out, size_t n, uint64_t window)
{
    uint64_t left = 0;
    if (s->quota)
        left = window < s->cut ? n : window == s->cut ? s->cut_quota : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = magnitude(x[i]);
        int chosen = u < s->threshold;
        if (u == s->threshold && left) {
            chosen = 1;
            left--;
        }
        out[i] = chosen ? 0.0f : x[i];
    }
}
