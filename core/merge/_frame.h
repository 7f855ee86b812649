/*
 * _frame.h - the frame of task arithmetic (merge.md A14) on one tile: deltas, a method's own sparsifier, weights,
 * election of signs, division, lambda, base. Ties, breadcrumbs and their relatives differ in their sparsifier and
 * defaults only.
 *
 *   d_i = fl(x_i - b), sparsified;  e_i = fl(w_i * d_i);  num, div by `consensus`;  num = fl(num / div) when
 * `normalize`; num = fl(lambda * num) when lambda != 1;  out = fl(b + num).  lambda 0 gives b bit for bit.
 *
 * A method declares the parameters weight (per input), lambda, normalize and consensus (among none, sum, count), starts
 * its `local` with a struct am_frame, and has AM_FRAME_SCRATCH and AM_FRAME_TALLY in its needs.
 */
#ifndef AM_MERGE_FRAME_H
#define AM_MERGE_FRAME_H

#include "core/merge/_exact.h"
#include "core/methods/method.h"
#include "core/methods/report.h"

struct am_edge;
struct am_part;
struct am_select_round;

enum am_consensus {
    AM_CONSENSUS_NONE,  /* num = sum of e_i, div = sum of w_i */
    AM_CONSENSUS_SUM,   /* entries with the sign of the sum of all (+ for zero) take part, and their weights */
    AM_CONSENSUS_COUNT, /* ... with the sign of the majority */
};

struct am_frame {
    size_t inputs;
    float weight[AM_MAX_INPUTS];
    float lambda, div; /* div: sum of all weights, summed in f64 */
    bool normalize;
    bool mixed; /* weights of both signs: divisors can come close to zero */
    enum am_consensus consensus;
    struct am_exact exact; /* compat */
};

enum am_frame_tally { /* sums over the elements of am_window.tally */
                      AM_FRAME_ELEMENTS,
                      AM_FRAME_CONFLICTS, /* elements with entries of both signs; counted unless consensus is none */
                      AM_FRAME_THIN,  /* elements divided by less than 1e-3 in magnitude; counted with weights of both
                                         signs */
                      AM_FRAME_OUT,   /* squares of what is added to the base */
                      AM_FRAME_FIXED, /* from here on for each input: */
                      AM_FRAME_DELTA = 0, /* squares of d_i before the sparsifier */
                      AM_FRAME_KEPT,      /* entries that the sparsifier kept */
                      AM_FRAME_EACH,
};
#define AM_FRAME_TALLY                                                                                                 \
    {                                                                                                                  \
        .fixed = AM_FRAME_FIXED, .per_input = AM_FRAME_EACH                                                            \
    }
/* d_i of every input. stat() may use all of them. */
#define AM_FRAME_SCRATCH                                                                                               \
    {                                                                                                                  \
        .per_input = 1                                                                                                 \
    }

void am_frame_prepare(const struct am_scope_info *s, struct am_frame *f);

struct am_sparsifier { /* what stays of input i's delta of a tile; one of the two may be NULL */
    /* The entries between edge[0] and edge[1] (_select.h). False: keep() says it. */
    bool (*edges)(const struct am_window *w, const void *acc, size_t input, struct am_edge *edge);
    /* In place. Returns how many entries were kept. */
    size_t (*keep)(const struct am_window *w, const void *acc, size_t input, float *d);
};
/* A tile may be longer than AM_TILE (a row). w->local begins with struct am_frame. */
void am_frame_apply(const struct am_window *w, const void *acc, const struct am_sparsifier *s);
/* am_method.apply_bf16: bit for bit what am_frame_apply() makes of it. */
bool am_frame_apply_bf16(const struct am_window *w, const void *acc, const struct am_sparsifier *s, uint16_t *out);

/* n elements of d_i from `first` of the tile on, as apply() will have them, for statistics. */
void am_frame_delta(const struct am_window *w, size_t input, size_t first, size_t n, float *d);
/* am_select_count() of part of them. */
int am_frame_count(const struct am_window *w, size_t input, const struct am_select_round *rank, size_t ranks,
                   const struct am_part *part);
/* ---- Parts of am_frame_apply() ---- */
size_t am_frame_keep(const struct am_window *w, const void *acc, const struct am_sparsifier *s, size_t input, float *d);
void am_frame_apply_exact(const struct am_window *w, const void *acc, const struct am_sparsifier *s);

/* kept, delta_norm (lists), merged_norm, sign_conflict (share of elements), and warnings; of a tensor or the run. */
void am_frame_report(const struct am_scope_info *s, const double *tally, struct am_report *r);
static inline double am_frame_of(const double *tally, size_t input, enum am_frame_tally what)
{
    return tally[AM_FRAME_FIXED + input * AM_FRAME_EACH + what];
}

/* unchanged() of the frame: lambda 0. */
bool am_frame_unchanged(const struct am_args *args, const struct am_tensor_info *t);

#endif
