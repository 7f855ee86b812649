/*
 * iso_c.c - isotropic merging in the common subspace: the sum of all differences, with every singular value replaced by
 * their mean.
 *
 * Marczak et al., ICML 2025, arXiv:2502.04959. For each matrix, with M = sum(x_t - b) = U S V': out = b + alpha *
 * mean(s) * U V', over the singular values above rank_tolerance * s_1, since the vectors of the others are arbitrary.
 * Other tensors: out = b + alpha * mean(x_t - b). Shapes: b, every x_i and out have the same shape. f64, rounded once.
 */
#include "core/base/err.h"
#include "core/merge/_iso.h"

static const struct am_param params[] = {
    AM_WHOLE_ALPHA("1.0", " (1.5 was best for eight tasks of ViT-B/32)"),
    AM_ISO_TOLERANCE,
    AM_WHOLE_CONV("\"none\""),
    AM_WHOLE_INCLUDE,
    AM_WHOLE_EXCLUDE,
    {0},
};

static int whole(struct am_matrix *m)
{
    struct am_whole_room room = am_whole_room(m);
    struct am_whole_svd sum;
    size_t n;
    int rc = am_iso_sum(m, &room, &sum, &n);
    if (rc != 0)
        return rc;
    double mean = am_iso_mean(sum.s, n);
    AM_TRY(am_gemm(mean, (struct am_mat){sum.u, m->rows, n, sum.k}, false, (struct am_mat){sum.vt, n, m->cols, m->cols},
                   false, 0, (struct am_mat){sum.a, m->rows, m->cols, m->cols}));
    am_whole_put(m, sum.a, n);
    return 0;
}

const struct am_method am_method_merge_iso_c = {
    AM_WHOLE_HOOKS,
    .name = "iso_c",
    .paper = "arXiv:2502.04959",
    .summary = "the sum of all differences with equal singular values, so that no task drowns the others",
    .needs = AM_WHOLE_NEEDS(.full = {.fixed = 2}, .square = {.fixed = 1}, .edge = {.fixed = 8}),
    .params = params,
    .whole = whole,
};
