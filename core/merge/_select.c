/*
 * _select.c - the selection of merge.md A4: brackets of keys, walked from the top. Shapes, order and rounds: _select.h.
 */
#include "core/merge/_select.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <string.h>

#define KEYS AM_SELECT_KEYS
_Static_assert(AM_SELECT_GUESSES == 2, "am_drop_keys()");
#define FULL_SHIFT 20   /* the whole range in AM_SELECT_BINS bins */
#define SAMPLE 32       /* taken of each tile on average, fewer when their list would not hold them */
#define SAMPLED_TILES 8 /* one of so many */
#define FINE 4096       /* bins into which a part of a list is counted */

/* An entry of a list: its key, tile and window. Lists are in the order of tiles, and more is not asked. */
#define ENTRY(window, tile) ((window) << 44 | (uint64_t)(tile) << 31)
#define ENTRY_KEY(e) ((uint32_t)((e) & (KEYS - 1)))
#define ENTRY_TILE(e) ((unsigned)((e) >> 31 & 0x1fff))
#define ENTRY_WINDOW(e) ((e) >> 44)

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
        /* The place moves from tile to tile, so that columns of a matrix have no say in it. Neighbours of one tile in
           eight are read with less ado than fewer of each. */
        uint32_t mixed = ((uint32_t)w->index * 64 + w->tile) * 2654435769u;
        uint64_t room = (uint64_t)am_list_entries(elements) * AM_TILE / elements;
        size_t take = SAMPLED_TILES * (room > SAMPLE ? SAMPLE : room > 1 ? (size_t)room : 1);
        if ((w->tile + w->index) % SAMPLED_TILES != 0)
            return false;
        ret->sample = true;
        ret->n = w->n < take ? w->n : take;
        ret->first = (size_t)(mixed >> 8) % (w->n - ret->n + 1);
    }
    return ret->n > 0;
}

