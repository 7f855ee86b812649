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
#include "core/merge/_policies.h"

#include <string.h>

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
    struct am_iso_sum sum;
    int rc = am_iso_sum(m, &room, &sum);
    if (rc != 0)
        return rc;
    size_t n = sum.rank;
    double mean = am_iso_mean(sum.s, n);
    if (n == 0)
        memset(sum.a, 0, m->rows * m->cols * sizeof(*sum.a));
    else
        AM_TRY(am_gemm(mean, (struct am_mat){sum.u, m->rows, n, sum.k}, false,
                       (struct am_mat){sum.vt, n, m->cols, m->cols}, false, 0,
                       (struct am_mat){sum.a, m->rows, m->cols, m->cols}));
    am_whole_put(m, sum.a, n);
    return 0;
}

const struct am_method am_method_merge_iso_c = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "iso_c",
    .since = "0.1",
    .paper = "arXiv:2502.04959",
    .summary = "the sum of all differences with equal singular values, so that no task drowns the others",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = AM_WHOLE_TALLY,
              .report = {.fixed = 2, .per_input = 1},
              .scratch = {.fixed = 1},
              .local_bytes = sizeof(struct am_whole),
              .unchanged_at = {"alpha", 0},
              .symmetric = true,
              .matrix = {.full = {.fixed = 2}, .square = {.fixed = 5}, .edge = {.fixed = 80}}},
    .params = params,
    .common = am_policies,
    .unchanged = am_whole_unchanged,
    .prepare = am_whole_prepare,
    .apply = am_whole_apply,
    .is_matrix = am_whole_is_matrix,
    .whole = whole,
    .report = am_whole_report,
};
