/*
 * _select.h - exactly the k entries of largest magnitude among many windows of tiles, without sorting or copying
 * (merge.md A4).
 *
 * The key of an entry is the 31 magnitude bits of its f32 (kernels.h); their order is the order of |x|, NaN above
 * infinity. Among equal magnitudes the entry with the lowest index is chosen first, or last where the caller says so.
 * Rounds over the data narrow a bracket of keys: each counts the keys above the bracket and a histogram inside it,
 * until the bracket is one key, the threshold. Where only some of the entries at the threshold are chosen, one more
 * round counts them tile by tile and finds the tile in which they run out. Large tensors begin with a round over a
 * small sample, which guesses the first bracket; the counts that follow prove or refute the guess, so it can cost time
 * and never the result. A round also lists what lies in a narrow bracket, with its place: where all of it finds room,
 * the list settles the rest and no further round is needed. On a coarse grid, where many entries share a magnitude, the
 * list overflows; there the sample guesses two thresholds, and the same round counts their equals tile by tile. So
 * a large tensor is mostly read twice: for the bracket, and for the result. Everything is integers: any split of the
 * work gives the same answer.
 *
 * One am_select is one rank. A method has an array of them in its accumulator (zero = before the first round):
 *   prepare  `elements` into local
 *   look     am_selects_look(sofar, elements, w, ret_first): the sample of a large tensor, then all of it
 *   stat     am_selects_begin(acc, ranks, elements, w), then for each
 *            if (am_select_part(sofar, elements, w, &part)) am_select_count(&round, 1, x + part.first, &part)
 *   merge    am_selects_merge
 *   between  am_select_next(rank, k, elements, AM_EQUALS_FIRST): 1 = AM_AGAIN, negative = error
 *   apply    edge = am_select_edge(acc, w); am_select_band(out, x, n, &edge, NULL)
 * "The k smallest become zero, of equals the lower index first" is the same with elements - k and AM_EQUALS_LAST.
 */
#ifndef AM_MERGE_SELECT_H
#define AM_MERGE_SELECT_H

#include "core/methods/method.h"
#include "core/tensor/kernels.h"

#define AM_SELECT_KEYS 0x80000000u  /* above every key */
#define AM_SELECT_BINS 2048         /* 31 bits in three rounds of 11, 11 and 9; small enough for the nearest cache */
#define AM_SELECT_SAMPLE_FROM 65536 /* elements; below, the first round looks at all of them */

#define AM_SELECT_LIST_WINDOW 16384 /* entries of a window's list, at most */
#define AM_SELECT_TILES_WINDOW 64   /* tiles whose equals are counted beside it */
#define AM_SELECT_GUESSES 2         /* 2 bytes for each */

enum am_equals {
    AM_EQUALS_FIRST, /* of the entries at the threshold those with the lowest indices are chosen */
    AM_EQUALS_LAST,  /* ... the highest indices */
};

enum am_select_stage { AM_SELECT_START, AM_SELECT_SAMPLE, AM_SELECT_NARROW, AM_SELECT_EQUAL, AM_SELECT_DONE };

struct am_select {
    enum am_select_stage stage;
    uint32_t low, high; /* the bracket [low, high) of this round; from AM_SELECT_EQUAL on, low is the threshold */
    unsigned shift;     /* keys of one bin: 2^shift */
    bool wide;          /* bins.total is in use, else bins.part */
    bool sampled;       /* the first round was over a sample */
    bool last;          /* AM_EQUALS_LAST: the first `quota` entries at the threshold are left out, else chosen */
    uint64_t above;     /* keys >= high */
    uint64_t equals;    /* entries at the threshold before the window at hand */
    uint64_t quota;     /* see `last` */
    uint64_t cut;       /* window and ... */
    unsigned cut_tile;  /* ... tile in which the quota runs out, ... */
    uint64_t cut_quota; /* ... and what is left of it there */
    uint64_t window;    /* of a window's own accumulator: its number */
    unsigned tiles;     /* AM_SELECT_EQUAL: tiles counted in bins.part */
    uint64_t *list; /* what lies in the bracket, tile by tile in order: key, tile and window of each; NULL: not kept */
    uint32_t listed, room;
    bool over;    /* the list is not complete */
    bool guessed; /* by the sample: each of `guess` may be the threshold; their entries are counted in ... */
    bool ragged;  /* (but not all of them) */
    uint32_t guess[AM_SELECT_GUESSES];
    uint16_t *in_tile; /* ... each tile, in order, one count for each guess, and ... */
    uint64_t guess_total[AM_SELECT_GUESSES];
    uint32_t in_tiles, tiles_room; /* how many tiles those are, ... */
    unsigned a_window;             /* so many in each window but the last */
    union {
        uint32_t part[AM_SELECT_BINS];  /* of one window */
        uint64_t total[AM_SELECT_BINS]; /* of all windows */
    } bins;
};

