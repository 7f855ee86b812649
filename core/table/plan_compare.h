/*
 * plan_compare.h - how much memory a comparison of prediction sets takes, as a formula of what is known before it
 * runs: the daemon plans with it, and the worker holds to it (its limit is set from the plan). Not the computing, which
 * is core/evaluate. Pure.
 */
#ifndef AM_TABLE_PLAN_COMPARE_H
#define AM_TABLE_PLAN_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

struct am_compare_size {
    uint64_t rows[2];         /* samples of the old and the new set */
    uint64_t packed_bytes[2]; /* of packed.safetensors */
    uint64_t ids_bytes[2];    /* of ids.safetensors */
    uint64_t replicates;      /* params.bootstrap */
    unsigned threads;
    bool texts; /* task generative */
};

/* Columns and ids are held as they are in the files; per sample come the join, the cell, what the bootstrap draws and a
   count of it for each thread; per replicate the statistics; and a fixed part for slices and JSON. */
static inline uint64_t am_compare_memory(const struct am_compare_size *s)
{
    uint64_t rows = s->rows[0] < s->rows[1] ? s->rows[0] : s->rows[1];
    uint64_t row = 72 + (s->texts ? 80u : 0u) + 4ull * s->threads;
    return s->packed_bytes[0] + s->packed_bytes[1] + s->ids_bytes[0] + s->ids_bytes[1] + rows * row +
           s->replicates * 640 + (48ull << 20);
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
