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

/* The sum, decomposed, and how many of its singular values are above the tolerance. 0, AM_AGAIN or an error. */
int am_iso_sum(struct am_matrix *m, struct am_whole_room *room, struct am_whole_svd *ret, size_t *ret_rank);
double am_iso_mean(const double *s, size_t n); /* 0 of none */

#endif
