/*
 * _iso.h - what iso_c and iso_cts share: the sum of all differences of a matrix, decomposed.
 */
#ifndef AM_MERGE_ISO_H
#define AM_MERGE_ISO_H

#include "core/merge/_whole.h"

#define AM_ISO_TOLERANCE                                                                                               \
    {                                                                                                                  \
        .name = "rank_tolerance", .kind = AM_REAL, .min = 0, .max = 1, .def = "1e-06", .unit = "fraction",             \
        .flags = AM_ADVANCED | AM_OPEN_MAX,                                                                            \
        .doc = "singular values up to this times the first count as zero and stay so; 0: as the authors' code, which " \
               "fills in arbitrary directions for them"                                                                \
    }

struct am_iso_sum {
    double *a;          /* rows x cols; destroyed by the decomposition, free for use */
    double *u, *s, *vt; /* rows x k, k, k x cols */
    size_t k, rank;     /* min(rows, cols); values above the tolerance */
};

/* Takes its memory from `room`, all but what the decomposition itself needs. 0, AM_AGAIN or an error. */
int am_iso_sum(struct am_matrix *m, struct am_whole_room *room, struct am_iso_sum *ret);
double am_iso_mean(const double *s, size_t n); /* 0 of none */

#endif