size_t am_selects_look(const struct am_selects *sofar, uint64_t elements, const struct am_window *w, size_t *ret_first)
{
    struct am_part part = {0};
    if (!sofar && !am_select_part(NULL, elements, w, &part))
        part.n = 0;
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

static void count_only(struct am_select *acc, const float *x, const struct am_part *part)
{
    acc->over = acc->ragged = true;
    acc->above += am_count_range(x, part->n, acc->low, acc->high, acc->shift, acc->bins.part);
}

/* The counts of the guesses in the tile at hand. */
static void count_guesses(struct am_select *acc, const struct am_part *part, const uint32_t count[AM_SELECT_GUESSES])
{
    acc->ragged |= part->tile != acc->in_tiles || part->tile >= AM_SELECT_TILES_WINDOW;
    for (size_t g = 0; !acc->ragged && g < AM_SELECT_GUESSES; g++) {
        acc->in_tile[acc->in_tiles * AM_SELECT_GUESSES + g] = (uint16_t)count[g];
        acc->guess_total[g] += count[g];
    }
    acc->in_tiles += !acc->ragged;
}

static void count_bin(struct am_select *acc, uint32_t key, uint32_t count)
{
    acc->bins.part[(key - acc->low) >> acc->shift] += count;
}

/* Of the keys, which are in its bracket, those of a guess are counted, many as they are, and the others listed. All go
   into bins. */
static void take_keys(struct am_select *acc, uint32_t *key, size_t n, const struct am_part *part)
{
    uint32_t count[AM_SELECT_GUESSES] = {0};
    if (acc->guessed)
        n = am_drop_keys(key, n, acc->guess, count);
    uint64_t entry = ENTRY(part->window, part->tile), *to = acc->list + acc->listed;
    acc->over |= n > acc->room - acc->listed;
    for (size_t i = 0; i < n; i++)
        count_bin(acc, key[i], 1);
    for (size_t i = 0; !acc->over && i < n; i++)
        to[i] = entry | key[i];
    acc->listed += acc->over ? 0 : (uint32_t)n;
    for (size_t g = 0; acc->guessed && g < AM_SELECT_GUESSES; g++)
        if (count[g])
            count_bin(acc, acc->guess[g], count[g]);
    if (acc->guessed)
        count_guesses(acc, part, count);
}

/* One rank's keys among those of several: keys are the bits of magnitudes. */
static void take_own(struct am_select *acc, const uint32_t *key, size_t n, const struct am_part *part)
{
    const struct am_key_ranges range = {.n = 1, .low = {acc->low}, .high = {acc->high}};
    uint32_t own[AM_TILE];
    float x[AM_TILE];
    uint64_t above = 0; /* of the listed ones only */
    memcpy(x, key, n * sizeof(*x));
    take_keys(acc, own, am_list_range(x, n, &range, own, &above), part);
}

/* x NULL: the keys of a difference. */
static void list_keys(struct am_select *const *acc, size_t ranks, const float *x, const struct am_bf16_pair *pair,
                      const struct am_part *part)
{
    uint32_t key[AM_TILE];
    uint64_t above[AM_KEY_RANGES] = {0};
    struct am_key_ranges ranges = {.n = ranks};
    for (size_t r = 0; r < ranks; r++) {
        ranges.low[r] = acc[r]->low;
        ranges.high[r] = acc[r]->high;
    }
    size_t n = x ? am_list_range(x, part->n, &ranges, key, above)
                 : am_list_delta_bf16(pair->x, pair->y, part->n, &ranges, key, above);
    for (size_t r = 0; r < ranks; r++) {
        acc[r]->above += above[r];
        if (ranks > 1)
            take_own(acc[r], key, n, part);
        else
            take_keys(acc[r], key, n, part);
    }
}

/* The round's bracket into a window's own accumulator. */
static void take_round(const struct am_select *sofar, struct am_select *acc, const struct am_part *part)
{
    acc->window = part->window;
    if (begun(sofar)) {
        acc->stage = sofar->stage;
        acc->low = sofar->low;
        acc->high = sofar->high;
        acc->shift = sofar->shift;
        acc->guessed = sofar->guessed;
        memcpy(acc->guess, sofar->guess, sizeof(acc->guess));
    } else {
        whole(acc, part->sample);
    }
}

/* The bracket is narrow, and an entry can say where in the data it is. */
static bool can_list(const struct am_select *acc, const struct am_part *part)
{
    bool places = part->n <= AM_TILE && part->tile <= 0x1fff && part->window <= 0xfffff;
    return acc->stage != AM_SELECT_EQUAL && acc->list && places && (part->sample || acc->high - acc->low < KEYS);
}

static int count_each(struct am_select *acc, const float *x, const struct am_part *part)
{
    if (acc->stage != AM_SELECT_EQUAL) {
        count_only(acc, x, part);
        return 0;
    }
    if (part->tile >= AM_SELECT_BINS)
        return -AM_E_INTERNAL;
    acc->bins.part[part->tile] = (uint32_t)am_count_equal(x, part->n, acc->low);
    acc->tiles = part->tile + 1;
    return 0;
}

/* x NULL: of a pair, whose differences go to `room` where they are needed one by one. */
static int count(const struct am_select_round *rank, size_t ranks, const float *x, const struct am_bf16_pair *pair,
                 float *room, const struct am_part *part)
{
    struct am_select *list[AM_KEY_RANGES], *each[AM_KEY_RANGES];
    size_t lists = 0, others = 0;
    for (size_t r = 0; r < ranks; r++) {
        take_round(rank[r].sofar, rank[r].acc, part);
        if (can_list(rank[r].acc, part))
            list[lists++] = rank[r].acc;
        else
            each[others++] = rank[r].acc;
    }
    if (lists)
        list_keys(list, lists, x, pair, part);
    if (others && !x) {
        am_sub_bf16(room, pair->x, pair->y, part->n);
        x = room;
    }
    for (size_t i = 0; i < others; i++)
        AM_TRY(count_each(each[i], x, part));
    return 0;
}

int am_select_count(const struct am_select_round *rank, size_t ranks, const float *x, const struct am_part *part)
{
    return count(rank, ranks, x, NULL, NULL, part);
}

int am_select_count_bf16(const struct am_select_round *rank, size_t ranks, const struct am_bf16_pair *pair, float *room,
                         const struct am_part *part)
{
    return count(rank, ranks, NULL, pair, room, part);
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

static void merge_lists(struct am_select *into, const struct am_select *from)
{
    bool fits = into->list && from->list && !from->over && from->listed <= into->room - into->listed;
    into->over |= !fits;
    if (into->over)
        return;
    memcpy(into->list + into->listed, from->list, from->listed * sizeof(*from->list));
    into->listed += from->listed;
}

static void merge_tiles(struct am_select *into, const struct am_select *from)
{
    unsigned a_window = into->in_tiles ? into->a_window : from->in_tiles;
    into->ragged |= from->ragged || !into->in_tile || from->in_tiles > into->tiles_room - into->in_tiles ||
                    from->in_tiles > a_window || into->in_tiles != from->window * a_window;
    if (into->ragged)
        return;
    into->a_window = a_window;
    memcpy(into->in_tile + into->in_tiles * AM_SELECT_GUESSES, from->in_tile,
           from->in_tiles * AM_SELECT_GUESSES * sizeof(*from->in_tile));
    into->in_tiles += from->in_tiles;
    for (size_t g = 0; g < AM_SELECT_GUESSES; g++)
        into->guess_total[g] += from->guess_total[g];
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
    merge_lists(into, from);
    if (from->guessed)
        merge_tiles(into, from);
    into->sampled = from->stage == AM_SELECT_SAMPLE;
    into->above += from->above;
    for (size_t b = 0, n = bins_of(from); b < n; b++)
        into->bins.total[b] += from->bins.part[b];
}

/* A list of at most `entries` in `bytes` at `at`, and behind it the counts of tiles. */
static void set_list(struct am_select *r, char *at, size_t bytes, size_t entries)
{
    r->list = (uint64_t *)(void *)at;
    r->room = (uint32_t)entries;
    r->in_tile = (uint16_t *)(void *)(at + entries * sizeof(*r->list));
    r->tiles_room = (uint32_t)((bytes - entries * sizeof(*r->list)) / (AM_SELECT_GUESSES * sizeof(*r->in_tile)));
}

void am_selects_begin(struct am_selects *acc, size_t ranks, uint64_t elements, const struct am_window *w)
{
    size_t tiles = AM_SELECT_TILES_WINDOW * AM_SELECT_GUESSES * sizeof(uint16_t),
           bytes = w->list_bytes / ranks / 64 * 64;
    size_t entries = bytes > tiles ? (bytes - tiles) / sizeof(uint64_t) : 0;
    acc->n = ranks;
    acc->elements = elements;
    acc->scope_list = w->scope_list;
    for (size_t i = 0; i < ranks && entries && w->scope_list; i++)
        set_list(&acc->rank[i], (char *)w->list + i * bytes, bytes,
                 entries < AM_SELECT_LIST_WINDOW ? entries : AM_SELECT_LIST_WINDOW);
}

int am_selects_merge(void *to, const void *window, unsigned pass)
{
    (void)pass;
    struct am_selects *into = to;
    const struct am_selects *from = window;
    if (from->n == 0) /* nothing of this window was looked at */
        return 0;
    into->n = from->n;
    into->elements = from->elements;
    for (size_t i = 0; i < from->n; i++) {
        if (from->rank[i].list)
            set_list(&into->rank[i], (char *)from->scope_list + i * am_list_scope(from->elements),
                     am_list_scope(from->elements), am_list_entries(from->elements));
        am_select_merge(&into->rank[i], &from->rank[i]);
    }
    return 0;
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

static bool listed(const struct am_select *s)
{
    return s->list && !s->over;
}

static void bin_bounds(const struct am_select *s, long bin, uint32_t *low, uint32_t *high)
{
    uint64_t first = s->low + ((uint64_t)bin << s->shift), end = first + (UINT64_C(1) << s->shift);
    *low = (uint32_t)first;
    *high = end < s->high ? (uint32_t)end : s->high;
}

/* A part [low, low + 2^bits) of the bracket, and a rank from the top inside it. */
struct span {
    uint32_t low;
    unsigned bits;
    uint64_t rank, count; /* count: entries in it */
};

/* Makes it finer, by the list and the counts of guesses. */
static void refine(const struct am_select *s, struct span *p)
{
    uint64_t bin[FINE] = {0};
    uint32_t mask = (1u << p->bits) - 1;
    unsigned shift = p->bits > 12 ? p->bits - 12 : 0;
    for (uint32_t i = 0; i < s->listed; i++) {
        uint32_t off = ENTRY_KEY(s->list[i]) - p->low;
        if (off <= mask)
            bin[off >> shift]++;
    }
    for (int g = 0; s->guessed && g < AM_SELECT_GUESSES; g++) {
        uint32_t off = s->guess[g] - p->low;
        if (off <= mask)
            bin[off >> shift] += s->guess_total[g];
    }
    size_t b = mask >> shift;
    while (b > 0 && p->rank > bin[b])
        p->rank -= bin[b--];
    p->count = bin[b];
    p->low += (uint32_t)b << shift;
    p->bits = shift;
}

/* The sample's entry number `rank` from the top, as a bracket [*low, *high) that holds its key: a bin, or with the list
   the key itself. */
static void sample_at(const struct am_select *s, uint64_t rank, uint32_t *low, uint32_t *high)
{
    long bin = walk(s, &rank);
    struct span p = {.low = (uint32_t)bin << s->shift, .bits = s->shift, .rank = rank};
    while (listed(s) && p.bits > 0)
        refine(s, &p);
    *low = p.low;
    *high = p.low + (1u << p.bits);
}

/* A bracket about the wanted quantile of the sample, two and a half standard errors to each side. */
static void guess(struct am_select *s, uint64_t k, uint64_t elements)
{
    uint64_t sampled = 0;
    uint32_t low = 0, high = KEYS, other;
    for (size_t b = 0; b < AM_SELECT_BINS; b++)
        sampled += s->bins.total[b];
    double q = (double)k / (double)elements, rank = q * (double)sampled;
    double spread = 2.5 * sqrt(rank * (1 - q)) + 2;
    bool inside = rank - spread >= 1 && rank + spread < (double)sampled;
    if (rank - spread >= 1)
        sample_at(s, (uint64_t)(rank - spread), &other, &high);
    if (rank + spread < (double)sampled)
        sample_at(s, (uint64_t)(rank + spread) + 1, &low, &other);
    s->guessed = inside && listed(s);
    s->guess[0] = high - 1;
    s->guess[1] = low == high - 1 ? KEYS : low;
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

/* The guess that all entries of a bin are equal to, or -1. */
static int guess_of(const struct am_select *s, long bin)
{
    uint32_t low, high;
    bin_bounds(s, bin, &low, &high);
    for (int g = 0; s->guessed && !s->ragged && g < AM_SELECT_GUESSES; g++)
        if (s->guess[g] >= low && s->guess[g] < high && s->guess_total[g] == s->bins.total[bin])
            return g;
    return -1;
}

/* The guess was right: the counts of tiles say where its entries run out. */
static int settle_guess(struct am_select *s, int g, uint64_t rank, enum am_equals equals)
{
    if (at_threshold(s, s->guess[g], rank, s->guess_total[g], equals) == 0)
        return 0;
    uint64_t seen = 0;
    for (uint32_t i = 0; seen < s->quota && i < s->in_tiles; i++) {
        uint64_t before = seen;
        seen += s->in_tile[i * AM_SELECT_GUESSES + (uint32_t)g];
        if (seen < s->quota)
            continue;
        s->cut = i / s->a_window;
        s->cut_tile = i % s->a_window;
        s->cut_quota = s->quota - before;
    }
    return finish(s, s->guess[g]);
}

/* All of the bracket is in the list or counted: the threshold, and where its entries run out, without another look at
 * the data. */
static int settle(struct am_select *s, long bin, uint64_t rank, enum am_equals equals)
{
    struct span p = {.low = s->low + ((uint32_t)bin << s->shift), .bits = s->shift, .rank = rank};
    p.count = s->bins.total[bin];
    while (p.bits > 0)
        refine(s, &p);
    for (int g = 0; s->guessed && g < AM_SELECT_GUESSES; g++)
        if (s->guess[g] == p.low)
            return settle_guess(s, g, p.rank, equals);
    if (at_threshold(s, p.low, p.rank, p.count, equals) == 0)
        return 0;
    uint64_t seen = 0, before = 0, place = UINT64_MAX; /* before: seen before the tile at hand */
    for (uint32_t i = 0; seen < s->quota && i < s->listed; i++) {
        uint64_t e = s->list[i];
        if (ENTRY_KEY(e) != p.low)
            continue;
        before = e >> 31 == place ? before : seen;
        place = e >> 31;
        if (++seen < s->quota)
            continue;
        s->cut = ENTRY_WINDOW(e);
        s->cut_tile = ENTRY_TILE(e);
        s->cut_quota = seen - before;
    }
    return finish(s, p.low);
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
    if (listed(s) && !(s->guessed && s->ragged))
        return settle(s, bin, rank, equals);
    int g = guess_of(s, bin);
    if (g >= 0)
        return settle_guess(s, g, rank, equals);
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
    s->listed = 0;
    s->over = false;
    s->ragged = false;
    s->in_tiles = 0;
    memset(s->guess_total, 0, sizeof(s->guess_total));
    memset(&s->bins, 0, sizeof(s->bins));
    return again;
}
