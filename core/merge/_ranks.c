/*
 * _ranks.c - see _ranks.h.
 */
#include "core/merge/_ranks.h"

#include <stdbool.h>
#include <string.h>

#define SHORT 24 /* entries that are sorted by insertion */
#define BINS                                                                                                           \
    1024 /* 64 for each of the upper 16 octaves of a long vector, 16 of a short one; the rest lies in bin 0            \
          */
#define DIGITS 256

struct list {
    uint32_t *key, *index;
    size_t n;
};

struct bin {
    uint64_t sure, open; /* words below `sure` stay, those below `open` go by the rank */
    uint32_t first, n;   /* ranks in it */
    bool sort;
};

struct vector {
    float *d;
    const uint32_t *word;
    size_t n, stride;
    uint32_t *key;
    unsigned shift; /* bin = key >> shift, less `least` */
    uint32_t least;
    const struct am_rank_line *line;
};

static uint64_t limit_of(const struct am_rank_line *l, size_t rank)
{
    double p = l->last ? l->low + l->rise * (double)rank / (double)l->last : l->low;
    return (uint64_t)(p * 0x1p32 + 0.5);
}

static uint32_t key_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u & 0x7fffffff;
}

static void clear_unless(float *x, bool keep)
{
    uint32_t u;
    memcpy(&u, x, sizeof(u));
    u &= 0 - (uint32_t)keep;
    memcpy(x, &u, sizeof(u));
}

static size_t bin_of(const struct vector *v, uint32_t key)
{
    uint32_t b = key >> v->shift;
    return b > v->least ? b - v->least : 0;
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

/* The entries of bins to be sorted, from the last to the first: among equals the last one is the smallest. */
static void gather(const struct vector *v, const struct bin *bin, struct list *to)
{
    to->n = 0;
    for (size_t i = v->n; i-- > 0;) {
        to->key[to->n] = v->key[i];
        to->index[to->n] = (uint32_t)i;
        to->n += bin ? bin[bin_of(v, v->key[i])].sort : 1;
    }
}

static void take_keys(struct vector *v)
{
    uint32_t most = 0;
    for (size_t i = 0; i < v->n; i++) {
        v->key[i] = key_of(v->d[i * v->stride]);
        most = v->key[i] > most ? v->key[i] : most;
    }
    v->shift = v->n < 1024 ? 19 : 17;
    uint32_t bins = v->n < 1024 ? BINS / 4 : BINS, top = most >> v->shift;
    v->least = top >= bins ? top - (bins - 1) : 0;
}

static void fill_bins(const struct vector *v, struct bin *bin, size_t bins)
{
    uint32_t count[BINS] = {0}, first = 0;
    for (size_t i = 0; i < v->n; i++)
        count[bin_of(v, v->key[i])]++;
    for (size_t b = 0; b < bins; b++) {
        if (count[b])
            bin[b] = (struct bin){.sure = limit_of(v->line, first),
                                  .open = limit_of(v->line, first + count[b] - 1),
                                  .first = first,
                                  .n = count[b]};
        first += count[b];
    }
}

/* Keeps what is sure, clears what is not open, and marks the bins of the rest. */
static size_t decide(const struct vector *v, struct bin *bin, bool *ret_open)
{
    size_t kept = 0, open = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct bin *b = &bin[bin_of(v, v->key[i])];
        uint32_t word = v->word[i * v->stride];
        bool sure = word < b->sure, maybe = word < b->open;
        clear_unless(&v->d[i * v->stride], sure | maybe);
        b->sort |= maybe & !sure;
        kept += sure;
        open += maybe & !sure;
    }
    *ret_open = open > 0;
    return kept;
}

/* l: entries of whole bins in ascending order. Returns how many stay of those that were open. */
static size_t decide_sorted(const struct vector *v, const struct bin *bin, struct list l)
{
    size_t kept = 0, at = 0, last = BINS;
    for (size_t i = 0; i < l.n; i++) {
        size_t b = bin_of(v, l.key[i]), place = l.index[i] * v->stride;
        at = b == last ? at + 1 : 0;
        last = b;
        uint32_t word = v->word[place];
        if (word < bin[b].sure || word >= bin[b].open)
            continue;
        bool keep = word < limit_of(v->line, bin[b].first + at);
        clear_unless(&v->d[place], keep);
        kept += keep;
    }
    return kept;
}

static size_t keep_short(const struct vector *v, struct list l)
{
    size_t kept = 0;
    gather(v, NULL, &l);
    insert(l);
    for (size_t r = 0; r < l.n; r++) {
        size_t place = l.index[r] * v->stride;
        bool keep = v->word[place] < limit_of(v->line, r);
        clear_unless(&v->d[place], keep);
        kept += keep;
    }
    return kept;
}

size_t am_keep_ranked(float *d, const uint32_t *word, size_t n, size_t stride, const struct am_rank_line *line,
                      uint32_t *const work[AM_RANKS_WORK])
{
    struct vector v = {.d = d, .word = word, .n = n, .stride = stride, .key = work[0], .line = line};
    struct list list = {work[1], work[2], 0}, other = {work[3], work[4], 0};
    struct bin bin[BINS];
    bool open;
    if (n == 0)
        return 0;
    take_keys(&v);
    if (n <= SHORT)
        return keep_short(&v, list);
    fill_bins(&v, bin, n < 1024 ? BINS / 4 : BINS);
    size_t kept = decide(&v, bin, &open);
    if (!open)
        return kept;
    gather(&v, bin, &list);
    return kept + decide_sorted(&v, bin, sorted(list, other));
}
