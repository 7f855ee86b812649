/*
 * _select.c - the selection of merge.md A4: brackets of keys, walked from the top. Shapes, order and rounds: _select.h.
 */
#include "core/merge/_select.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <string.h>

#define KEYS 0x80000000u /* above every key */
#define FULL_SHIFT 19    /* the whole range in AM_SELECT_BINS bins */
#define SAMPLE 32        /* neighbours taken of each tile */

const struct am_edge am_edge_all = {.key = 0, .quota = UINT64_MAX};
const struct am_edge am_edge_none = {.key = KEYS - 1, .quota = 0};

static bool begun(const struct am_select *s)
{
    return s && s->stage != AM_SELECT_START;
}

bool am_select_part(const struct am_select *sofar, uint64_t elements, const struct am_window *w, struct am_part *ret)
{
    if (sofar && sofar->stage == AM_SELECT_DONE)
        return false;
    *ret = (struct am_part){.n = w->n, .window = w->index, .tile = w->tile};
    if (!begun(sofar) && elements >= AM_SELECT_SAMPLE_FROM) {
        /* The place moves from tile to tile, so that columns of a matrix have no say in it. */
        uint32_t mixed = ((uint32_t)w->index * 64 + w->tile) * 2654435769u;
        ret->sample = true;
        ret->n = w->n < SAMPLE ? w->n : SAMPLE;
        ret->first = (size_t)(mixed >> 8) % (w->n - ret->n + 1);
    }
    return ret->n > 0;
}

size_t am_selects_look(const struct am_selects *sofar, uint64_t elements, const struct am_window *w, size_t *ret_first)
{
    struct am_part part = {0};
    if (!sofar)
        am_select_part(NULL, elements, w, &part);
    for (size_t i = 0; sofar && i < sofar->n; i++)
        if (sofar->rank[i].stage != AM_SELECT_DONE && begun(&sofar->rank[i]))
            part.n = w->n;
    *ret_first = part.first;
    return part.n;
}

static size_t bins_of(const struct am_select *s)
{
    return ((uint64_t)s->high - s->low + (UINT64_C(1) << s->shift) - 1) >> s->shift;
}

static void whole(struct am_select *s, bool sample)
{
    s->stage = sample ? AM_SELECT_SAMPLE : AM_SELECT_NARROW;
    s->low = 0;
    s->high = KEYS;
    s->shift = FULL_SHIFT;
}

int am_select_count(const struct am_select *sofar, struct am_select *acc, const float *x, const struct am_part *part)
{
    acc->window = part->window;
    if (begun(sofar)) {
        acc->stage = sofar->stage;
        acc->low = sofar->low;
        acc->high = sofar->high;
        acc->shift = sofar->shift;
    } else {
        whole(acc, part->sample);
    }
    if (acc->stage == AM_SELECT_EQUAL) {
        if (part->tile >= AM_SELECT_BINS)
            return -AM_E_INTERNAL;
        acc->bins.part[part->tile] = (uint32_t)am_count_equal(x, part->n, acc->low);
        acc->tiles = part->tile + 1;
        return 0;
    }
    acc->above += am_count_range(x, part->n, acc->low, acc->high, acc->shift, acc->bins.part);
    return 0;
}

static void widen(struct am_select *s)
{
    for (size_t b = AM_SELECT_BINS; !s->wide && b-- > 0;) {
        uint64_t count = s->bins.part[b];
        s->bins.total[b] = count;
    }
    s->wide = true;
}

static void merge_equals(struct am_select *into, const struct am_select *from)
{
    for (unsigned t = 0; t < from->tiles; t++) {
        uint64_t before = into->equals;
        into->equals += from->bins.part[t];
        if (before < into->quota && into->equals >= into->quota) {
            into->cut = from->window;
            into->cut_tile = t;
            into->cut_quota = into->quota - before;
        }
    }
}

/* Other threads read stage and bracket of `into` meanwhile (as `sofar`): only am_select_next() writes them. */
void am_select_merge(struct am_select *into, const struct am_select *from)
{
    if (from->stage == AM_SELECT_START) /* nothing of this window was looked at */
        return;
    if (from->stage == AM_SELECT_EQUAL) {
        merge_equals(into, from);
        return;
    }
    widen(into);
    into->sampled = from->stage == AM_SELECT_SAMPLE;
    into->above += from->above;
    for (size_t b = 0, n = bins_of(from); b < n; b++)
        into->bins.total[b] += from->bins.part[b];
}

void am_selects_merge(struct am_selects *into, const struct am_selects *from)
{
    into->n = from->n;
    for (size_t i = 0; i < from->n; i++)
        am_select_merge(&into->rank[i], &from->rank[i]);
}

