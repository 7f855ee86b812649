/*
 * _ranks.c - see _ranks.h.
 */
#include "core/merge/_ranks.h"

#include "core/tensor/kernels.h"

#include <stdbool.h>
#include <string.h>

#define SHORT 24 /* entries that are sorted by insertion */
/* 64 for each of the upper 16 octaves of a long vector, and fewer of a shorter one; the rest is in bin 0. */
#define BINS 1024
#define ROUNDS 128 /* entries whose smaller keys are counted one by one, at most */
#define MARK 0x80000000u
#define DIGITS 256
#define STEP 64 /* words of a rank, at least, where bins are asked */

struct list {
    uint32_t *key, *index;
    size_t n;
};

struct vector {
    const uint32_t *word;
    size_t n;
    uint32_t *mask;
    uint32_t *key;
    struct am_rank_split split;
    const struct am_rank_line *line;
    uint32_t bins, first[BINS + 1]; /* the smallest rank in each bin */
};

static uint64_t limit_of(const struct am_rank_line *l, size_t rank)
{
    double p = l->last ? l->low + l->rise * (double)rank / (double)l->last : l->low;
    return (uint64_t)(p * 0x1p32 + 0.5);
}

static void clear_unless(uint32_t *mask, size_t i, bool keep)
{
    mask[i / 32] &= ~((uint32_t)!keep << i % 32);
}

static size_t bin_of(const struct vector *v, uint32_t key)
{
    uint32_t b = key >> v->split.shift;
    return b > v->split.least ? b - v->split.least : 0;
}

