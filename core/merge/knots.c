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

/* The differences side by side: rows x tasks * cols. */
static int read_all(struct am_matrix *m, double *all)
{
    size_t tasks = m->scope.inputs;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < tasks; i++)
        rc = am_whole_add(m, i, all + i * m->cols, tasks * m->cols, true);
    return rc;
}

/* S V', of which it gives the rows that count. */
static size_t scale_rows(struct am_whole_svd *d)
{
    size_t n = 0;
    for (; n < d->k && d->s[n] > NEGLIGIBLE; n++)
        for (size_t c = 0; c < d->cols; c++) {
            double v = d->vt[n * d->cols + c] * d->s[n];
            d->vt[n * d->cols + c] = fabs(v) > ROUNDING * d->s[0] ? v : 0;
        }
    return n;
}

static int in_shared_basis(struct am_matrix *m, double *merged, struct am_whole_room room)
{
    struct am_whole_svd d;
    AM_TRY(am_whole_svd_room(&room, m->rows, m->scope.inputs * m->cols, &d));
    int rc = read_all(m, d.a);
    if (rc != 0)
        return rc;
    AM_TRY(am_whole_svd(&d));
    size_t n = scale_rows(&d);
    ties(m, d.vt, n, d.a);
    AM_TRY(am_gemm(1, (struct am_mat){d.u, m->rows, n, d.k}, false, (struct am_mat){d.a, n, m->cols, m->cols}, false, 0,
                   (struct am_mat){merged, m->rows, m->cols, m->cols}));
    am_whole_put(m, merged, n);
    return 0;
}

static int as_they_are(struct am_matrix *m, double *merged, struct am_whole_room room)
{
    size_t n = m->scope.inputs * m->rows * m->cols;
    double *all = am_whole_take(&room, n);
    if (!all)
        return -AM_E_OUT_OF_MEMORY;
    memset(all, 0, n * sizeof(*all));
    int rc = read_all(m, all);
    if (rc != 0)
        return rc;
    ties(m, all, m->rows, merged);
    am_whole_put(m, merged, 0);
    return 0;
}

static int whole(struct am_matrix *m)
{
    struct am_whole_room room = am_whole_room(m);
    double *merged = am_whole_take(&room, m->rows * m->cols);
    if (!merged)
        return -AM_E_OUT_OF_MEMORY;
    return m->matrix ? in_shared_basis(m, merged, room) : as_they_are(m, merged, room);
}

const struct am_method am_method_merge_knots = {
    AM_WHOLE_HOOKS,
    .name = "knots",
    .paper = "arXiv:2410.19735",
    .summary = "ties in a singular basis that all fine-tunes share",
    .needs = AM_WHOLE_NEEDS(.full = {.fixed = 1, .per_input = 2}, .square = {.fixed = 1}, .edge = {.fixed = 8},
                            .joined = true, .row = {.fixed = 1, .per_input = 1}),
    .params = params,
    .whole = whole,
};
