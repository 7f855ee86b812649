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
#include "core/merge/_policies.h"
#include "core/merge/_whole.h"

#include <string.h>

#define NEGLIGIBLE 1e-6

static const struct am_param params[] = {
    AM_WHOLE_ALPHA("1.0", ""), AM_WHOLE_CONV("\"flatten\""), AM_WHOLE_INCLUDE, AM_WHOLE_EXCLUDE, {0},
};

/* U and V' of all tasks: rows x most, of which `n` columns are filled; most x cols, n rows. */
struct joined {
    double *u, *s, *vt;
    size_t most, n;
};

static int take_task(struct am_matrix *m, size_t task, size_t kappa, struct joined *j, struct am_whole_room room)
{
    size_t k = m->rows < m->cols ? m->rows : m->cols, e = m->rows * m->cols;
    double *d = am_whole_take(&room, e), *u = am_whole_take(&room, m->rows * k),
           *vt = am_whole_take(&room, k * m->cols), *s = am_whole_take(&room, k),
           *work = am_whole_take(&room, am_svd_work(m->rows, m->cols));
    if (!d || !u || !vt || !s || !work)
        return -AM_E_OUT_OF_MEMORY;
    memset(d, 0, e * sizeof(*d));
    int rc = am_whole_add(m, task, d, m->cols, true);
    if (rc != 0)
        return rc;
    AM_TRY(am_svd(d, m->rows, m->cols, u, s, vt, work));
    size_t rank = am_whole_rank(s, k, NEGLIGIBLE), n = rank < kappa ? rank : kappa;
    for (size_t r = 0; r < m->rows; r++)
        memcpy(j->u + r * j->most + j->n, u + r * k, n * sizeof(*u));
    memcpy(j->vt + j->n * m->cols, vt, n * m->cols * sizeof(*vt));
    memcpy(j->s + j->n, s, n * sizeof(*s));
    j->n += n;
    return 0;
}

/* Rows of `most` become rows of `n`. */
static void pack(struct joined *j, size_t rows)
{
    for (size_t r = 1; r < rows && j->n < j->most; r++)
        memmove(j->u + r * j->n, j->u + r * j->most, j->n * sizeof(*j->u));
}

static int add_up(struct am_matrix *m, struct joined *j, struct am_whole_room room)
{
    struct am_mat u = {j->u, m->rows, j->n, j->n}, vt = {j->vt, j->n, m->cols, m->cols};
    pack(j, m->rows);
    AM_TRY(am_whole_polar(j->u, m->rows, j->n, room));
    AM_TRY(am_whole_polar(j->vt, j->n, m->cols, room));
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < j->n; c++)
            j->u[r * j->n + c] *= j->s[c];
    double *merged = am_whole_take(&room, m->rows * m->cols);
    if (!merged)
        return -AM_E_OUT_OF_MEMORY;
    if (j->n == 0)
        memset(merged, 0, m->rows * m->cols * sizeof(*merged));
    else
        AM_TRY(am_gemm(1, u, false, vt, false, 0, (struct am_mat){merged, m->rows, m->cols, m->cols}));
    am_whole_put(m, merged, j->n);
    return 0;
}

static int whole(struct am_matrix *m)
{
    size_t tasks = m->scope.inputs, k = m->rows < m->cols ? m->rows : m->cols, kappa = k / tasks ? k / tasks : 1;
    struct am_whole_room room = am_whole_room(m);
    struct joined j = {.most = kappa * tasks};
    j.u = am_whole_take(&room, m->rows * j.most);
    j.vt = am_whole_take(&room, j.most * m->cols);
    j.s = am_whole_take(&room, j.most);
    if (!j.u || !j.vt || !j.s)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < tasks; i++) {
        int rc = take_task(m, i, kappa, &j, room);
        if (rc != 0)
            return rc;
    }
    return add_up(m, &j, room);
}

const struct am_method am_method_merge_tsv_m = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "tsv_m",
    .since = "0.1",
    .paper = "arXiv:2412.00081",
    .summary = "the first singular vectors of every fine-tune, made orthogonal to each other and added up",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = AM_WHOLE_TALLY,
              .report = {.fixed = 2, .per_input = 1},
              .scratch = {.fixed = 1},
              .local_bytes = sizeof(struct am_whole),
              .unchanged_at = {"alpha", 0},
              .symmetric = true,
              .matrix = {.full = {.fixed = 3}, .square = {.fixed = 6}, .edge = {.fixed = 80, .per_input = 8}}},
    .params = params,
    .common = am_policies,
    .unchanged = am_whole_unchanged,
    .prepare = am_whole_prepare,
    .apply = am_whole_apply,
    .is_matrix = am_whole_is_matrix,
    .whole = whole,
    .report = am_whole_report,
};
