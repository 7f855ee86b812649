/*
 * iso_cts.c - isotropic merging in common and task-specific subspaces: most of the directions of the sum, the rest
 * given in equal parts to what each task has beyond them, and all singular values replaced by their mean.
 *
 * Marczak et al., ICML 2025, arXiv:2502.04959. For each matrix, with d_t = x_t - b of T models and M = sum(d_t) = U S
 * V' of rank r (singular values above rank_tolerance * s_1): n = round((r - floor(common_fraction * r)) / T), half to
 * even, and c = r - n * T. U_c, S_c, V_c are the first c of M; of each task the first n triplets of d_t - U_c U_c' d_t
 * are put beside them (those above rank_tolerance * s_1 of M). out = b + alpha * mean(all S) * polar(all U) polar(all
 * V)'. Other tensors: out = b + alpha * mean(d_t). Shapes: b, every x_i and out have the same shape. f64, rounded once.
 */
#include "core/base/err.h"
#include "core/merge/_iso.h"

#include <math.h>

static const struct am_param params[] = {
    AM_WHOLE_ALPHA("1.0", ""),
    {.name = "common_fraction",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "0.8",
     .unit = "fraction",
     .doc = "share of the directions that the sum of all tasks gets; the rest is dealt to the tasks"},
    AM_ISO_TOLERANCE,
    AM_WHOLE_CONV("\"none\""),
    AM_WHOLE_INCLUDE,
    AM_WHOLE_EXCLUDE,
    {0},
};

struct deal {
    size_t common, own; /* directions of the sum, of each task */
    double least;       /* singular values that count are above */
};

static struct deal deal(const struct am_args *args, size_t r, size_t tasks)
{
    double common = floor(am_arg_real(args, "common_fraction") * (double)r * (1 + 4 * 0x1p-52));
    struct deal d = {.own = (size_t)nearbyint(((double)r - common) / (double)tasks)};
    while (d.own * tasks > r)
        d.own--;
    d.common = r - d.own * tasks;
    return d;
}

/* The common part, copied out of the decomposition of the sum, whose memory is then free again. */
static int take_common(struct am_matrix *m, struct deal *d, struct am_whole_joined *j, struct am_whole_room room)
{
    struct am_whole_svd sum;
    size_t rank;
    int rc = am_iso_sum(m, &room, &sum, &rank);
    if (rc != 0)
        return rc;
    *d = deal(m->scope.args, rank, m->scope.inputs);
    d->least = am_arg_real(m->scope.args, "rank_tolerance") * sum.s[0];
    am_whole_join(j, &sum, d->common);
    return 0;
}

/* d -= U_c U_c' d, with room for U_c' d */
static int take_away(const struct am_whole_joined *j, size_t common, const struct am_whole_svd *d, double *across)
{
    struct am_mat u = {j->u, d->rows, common, j->most}, all = {d->a, d->rows, d->cols, d->cols},
                  t = {across, common, d->cols, d->cols};
    if (common == 0)
        return 0;
    AM_TRY(am_gemm(1, u, true, all, false, 0, t));
    return am_gemm(-1, u, false, t, false, 1, all);
}

static int take_task(struct am_matrix *m, size_t task, const struct deal *deal, struct am_whole_joined *j,
                     struct am_whole_room room)
{
    struct am_whole_svd d;
    size_t n = 0;
    AM_TRY(am_whole_svd_room(&room, m->rows, m->cols, &d));
    int rc = am_whole_add(m, task, d.a, m->cols, false);
    if (rc != 0)
        return rc;
    AM_TRY(take_away(j, deal->common, &d, d.vt));
    AM_TRY(am_whole_svd(&d));
    while (n < deal->own && d.s[n] > deal->least)
        n++;
    am_whole_join(j, &d, n);
    return 0;
}

static int whole(struct am_matrix *m)
{
    struct am_whole_room room = am_whole_room(m);
    struct am_whole_joined j;
    struct deal deal;
    AM_TRY(am_whole_joined_room(m, &room, m->rows < m->cols ? m->rows : m->cols, &j));
    int rc = take_common(m, &deal, &j, room);
    for (size_t i = 0; rc == 0 && deal.own > 0 && i < m->scope.inputs; i++)
        rc = take_task(m, i, &deal, &j, room);
    if (rc != 0)
        return rc;
    double mean = am_iso_mean(j.s, j.n);
    for (size_t i = 0; i < j.n; i++)
        j.s[i] = mean;
    return am_whole_put_joined(m, &j, room);
}

const struct am_method am_method_merge_iso_cts = {
    AM_WHOLE_HOOKS,
    .name = "iso_cts",
    .paper = "arXiv:2502.04959",
    .summary = "iso_c with some of the directions kept for what each task has of its own",
    .needs = AM_WHOLE_NEEDS(.full = {.fixed = 3}, .square = {.fixed = 2}, .edge = {.fixed = 8}),
    .params = params,
    .whole = whole,
};
