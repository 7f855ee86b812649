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
#include "core/merge/_policies.h"

#include <math.h>
#include <string.h>

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

struct parts {
    double *u, *vt;   /* rows x n, n x cols: the common directions first */
    double sum;       /* of their singular values */
    size_t n, c, own; /* directions so far, common ones, of each task */
    size_t step;      /* of u */
    double least;     /* singular values that count are above */
};

static void share(const struct am_args *args, size_t r, size_t tasks, struct parts *p)
{
    double common = floor(am_arg_real(args, "common_fraction") * (double)r * (1 + 4 * 0x1p-52));
    p->own = (size_t)nearbyint(((double)r - common) / (double)tasks);
    while (p->own * tasks > r)
        p->own--;
    p->c = r - p->own * tasks;
}

static void take(struct parts *p, const double *u, const double *s, const double *vt, size_t k, size_t n,
                 const struct am_matrix *m)
{
    for (size_t r = 0; r < m->rows; r++)
        memcpy(p->u + r * p->step + p->n, u + r * k, n * sizeof(*u));
    memcpy(p->vt + p->n * m->cols, vt, n * m->cols * sizeof(*vt));
    for (size_t i = 0; i < n; i++)
        p->sum += s[i];
    p->n += n;
}

/* d -= U_c U_c' d, with room for U_c' d */
static int take_away(const struct parts *p, const struct am_matrix *m, double *d, double *across)
{
    struct am_mat u = {p->u, m->rows, p->c, p->step}, all = {d, m->rows, m->cols, m->cols},
                  t = {across, p->c, m->cols, m->cols};
    if (p->c == 0)
        return 0;
    AM_TRY(am_gemm(1, u, true, all, false, 0, t));
    return am_gemm(-1, u, false, t, false, 1, all);
}

static int take_task(struct am_matrix *m, size_t task, struct parts *p, struct am_whole_room room)
{
    size_t k = m->rows < m->cols ? m->rows : m->cols, e = m->rows * m->cols;
    double *d = am_whole_take(&room, e), *u = am_whole_take(&room, m->rows * k),
           *vt = am_whole_take(&room, k * m->cols), *s = am_whole_take(&room, k),
           *work = am_whole_take(&room, am_svd_work(m->rows, m->cols));
    if (!d || !u || !vt || !s || !work)
        return -AM_E_OUT_OF_MEMORY;
    memset(d, 0, e * sizeof(*d));
    int rc = am_whole_add(m, task, d, m->cols, false);
    if (rc != 0)
        return rc;
    AM_TRY(take_away(p, m, d, vt));
    AM_TRY(am_svd(d, m->rows, m->cols, u, s, vt, work));
    size_t n = 0;
    while (n < p->own && s[n] > p->least)
        n++;
    take(p, u, s, vt, k, n, m);
    return 0;
}

static int put_together(struct am_matrix *m, struct parts *p, double *merged, struct am_whole_room room)
{
    for (size_t r = 1; r < m->rows && p->n < p->step; r++)
        memmove(p->u + r * p->n, p->u + r * p->step, p->n * sizeof(*p->u));
    AM_TRY(am_whole_polar(p->u, m->rows, p->n, room));
    AM_TRY(am_whole_polar(p->vt, p->n, m->cols, room));
    return am_gemm(p->sum / (double)p->n, (struct am_mat){p->u, m->rows, p->n, p->n}, false,
                   (struct am_mat){p->vt, p->n, m->cols, m->cols}, false, 0,
                   (struct am_mat){merged, m->rows, m->cols, m->cols});
}

/* The common part, copied out of the decomposition of the sum, whose memory is then free again. */
static int take_common(struct am_matrix *m, struct parts *p, struct am_whole_room room)
{
    struct am_iso_sum sum;
    int rc = am_iso_sum(m, &room, &sum);
    if (rc != 0)
        return rc;
    share(m->scope.args, sum.rank, m->scope.inputs, p);
    p->least = am_arg_real(m->scope.args, "rank_tolerance") * sum.s[0];
    take(p, sum.u, sum.s, sum.vt, sum.k, p->c, m);
    return 0;
}

static int whole(struct am_matrix *m)
{
    size_t k = m->rows < m->cols ? m->rows : m->cols;
    struct am_whole_room room = am_whole_room(m);
    struct parts p = {.step = k};
    p.u = am_whole_take(&room, m->rows * k);
    p.vt = am_whole_take(&room, k * m->cols);
    if (!p.u || !p.vt)
        return -AM_E_OUT_OF_MEMORY;
    int rc = take_common(m, &p, room);
    for (size_t i = 0; rc == 0 && p.own > 0 && i < m->scope.inputs; i++)
        rc = take_task(m, i, &p, room);
    if (rc != 0)
        return rc;
    double *merged = am_whole_take(&room, m->rows * m->cols);
    if (!merged)
        return -AM_E_OUT_OF_MEMORY;
    if (p.n == 0)
        memset(merged, 0, m->rows * m->cols * sizeof(*merged));
    else
        AM_TRY(put_together(m, &p, merged, room));
    am_whole_put(m, merged, p.n);
    return 0;
}

const struct am_method am_method_merge_iso_cts = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "iso_cts",
    .since = "0.1",
    .paper = "arXiv:2502.04959",
    .summary = "iso_c with some of the directions kept for what each task has of its own",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = AM_WHOLE_TALLY,
              .report = {.fixed = 2, .per_input = 1},
              .scratch = {.fixed = 1},
              .local_bytes = sizeof(struct am_whole),
              .unchanged_at = {"alpha", 0},
              .symmetric = true,
              .matrix = {.full = {.fixed = 3}, .square = {.fixed = 6}, .edge = {.fixed = 80}}},
    .params = params,
    .common = am_policies,
    .unchanged = am_whole_unchanged,
    .prepare = am_whole_prepare,
    .apply = am_whole_apply,
    .is_matrix = am_whole_is_matrix,
    .whole = whole,
    .report = am_whole_report,
};
