/*
 * knots.c - merges in a singular basis that all tasks share: what the tasks do becomes comparable there, also where
 * each of them was tuned by adapters of its own.
 *
 * Stoica et al., ICLR 2025, arXiv:2410.19735. For each matrix, with d_t = x_t - b of T models: [d_1 .. d_T] = U S V'
 * (rows x T * cols), of which singular values above 1e-5 stay. The blocks S V_t' are merged as ties does (merge.md A16)
 * with equal weights: of each block the floor(density * size) entries of largest magnitude, for each entry the sign of
 * the sum, the mean of those that have it. out = b + alpha * U * (result). Tensors that are no matrices are merged by
 * ties itself: out = b + alpha * ties(d_t). Shapes: b, every x_i and out have the same shape. f64, rounded once. Every
 * tensor is computed whole.
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_whole.h"

#include <math.h>
#include <string.h>

#define NEGLIGIBLE 1e-5
#define ROUNDING                                                                                                       \
    1e-12 /* of the first singular value: smaller entries of S V' are zero, and must not vote by their sign */

static const struct am_param params[] = {
    AM_WHOLE_ALPHA("0.6", ""),
    {.name = "density",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "0.2",
     .unit = "fraction",
     .doc = "share of the entries of each model that are kept, those of largest magnitude"},
    AM_WHOLE_CONV("\"none\""),
    AM_WHOLE_INCLUDE,
    AM_WHOLE_EXCLUDE,
    {0},
};

/* The k-th largest of v[0 .. n), 1 <= k <= n; v is reordered. Hoare's selection with the median of three: which value
   it gives does not depend on how. */
static double kth_largest(double *v, size_t n, size_t k)
{
    size_t low = 0, high = n - 1, want = k - 1;
    while (low < high) {
        double a = v[low], b = v[low + (high - low) / 2], c = v[high];
        double pivot = a > b ? (b > c ? b : a > c ? c : a) : (a > c ? a : b > c ? c : b);
        size_t i = low, j = high;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i > j)
                break;
            double swap = v[i];
            v[i++] = v[j];
            v[j] = swap;
            if (j-- == 0)
                break;
        }
        if (want >= i)
            low = i;
        else if (j != SIZE_MAX && want <= j)
            high = j;
        else
            return v[want];
    }
    return v[low];
}

/* One model's block: n values in rows of `row`, `step` apart. Of equal magnitudes the first in order stay. */
static void keep_largest(double *block, size_t rows, size_t row, size_t step, double density, double *magnitude)
{
    size_t n = rows * row, keep = (size_t)floor(density * (double)n * (1 + 4 * 0x1p-52)), above = 0;
    keep = keep > n ? n : keep == 0 && density > 0 ? 1 : keep;
    double least = INFINITY;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < row; c++)
            magnitude[r * row + c] = fabs(block[r * step + c]);
    if (keep > 0 && n > 0)
        least = kth_largest(magnitude, n, keep);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < row; c++)
            above += fabs(block[r * step + c]) > least;
    size_t equals = keep - above;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < row; c++) {
            double *at = &block[r * step + c], size = fabs(*at);
            if (size > least)
                continue;
            if (size == least && equals > 0)
                equals--;
            else
                *at = 0;
        }
}

static double elect(const double *at, size_t tasks, size_t apart)
{
    double sum = 0, chosen = 0;
    size_t n = 0;
    for (size_t t = 0; t < tasks; t++)
        sum += at[t * apart];
    for (size_t t = 0; t < tasks; t++) {
        double v = at[t * apart];
        bool agrees = sum >= 0 ? v > 0 : v < 0;
        chosen += agrees ? v : 0;
        n += agrees;
    }
    return n ? chosen / (double)n : 0;
}

/* Of `tasks` blocks side by side: rows x tasks * cols. into: rows x cols; first it holds the magnitudes of one block.
 */
static void ties(const struct am_matrix *m, double *all, size_t rows, double *into)
{
    size_t tasks = m->scope.inputs, step = tasks * m->cols;
    double density = am_arg_real(m->scope.args, "density");
    for (size_t t = 0; t < tasks; t++)
        keep_largest(all + t * m->cols, rows, m->cols, step, density, into);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            into[r * m->cols + c] = elect(all + r * step + c, tasks, m->cols);
}

/* [d_1 .. d_T] becomes `merged`, rows x cols; the memory of `all` is used up. */
static int in_shared_basis(struct am_matrix *m, double *all, double *merged, size_t *ret_rank,
                           struct am_whole_room room)
{
    size_t wide = m->scope.inputs * m->cols, q = m->rows < wide ? m->rows : wide;
    double *u = am_whole_take(&room, m->rows * q), *s = am_whole_take(&room, q), *vt = am_whole_take(&room, q * wide),
           *work = am_whole_take(&room, am_svd_work(m->rows, wide));
    if (!u || !s || !vt || !work)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_svd(all, m->rows, wide, u, s, vt, work));
    size_t n = 0;
    for (; n < q && s[n] > NEGLIGIBLE; n++)
        for (size_t c = 0; c < wide; c++)
            vt[n * wide + c] = fabs(vt[n * wide + c] * s[n]) > ROUNDING * s[0] ? vt[n * wide + c] * s[n] : 0;
    *ret_rank = n;
    memset(merged, 0, m->rows * m->cols * sizeof(*merged));
    if (n == 0)
        return 0;
    ties(m, vt, n, all);
    return am_gemm(1, (struct am_mat){u, m->rows, n, q}, false, (struct am_mat){all, n, m->cols, m->cols}, false, 0,
                   (struct am_mat){merged, m->rows, m->cols, m->cols});
}

static int whole(struct am_matrix *m)
{
    size_t tasks = m->scope.inputs, e = m->rows * m->cols, rank = 0;
    struct am_whole_room room = am_whole_room(m);
    double *all = am_whole_take(&room, tasks * e), *merged = am_whole_take(&room, e);
    if (!all || !merged)
        return -AM_E_OUT_OF_MEMORY;
    memset(all, 0, tasks * e * sizeof(*all));
    for (size_t i = 0; i < tasks; i++) {
        int rc = am_whole_add(m, i, all + i * m->cols, tasks * m->cols, true);
        if (rc != 0)
            return rc;
    }
    if (m->matrix)
        AM_TRY(in_shared_basis(m, all, merged, &rank, room));
    else
        ties(m, all, m->rows, merged);
    am_whole_put(m, merged, rank);
    return 0;
}

const struct am_method am_method_merge_knots = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "knots",
    .since = "0.1",
    .paper = "arXiv:2410.19735",
    .summary = "ties in a singular basis that all fine-tunes share",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = AM_WHOLE_TALLY,
              .report = {.fixed = 2, .per_input = 1},
              .scratch = {.fixed = 1},
              .local_bytes = sizeof(struct am_whole),
              .unchanged_at = {"alpha", 0},
              .symmetric = true,
              .matrix = {.full = {.fixed = 1, .per_input = 2},
                         .joined = {.fixed = 5},
                         .edge = {.fixed = 80, .per_input = 80},
                         .all = true}},
    .params = params,
    .common = am_policies,
    .unchanged = am_whole_unchanged,
    .prepare = am_whole_prepare,
    .apply = am_whole_apply,
    .is_matrix = am_whole_is_matrix,
    .whole = whole,
    .report = am_whole_report,
};
