/*
 * plan_compare.h - how much memory a comparison of prediction sets takes, as a formula of what is known before it
 * runs: the daemon plans with it, and the worker holds to it (its limit is set from the plan). Not the computing, which
 * is core/evaluate. Pure.
 */
#ifndef AM_TABLE_PLAN_COMPARE_H
#define AM_TABLE_PLAN_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

/* Columns of a packed set, as they are kept with it: a bit each, and the number of slice keys above. */
enum {
    AM_HAS_Y = 1 << 0,
    AM_HAS_P = 1 << 1,
    AM_HAS_S = 1 << 2,
    AM_HAS_LP = 1 << 3,
    AM_HAS_W = 1 << 4,
    AM_HAS_K = 1 << 5,
    AM_HAS_CLUSTER = 1 << 6,
    AM_HAS_TOP = 1 << 7,
    AM_HAS_SLICE = 1 << 16, /* times how many */
    AM_HAS_LOADED = AM_HAS_Y | AM_HAS_P | AM_HAS_S | AM_HAS_LP | AM_HAS_W | AM_HAS_K | AM_HAS_CLUSTER,
};

struct am_compare_size {
    uint64_t rows[2];      /* samples of the old and the new set */
    uint64_t ids[2];       /* of these, distinct */
    uint32_t columns[2];   /* AM_HAS_... */
    uint64_t ids_bytes[2]; /* of ids.safetensors */
    uint64_t replicates;   /* params.bootstrap */
    uint64_t flips;        /* negative ones at most */
    uint64_t classes;      /* that the header names; 0: not known */
    unsigned threads;
    bool same_ids; /* one dictionary is read */
    bool finds;    /* params.find_slices */
    bool groups;   /* params.groups names some */
    bool texts;    /* task generative */
    bool sets;     /* task multilabel: each label may count */
};

#define AM_COMPARE_FIXED ((uint64_t)9 << 20)

static inline uint64_t am_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Of a row of one set. */
static inline uint64_t am_compare_held(const struct am_compare_size *s, int side)
{
    uint64_t columns = (uint64_t)__builtin_popcount(s->columns[side] & AM_HAS_LOADED) + s->columns[side] / AM_HAS_SLICE;
    return 4 * columns + (s->ids[side] < s->rows[side] ? 4 : 0);
}

/* Of a sample while the values are found: the largest of what is held one after the other. */
static inline uint64_t am_compare_counted(const struct am_compare_size *s)
{
    uint32_t has = s->columns[0] | s->columns[1];
    bool grouped = (has & (AM_HAS_K | AM_HAS_CLUSTER)) || s->ids[0] < s->rows[0];
    bool calibrates = !s->texts && (has & (AM_HAS_LP | AM_HAS_TOP));
    uint64_t most = 0, draws = grouped ? 4ull * s->threads : 0;
    if ((has & AM_HAS_W) || grouped || s->sets)
        most = 48 + draws; /* six sums a unit; how many there are is not known */
    if (calibrates)
        most = am_larger(most, 56 + (has & AM_HAS_TOP ? 16u : 0u) + draws);
    if (s->texts)
        most = am_larger(most, 96 + draws);
    if (s->groups)
        most = am_larger(most, 12 + draws);
    return most + (s->texts ? 8 : 0) + (grouped ? 4 : 0);
}

/* Of the search for gaps between groups: what each thread adds up, by outcome and by class. */
static inline uint64_t am_compare_gaps(const struct am_compare_size *s, uint64_t rows)
{
    uint64_t classes = s->classes && s->classes < 1000 ? s->classes : 1000, outcomes = 200 * classes * classes;
    return (outcomes < rows ? outcomes : rows) * (16 + 8 * (s->threads + 1ull)) + 2400 * classes * (s->threads + 1ull);
}

/* Columns and ids are held as they are in the files; per sample come the join, the cell, eight bitsets and what the
   bootstrap draws; per replicate the statistics; and a part for the program, slices and JSON. */
static inline uint64_t am_compare_memory(const struct am_compare_size *s)
{
    uint64_t rows = s->rows[0] < s->rows[1] ? s->rows[0] : s->rows[1];
    uint64_t counted = am_larger(rows * am_compare_counted(s), s->texts ? 0 : 32 * s->flips); /* pairs, sorted */
    uint64_t joined = rows * (s->same_ids ? 2 : 10) + counted;
    uint64_t ids = s->same_ids ? am_larger(s->ids_bytes[0], s->ids_bytes[1]) : s->ids_bytes[0] + s->ids_bytes[1];
    /* The search has a cell for each pair of at most 1,000 values, and a p for each that it tried. */
    return s->rows[0] * am_compare_held(s, 0) + s->rows[1] * am_compare_held(s, 1) + ids + joined +
           (s->finds ? 48ull << 20 : 0) + (s->groups ? am_compare_gaps(s, rows) : 0) + s->replicates * 320 +
           AM_COMPARE_FIXED;
}

/* A line of versions: of each task the first set stays, and with it a bit a version and a pattern a sample. */
struct am_line_size {
    uint64_t tasks;      /* and as many versions */
    uint64_t rows;       /* samples of all tasks */
    uint64_t kept_bytes; /* of the first set of each task and its ids */
    uint64_t longest;    /* packed.safetensors that is read beside them */
    uint64_t replicates;
    unsigned threads;
};

static inline uint64_t am_line_memory(const struct am_line_size *s)
{
    uint64_t stats = 6 + s->tasks * s->tasks;
    uint64_t row = 32 + s->tasks / 8 + 1 + 12ull * s->threads;
    return s->kept_bytes + 2 * s->longest + s->rows * row + s->replicates * (stats * 16 + 8) + (24ull << 20);
}

#endif
