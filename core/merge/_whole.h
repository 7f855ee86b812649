/*
 * _whole.h - what the methods over singular values share: their parameters, the mean of differences for tensors that
 * are no matrices, differences of a matrix, polar factors, and the last step out = base + alpha * merged. All in f64,
 * over core/tensor/linalg.h.
 *
 * A method declares AM_WHOLE_ALPHA, AM_WHOLE_CONV, AM_WHOLE_INCLUDE, AM_WHOLE_EXCLUDE, has AM_WHOLE_HOOKS, and
 * AM_WHOLE_NEEDS() with its am_needs.matrix; what is its own is whole().
 */
#ifndef AM_MERGE_WHOLE_H
#define AM_MERGE_WHOLE_H

#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/linalg.h"

#define AM_WHOLE_ALPHA(by_default, say)                                                                                \
    {                                                                                                                  \
        .name = "alpha", .kind = AM_REAL, .min = -1e6, .max = 1e6, .def = by_default, .unit = "factor",                \
        .doc = "factor of the merged difference" say                                                                   \
    }
extern const char *const am_whole_conv[]; /* flatten, none */
#define AM_WHOLE_CONV(by_default)                                                                                      \
    {                                                                                                                  \
        .name = "conv", .kind = AM_CHOICE, .choices = am_whole_conv, .def = by_default, .unit = "none",                \
        .flags = AM_ADVANCED,                                                                                          \
        .doc = "tensors of more than two axes are matrices [first axis, all others], or merged as vectors are"         \
    }
#define AM_WHOLE_INCLUDE                                                                                               \
    {                                                                                                                  \
        .name = "include", .kind = AM_LIST, .def = "[\"*\"]", .unit = "none",                                          \
        .doc = "shell patterns; matrices whose name matches one are merged by their singular vectors"                  \
    }
#define AM_WHOLE_EXCLUDE                                                                                               \
    {                                                                                                                  \
        .name = "exclude", .kind = AM_LIST, .def = "[\"*embed*\",\"*wte*\",\"*wpe*\"]", .unit = "none",                \
        .doc = "shell patterns; matrices whose name matches one are not, and are merged as vectors are"                \
    }

enum am_whole_tally {                /* of am_window.tally and am_matrix.tally */
                      AM_WHOLE_OUT,  /* squares of what is added to the base */
                      AM_WHOLE_RANK, /* singular values that took part */
                      AM_WHOLE_FIXED,
};
#define AM_WHOLE_TALLY                                                                                                 \
    {                                                                                                                  \
        .fixed = AM_WHOLE_FIXED, .per_input = 1 /* squares of d_i */                                                   \
    }

struct am_whole { /* am_window.local, for am_whole_apply() */
    float alpha, inputs;
};
#define AM_WHOLE_NEEDS(...)                                                                                            \
    {                                                                                                                  \
        .min_inputs = 1, .base = AM_YES, .tally = AM_WHOLE_TALLY, .report = {.fixed = 2, .per_input = 1},              \
        .scratch = {.fixed = 1}, .local_bytes = sizeof(struct am_whole), .unchanged_at = {"alpha", 0},                 \
        .symmetric = true, .matrix = {                                                                                 \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define AM_WHOLE_HOOKS                                                                                                 \
    .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .common = am_policies, .unchanged = am_whole_unchanged,    \
    .prepare = am_whole_prepare, .apply = am_whole_apply, .is_matrix = am_whole_is_matrix, .report = am_whole_report

/* For am_method: unchanged with alpha 0; which tensors are matrices; the others: out = base + alpha * mean(x_i - base),
   f32 in this order; merged_norm, delta_norm, rank. */
bool am_whole_unchanged(const struct am_args *args, const struct am_tensor_info *t);
bool am_whole_is_matrix(const struct am_args *args, const struct am_tensor_info *t);
void am_whole_prepare(const struct am_scope_info *s, void *local);
int am_whole_apply(const struct am_window *w, const void *acc);
void am_whole_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);

/* ---- for whole(); functions return 0, AM_AGAIN or a negative error, for the caller to pass on ---- */

/* `n` doubles of m->work, in multiples of 64 bytes. NULL: more than needs.matrix says, which is a bug. */
struct am_whole_room {
    double *at, *end;
};
struct am_whole_room am_whole_room(const struct am_matrix *m);
double *am_whole_take(struct am_whole_room *room, size_t n);

/* into[r * step + c] += x_i - base. Counts the squares when `count`. */
int am_whole_add(struct am_matrix *m, size_t i, double *into, size_t step, bool count);
/* How many of the k values s[0] >= s[1] >= ... are above tol * s[0] (tol 0: all). */
size_t am_whole_rank(const double *s, size_t k, double tol);

/* A matrix to decompose, and what it becomes: a = u * diag(s) * vt. */
struct am_whole_svd {
    double *a;            /* rows x cols; destroyed by am_whole_svd(), free for use then */
    double *u, *s, *vt;   /* rows x k, k, k x cols */
    size_t rows, cols, k; /* k = min(rows, cols) */
    double *work;         /* for am_whole_svd() alone: lies in what is left of the room */
};
/* Its memory, a zeroed. */
int am_whole_svd_room(struct am_whole_room *room, size_t rows, size_t cols, struct am_whole_svd *ret);
int am_whole_svd(struct am_whole_svd *d);

/* Triplets of several decompositions side by side. */
struct am_whole_joined {
    double *u, *s, *vt; /* rows x most, of which n columns are filled; n; n x cols */
    size_t most, n;
};
int am_whole_joined_room(const struct am_matrix *m, struct am_whole_room *room, size_t most,
                         struct am_whole_joined *ret);
/* Puts the first n triplets beside those that are there. */
void am_whole_join(struct am_whole_joined *j, const struct am_whole_svd *d, size_t n);
/* out = base + alpha * polar(u) * diag(s) * polar(vt), where polar() is the nearest matrix with orthonormal columns (or
   rows, when it is wider than tall): u * vt of its decomposition. Uses the three up. */
int am_whole_put_joined(struct am_matrix *m, struct am_whole_joined *j, struct am_whole_room room);
/* out = base + alpha * merged; counts its squares, and `rank`. */
void am_whole_put(struct am_matrix *m, const double *merged, size_t rank);

#endif
