/*
 * tsv_m.c - task singular vectors, merged: keeps the first singular vectors of every task, makes those of all tasks
 * orthogonal to each other, and adds up.
 *
 * Gargiulo et al., CVPR 2025, arXiv:2412.00081. For each matrix, with d_t = x_t - b of T models: the thin decomposition
 * of d_t, of which kappa = max(1, floor(min(rows, cols) / T)) triplets stay (those above 1e-6 of the first: what
 * belongs to a singular value of zero is arbitrary). Side by side they are U, S, V; U and V become their polar factors,
 * and out = b + alpha * U S V'. Other tensors: out = b + alpha * mean(d_t). Shapes: b, every x_i and out have the same
 * shape. f64, rounded once.
 */
#include "core/base/err.h"
#include "core/merge/_whole.h"

#define NEGLIGIBLE 1e-6

static const struct am_param params[] = {
    AM_WHOLE_ALPHA("1.0", ""), AM_WHOLE_CONV("\"flatten\""), AM_WHOLE_INCLUDE, AM_WHOLE_EXCLUDE, {0},
};

static int take_task(struct am_matrix *m, size_t task, size_t kappa, struct am_whole_joined *j,
                     struct am_whole_room room)
{
    struct am_whole_svd d;
    AM_TRY(am_whole_svd_room(&room, m->rows, m->cols, &d));
    int rc = am_whole_add(m, task, d.a, m->cols, true);
    if (rc != 0)
        return rc;
    AM_TRY(am_whole_svd(&d));
    size_t rank = am_whole_rank(d.s, d.k, NEGLIGIBLE);
    am_whole_join(j, &d, rank < kappa ? rank : kappa);
    return 0;
}

static int whole(struct am_matrix *m)
{
    size_t tasks = m->scope.inputs, k = m->rows < m->cols ? m->rows : m->cols, kappa = k / tasks ? k / tasks : 1;
    struct am_whole_room room = am_whole_room(m);
    struct am_whole_joined j;
    AM_TRY(am_whole_joined_room(m, &room, kappa * tasks, &j));
    for (size_t i = 0; i < tasks; i++) {
        int rc = take_task(m, i, kappa, &j, room);
        if (rc != 0)
            return rc;
    }
    return am_whole_put_joined(m, &j, room);
}

const struct am_method am_method_merge_tsv_m = {
    AM_WHOLE_HOOKS,
    .name = "tsv_m",
    .paper = "arXiv:2412.00081",
    .summary = "the first singular vectors of every fine-tune, made orthogonal to each other and added up",
    .needs = AM_WHOLE_NEEDS(.full = {.fixed = 3}, .square = {.fixed = 2}, .edge = {.fixed = 8, .per_input = 8}),
    .params = params,
    .whole = whole,
};
