/*
 * _frame_delta.c - the differences of a frame for statistics (_frame.h): from f32, from BF16 as stored, or rounded as
 * mergekit's.
 */
#include "core/merge/_frame.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

void am_frame_delta(const struct am_window *w, size_t input, size_t first, size_t n, float *d)
{
    const struct am_frame *f = w->local;
    if (w->x16)
        am_sub_bf16(d, w->x16[input] + first, w->base16 + first, n);
    else if (f->exact.on)
        am_exact_delta(&f->exact, d, w->x[input] + first, w->base + first, n);
    else
        am_sub_f32(d, w->x[input] + first, w->base + first, n);
}

int am_frame_count(const struct am_window *w, size_t input, const struct am_select_round *rank, size_t ranks,
                   const struct am_part *part)
{
    float *room = w->scratch[0];
    if (w->x16) {
        const struct am_bf16_pair pair = {.x = w->x16[input] + part->first, .y = w->base16 + part->first};
        return am_select_count_bf16(rank, ranks, &pair, room, part);
    }
    am_frame_delta(w, input, part->first, part->n, room);
    return am_select_count(rank, ranks, room, part);
}