static void insert(struct list l)
{
    for (size_t i = 1; i < l.n; i++) {
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

/* One digit, stable; false when all entries have the same one, and nothing was moved. */
static bool by_digit(struct list from, struct list to, unsigned shift)
{
    uint32_t at[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < from.n; i++)
        at[from.key[i] >> shift & (DIGITS - 1)]++;
    if (at[from.key[0] >> shift & (DIGITS - 1)] == from.n)
        return false;
    for (size_t d = 0; d < DIGITS; d++) {
        uint32_t count = at[d];
        at[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < from.n; i++) {
        uint32_t place = at[from.key[i] >> shift & (DIGITS - 1)]++;
        to.key[place] = from.key[i];
        to.index[place] = from.index[i];
    }
    return true;
}

/* In ascending order; equal ones as they were. */
static struct list sorted(struct list now, struct list other)
{
    if (now.n <= SHORT) {
        insert(now);
        return now;
    }
    other.n = now.n;
    for (unsigned shift = 0; shift < 31; shift += 8) {
        if (!by_digit(now, other, shift))
            continue;
        struct list swap = now;
        now = other;
        other = swap;
    }
    return now;
}

/* The entries of bins to be sorted (NULL: all), from the last to the first: among equals the last one is the smallest.
   A mark goes from the key to the index. */
static void gather(const struct vector *v, const bool *sort, struct list *to)
{
    to->n = 0;
    for (size_t i = v->n; i-- > 0;) {
        uint32_t key = v->key[i] & ~MARK;
        to->key[to->n] = key;
        to->index[to->n] = (uint32_t)i | (v->key[i] & MARK);
        to->n += sort ? sort[bin_of(v, key)] : 1;
    }
}

static size_t decide(const struct vector *v, size_t i, size_t rank)
{
    bool keep = v->word[i] < limit_of(v->line, rank);
    clear_unless(v->mask, i, keep);
    return keep;
}

static size_t keep_short(const struct vector *v, struct list l)
{
    size_t kept = 0;
    gather(v, NULL, &l);
    insert(l);
    for (size_t r = 0; r < l.n; r++)
        kept += decide(v, l.index[r], r);
    return kept;
}

static void choose_bins(struct vector *v, uint32_t most)
{
    v->split.shift = v->n < 1024 ? 19 : v->n < 4096 ? 18 : 17;
    v->bins = v->n < 1024 ? BINS / 4 : v->n < 4096 ? BINS * 3 / 8 : BINS;
    uint32_t top = most >> v->split.shift;
    v->split.least = top >= v->bins ? top - (v->bins - 1) : 0;
}

/* Two counts of each bin, so that neighbours with one key do not wait for each other. */
static void fill_bins(struct vector *v, const uint32_t *bin)
{
    uint32_t count[2][BINS], first = 0;
    size_t i = 0;
    memset(count[0], 0, v->bins * sizeof(uint32_t));
    memset(count[1], 0, v->bins * sizeof(uint32_t));
    for (; i + 2 <= v->n; i += 2) {
        count[0][bin[i]]++;
        count[1][bin[i + 1]]++;
    }
    if (i < v->n)
        count[0][bin[i]]++;
    for (size_t b = 0; b < v->bins; b++) {
        v->first[b] = first;
        first += count[0][b] + count[1][b];
    }
    v->first[v->bins] = first;
}

/* Clears the bits of the entries whose byte is 1, the others' are 0. */
static void clear_marked(uint32_t *mask, const unsigned char *byte, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight;
        memcpy(&eight, byte + i, 8);
        mask[i / 32] &= ~((uint32_t)(eight * 0x0102040810204080u >> 56) << i % 32);
    }
}

/* Decides the listed entries that their bin decides, and lists the others anew. A word asks for a rank: where the line
   reaches it, and one more to be sure. `drop`: v->n bytes and 8 more. */
static size_t by_bins(const struct vector *v, const uint32_t *bin, uint32_t *open, size_t n, size_t *kept,
                      unsigned char *drop)
{
    const double step = v->line->rise * 0x1p32 / (double)v->line->last; /* words of a rank */
    if (step < STEP)
        return n;
    const uint32_t *word = v->word, *first = v->first, low = (uint32_t)(v->line->low * 0x1p32);
    const uint64_t inverse = (uint64_t)(0x1p37 / step); /* rounded, it moves a rank by 2^-5 at most */
    size_t left = 0, all_sure = 0;
    memset(drop, 0, v->n + 8);
    for (size_t k = 0; k < n; k++) {
        uint32_t i = open[k], b = bin[i], rank = (uint32_t)((word[i] - low) * inverse >> 37);
        bool sure = first[b] > rank + 1, never = first[b + 1] <= rank;
        drop[i] = never;
        all_sure += sure;
        open[left] = i;
        left += !sure & !never;
    }
    clear_marked(v->mask, drop, v->n);
    *kept += all_sure;
    return left;
}

/* By the ranks of sorted bins. The arrays are used again: keys and bins are known no longer. */
static size_t by_sorting(struct vector *v, const uint32_t *open, size_t n, uint32_t *const *work)
{
    struct list l = {work[1], work[2], 0}, other = {work[0], work[3], 0};
    bool sort[BINS] = {false};
    size_t kept = 0, at = 0, last = BINS;
    for (size_t k = 0; k < n; k++) {
        sort[bin_of(v, v->key[open[k]])] = true;
        v->key[open[k]] |= MARK;
    }
    gather(v, sort, &l);
    l = sorted(l, other);
    for (size_t i = 0; i < l.n; i++) {
        size_t b = bin_of(v, l.key[i]);
        at = b == last ? at + 1 : v->first[b];
        last = b;
        if (l.index[i] & MARK)
            kept += decide(v, l.index[i] & ~MARK, at);
    }
    return kept;
}

/* Sets the bits of the first n. */
static void fill(uint32_t *mask, size_t n)
{
    memset(mask, 0xff, n / 32 * sizeof(*mask));
    if (n % 32)
        mask[n / 32] = (1u << n % 32) - 1;
}

size_t am_rank_mask(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_line *line,
                    uint32_t *const work[AM_RANKS_WORK])
{
    struct vector v = {.word = word, .n = n, .mask = mask, .key = work[0], .line = line};
    const uint64_t sure = limit_of(line, 0), most_words = limit_of(line, line->last);
    uint32_t *open = work[1], *bin = work[2], most = am_rank_keys(d, v.key, n);
    fill(mask, n);
    if (n <= SHORT)
        return keep_short(&v, (struct list){work[1], work[2], 0});
    if (sure > UINT32_MAX)
        return n;
    if (most_words == 0) {
        memset(mask, 0, (n + 31) / 32 * sizeof(*mask));
        return 0;
    }
    v.split.sure = (uint32_t)sure;
    v.split.last = (uint32_t)(most_words - 1);
    choose_bins(&v, most);
    size_t kept, left = am_rank_split(&v.split, word, v.key, n, bin, open, mask, &kept);
    if (left == 0)
        return kept;
    fill_bins(&v, bin);
    left = by_bins(&v, bin, open, left, &kept, (unsigned char *)work[3]);
    if (left > ROUNDS)
        return kept + by_sorting(&v, open, left, work);
    for (size_t k = 0; k < left; k++)
        kept += decide(&v, open[k], am_rank_of(v.key, n, open[k]));
    return kept;
}