struct am_selects {    /* an accumulator of several ranks; AM_SELECTS_NEEDS in am_needs */
    size_t n;          /* set by am_selects_begin() */
    uint64_t elements; /* of the scope */
    void *scope_list;
    struct am_select rank[];
};
#define AM_SELECTS_NEEDS(ranks)                                                                                        \
    .acc = {.fixed = sizeof(struct am_selects), .per_input = (ranks) * sizeof(struct am_select)},                      \
    .lists = {.per_input = (ranks)}
/* In stat(), before am_select_count(): a window's own accumulator gets its ranks and lists. */
void am_selects_begin(struct am_selects *acc, size_t ranks, uint64_t elements, const struct am_window *w);

struct am_part { /* the elements of a tile that a round looks at, and where they are */
    size_t first, n;
    uint64_t window;
    unsigned tile;
    bool sample;
};

/* Which part of this tile the round needs; false: none, this rank is known. `elements` of the whole scope, or 0 to do
   without the sample. In a tile that am_selects_look() has cut down already, it is the whole tile. */
bool am_select_part(const struct am_select *sofar, uint64_t elements, const struct am_window *w, struct am_part *ret);
struct am_select_round {           /* of one rank */
    const struct am_select *sofar; /* NULL in the first round */
    struct am_select *acc;         /* the window's own */
};
/* Counts part->n keys of x for each of so many ranks, at most AM_KEY_RANGES: more are not much more work than one.
   -AM_E_INTERNAL when a window has more than AM_SELECT_BINS tiles. */
int am_select_count(const struct am_select_round *rank, size_t ranks, const float *x, const struct am_part *part);
/* The same for x - y of BF16 as stored, from element part->first of the tile on; `room` for part->n of them. */
struct am_bf16_pair {
    const uint16_t *x, *y;
};
int am_select_count_bf16(const struct am_select_round *rank, size_t ranks, const struct am_bf16_pair *pair, float *room,
                         const struct am_part *part);
/* Adds a window's counts; must be called in window order. */
void am_select_merge(struct am_select *into, const struct am_select *from);
/* After a round: 1 = another round is needed, 0 = done, -AM_E_INTERNAL when `elements` is not what was counted. The k
   largest of `elements` are chosen; k of 0 or of all of them is done at once. */
int am_select_next(struct am_select *s, uint64_t k, uint64_t elements, enum am_equals equals);

/* For am_method.look: the sample in the first round of a large tensor, later all, or nothing when all ranks are known.
 */
size_t am_selects_look(const struct am_selects *sofar, uint64_t elements, const struct am_window *w, size_t *ret_first);
int am_selects_merge(void *into, const void *from, unsigned pass); /* the method's merge() */
/* The k-th largest magnitude, of a rank that is done (all: 0; none: NaN). */
float am_select_threshold(const struct am_select *s);

/* What is chosen among one tile's (or row's) entries: keys above `key`, and of those equal to it the first `quota`, or
   all but the first `quota`. */
struct am_edge {
    uint32_t key;
    bool last;
    uint64_t quota; /* UINT64_MAX: all */
};
extern const struct am_edge am_edge_all, am_edge_none;

struct am_edge am_select_edge(const struct am_select *s, const struct am_window *w);
/* The same for k of the n entries of one row in memory; of equals the lowest index first. */
struct am_edge am_select_row(const float *x, size_t n, size_t k);
/* Neither edge asks for counting: keys in [*low, *high) stay. */
bool am_select_plain(const struct am_edge *bottom, const struct am_edge *top, uint32_t *low, uint32_t *high);
/* out = x where chosen by `bottom` and not by `top` (NULL: nothing), else +0. out may be x. Returns how many stayed. */
size_t am_select_band(float *out, const float *x, size_t n, const struct am_edge *bottom, const struct am_edge *top);

/* k = floor(share * n) with a slack of 4 ulp, so that 0.29 of 100 is 29 (merge.md A4); at most n. */
uint64_t am_select_share(double share, uint64_t n);
/* The same without that care, as mergekit counts: 0.29 of 100 are 28. */
uint64_t am_select_truncated(double share, uint64_t n);

#endif
