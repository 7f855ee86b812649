/*
 * _vectors.h - methods whose result lies in the span of their inputs: a tensor is one vector v_i, which is the input
 * itself or its difference from the base. One pass sums the Gram matrix K_ij = <v_i, v_j> in f64 (merge.md A3), the
 * method turns K into one coefficient for each input, apply forms out = fl(sum(fl(c_i * v_i)) [+ b]).
 *
 * A single coefficient 1 beside zeros gives that input as it is. Nothing is allocated: an accumulator is the method's
 * own struct, which ends in a struct am_vectors.
 */
#ifndef AM_MERGE_VECTORS_H
#define AM_MERGE_VECTORS_H

#include "core/merge/_exact.h"
#include "core/methods/method.h"
#include "core/methods/report.h"

struct am_vectors { /* v: K_ii of each input, its coefficient, then K_ij of pairs 01 02 12 03 ... */
    uint64_t inputs;
    double v[];
};

/* Of an accumulator whose own part, am_vectors included, is `own`; and of the scratch. */
#define AM_VECTORS_ACC(own)                                                                                            \
    {                                                                                                                  \
        .fixed = sizeof(own), .per_input = 2 * sizeof(double), .per_pair = sizeof(double)                              \
    }
#define AM_VECTORS_SCRATCH                                                                                             \
    {                                                                                                                  \
        .per_input = 1                                                                                                 \
    }

/* Adds a tile's products. A tile may be longer than AM_TILE (a row). */
void am_vectors_stat(const struct am_window *w, struct am_vectors *acc);
/* The same for compat "exact" (merge.md B18): v_i = R(x_i), or R(x_i - b), is left in the scratch; K_ij is the sum of
   R(v_i * v_j), but squares are not rounded. */
void am_vectors_stat_exact(const struct am_window *w, const struct am_exact *e, struct am_vectors *acc);
void am_vectors_exact(const struct am_window *w, const struct am_exact *e, size_t i, size_t first, size_t n, float *v);
void am_vectors_merge(struct am_vectors *into, const struct am_vectors *from);

double am_vectors_dot(const struct am_vectors *g, size_t i, size_t j);
double *am_vectors_factors(struct am_vectors *g);
const double *am_vectors_factors_of(const struct am_vectors *g);

/* w->out from c[w->inputs]. */
void am_vectors_apply(const struct am_window *w, const double *c);

/* norm (list), cosine (list of pairs), factor (list). */
void am_vectors_report(const struct am_vectors *g, size_t inputs, struct am_report *r);
#define AM_VECTORS_REPORT .per_input = 2, .per_pair = 1

#endif
