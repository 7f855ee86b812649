/*
 * _nuslerp.h - what nuslerp.c shares with its arithmetic of compat "exact", _nuslerp_exact.c (merge.md A11, B18).
 */
#ifndef AM_MERGE_NUSLERP_H
#define AM_MERGE_NUSLERP_H

#include "core/merge/_exact.h"
#include "core/merge/_vectors.h"

#define AM_NUSLERP_TINY_NORM 1e-7
#define AM_NUSLERP_TINY_SINE 1e-8

enum am_nuslerp_unit { AM_NUSLERP_TENSOR, AM_NUSLERP_ROWS, AM_NUSLERP_COLUMNS };

struct am_nuslerp { /* local */
    enum am_nuslerp_unit unit;
    double t;
    uint64_t columns;
    struct am_exact exact; /* compat */
};

struct am_nuslerp_column { /* <v1, v2>, <v1, v1>, <v2, v2>, after between() the factors s0, s1 */
    double v[3];
};
/* With compat "exact" <u1, u2> is summed in a round of its own, once the norms are known. */
struct am_nuslerp_sums { /* accumulator; with AM_NUSLERP_COLUMNS, g.v is a struct am_nuslerp_column for each column */
    uint64_t columns;
    bool normed;    /* exact: the norms are known */
    double product; /* exact: <u1, u2> */
    struct am_vectors g;
};

static inline struct am_nuslerp_column *am_nuslerp_columns(struct am_nuslerp_sums *s)
{
    return (struct am_nuslerp_column *)(void *)s->g.v;
}

static inline const struct am_nuslerp_column *am_nuslerp_columns_in(const struct am_nuslerp_sums *s)
{
    return (const struct am_nuslerp_column *)(const void *)s->g.v;
}

/* The hooks stat, between and apply. With "exact" <u1, u2> needs a round of its own, after the norms. */
void am_nuslerp_stat_exact(const struct am_window *w, const struct am_nuslerp_sums *sofar, struct am_nuslerp_sums *s);
int am_nuslerp_between_exact(struct am_nuslerp_sums *s, const struct am_scope_info *info, const struct am_nuslerp *w);
void am_nuslerp_apply_exact(const struct am_window *w, const struct am_nuslerp_sums *s);

#endif
