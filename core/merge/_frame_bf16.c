/*
 * _frame_bf16.c - the frame on a tile of BF16 as it is stored, straight to the result as it is stored: what
 * am_frame_apply() makes of it step by step, bit for bit. Anything out of the ordinary is left to that.
 */
#include "core/merge/_frame.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

#include <math.h>

static bool suits(const struct am_window *w, const struct am_frame *f, const struct am_sparsifier *s)
{
    return s->edges && f->consensus != AM_CONSENSUS_COUNT && f->lambda != 0 && w->inputs <= AM_FRAME_INPUTS &&
           w->n <= AM_TILE;
}

static bool keys(const struct am_window *w, const void *acc, const struct am_sparsifier *s, struct am_frame_of *how)
{
    struct am_edge edge[2];
    for (size_t i = 0; i < w->inputs; i++)
        if (!s->edges(w, acc, i, edge) || !am_select_plain(&edge[0], &edge[1], &how->low[i], &how->high[i]))
            return false;
    return true;
}

/* A difference of numbers that are none is none, and its square says so. */
static bool all_finite(const struct am_frame_sums *sums, size_t inputs)
{
    for (size_t i = 0; i < inputs; i++)
        if (!isfinite(sums->delta[i]))
            return false;
    return sums->fits;
}

bool am_frame_apply_bf16(const struct am_window *w, const void *acc, const struct am_sparsifier *s, uint16_t *out)
{
    const struct am_frame *f = w->local;
    struct am_frame_of how = {.inputs = w->inputs,
                              .elects = f->consensus == AM_CONSENSUS_SUM,
                              .normalize = f->normalize,
                              .thin = f->mixed,
                              .div = f->div,
                              .lambda = f->lambda};
    if (!suits(w, f, s) || !keys(w, acc, s, &how))
        return false;
    for (size_t i = 0; i < w->inputs; i++)
        how.weight[i] = f->weight[i];
    struct am_frame_sums sums = am_frame_bf16(&how, out, w->base16, w->x16, w->n);
    if (!all_finite(&sums, w->inputs))
        return false;
    w->tally[AM_FRAME_ELEMENTS] += (double)w->n;
    w->tally[AM_FRAME_CONFLICTS] += (double)sums.conflicts;
    w->tally[AM_FRAME_THIN] += (double)sums.thin;
    w->tally[AM_FRAME_OUT] += sums.out;
    for (size_t i = 0; i < w->inputs; i++) {
        double *tally = w->tally + AM_FRAME_FIXED + i * AM_FRAME_EACH;
        tally[AM_FRAME_DELTA] += sums.delta[i];
        tally[AM_FRAME_KEPT] += (double)sums.kept[i];
    }
    return true;
}