/* The finest bins that cover the bracket. */
static void open_bracket(struct am_select *s, uint32_t low, uint32_t high)
{
    s->stage = AM_SELECT_NARROW;
    s->low = low;
    s->high = high;
    s->shift = 0;
    while (bins_of(s) > AM_SELECT_BINS)
        s->shift++;
}

/* The bin of the entry number `rank` from the top (from 1), which becomes its number inside that bin; -1 below all. */
static long walk(const struct am_select *s, uint64_t *rank)
{
    for (size_t b = bins_of(s); b-- > 0;) {
        if (*rank <= s->bins.total[b])
            return (long)b;
        *rank -= s->bins.total[b];
    }
    return -1;
}

static void bin_bounds(const struct am_select *s, long bin, uint32_t *low, uint32_t *high)
{
    uint64_t first = s->low + ((uint64_t)bin << s->shift), end = first + (UINT64_C(1) << s->shift);
    *low = (uint32_t)first;
    *high = end < s->high ? (uint32_t)end : s->high;
}

/* A bracket about the wanted quantile of the sample, three standard errors to each side. */
static void guess(struct am_select *s, uint64_t k, uint64_t elements)
{
    uint64_t sampled = 0, up, down;
    uint32_t low = 0, high = KEYS, other;
    for (size_t b = 0; b < AM_SELECT_BINS; b++)
        sampled += s->bins.total[b];
    double q = (double)k / (double)elements, rank = q * (double)sampled;
    double spread = 3 * sqrt(rank * (1 - q)) + 2;
    if (rank - spread >= 1) {
        up = (uint64_t)(rank - spread);
        bin_bounds(s, walk(s, &up), &other, &high);
    }
    if (rank + spread < (double)sampled) {
        down = (uint64_t)(rank + spread) + 1;
        bin_bounds(s, walk(s, &down), &low, &other);
    }
    open_bracket(s, low, high);
}

static int finish(struct am_select *s, uint32_t key)
{
    s->stage = AM_SELECT_DONE;
    s->low = s->high = key;
    return 0;
}

/* The threshold is known; `left` of the `count` entries there are chosen. */
static int at_threshold(struct am_select *s, uint32_t key, uint64_t left, uint64_t count, enum am_equals equals)
{
    s->last = equals == AM_EQUALS_LAST;
    s->quota = s->last ? count - left : left;
    s->cut = UINT64_MAX;
    if (left == count) {
        s->last = false;
        return finish(s, key);
    }
    s->stage = AM_SELECT_EQUAL;
    s->low = s->high = key;
    return 1;
}

static int narrow(struct am_select *s, uint64_t k, enum am_equals equals)
{
    uint32_t low, high;
    uint64_t rank = k - s->above;
    if (k <= s->above) { /* the guess was too low */
        open_bracket(s, s->high, KEYS);
        return 1;
    }
    long bin = walk(s, &rank);
    if (bin < 0 && s->low == 0)
        return -AM_E_INTERNAL; /* fewer entries than announced */
    if (bin < 0) {             /* too high */
        open_bracket(s, 0, s->low);
        return 1;
    }
    if (s->shift == 0)
        return at_threshold(s, s->low + (uint32_t)bin, rank, s->bins.total[bin], equals);
    bin_bounds(s, bin, &low, &high);
    open_bracket(s, low, high);
    return 1;
}

int am_select_next(struct am_select *s, uint64_t k, uint64_t elements, enum am_equals equals)
{
    if (s->stage == AM_SELECT_DONE)
        return 0;
    if (k == 0 || k >= elements) {
        s->last = false;
        s->quota = 0;
        s->cut = k ? UINT64_MAX : 0; /* of key 0 all, of the greatest key none */
        return finish(s, k ? 0 : KEYS - 1);
    }
    if (s->stage == AM_SELECT_EQUAL) {
        s->stage = AM_SELECT_DONE;
        return 0;
    }
    if (s->stage == AM_SELECT_START)
        whole(s, s->sampled);
    widen(s);
    int again = 1;
    if (s->stage == AM_SELECT_SAMPLE)
        guess(s, k, elements);
    else
        again = narrow(s, k, equals);
    s->above = 0;
    memset(&s->bins, 0, sizeof(s->bins));
    return again;
}

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

size_t am_select_band(float *out, const float *x, size_t n, const struct am_edge *bottom, const struct am_edge *top)
{
    uint32_t low, high;
    uint64_t below = 0, over = 0;
    size_t kept = 0;
    top = top ? top : &am_edge_none;
    if (plain(bottom, &low) & plain(top, &high))
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
