/*
 * linalg.c - see linalg.h. LAPACK and BLAS are called by their Fortran names, which OpenBLAS holds itself (Debian's has
 * no LAPACKE). Fortran stores columns: a matrix of rows is, to it, the transposed one, so a = u s vt reads there as
 * a' = vt' s u', and c = a b as c' = b' a'.
 */
#include "core/tensor/linalg.h"

#include "core/base/err.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libopenblas.so.0"

/* Behind the arguments come the lengths of the texts, by value. */
typedef void gemm_fn(const char *, const char *, const int *, const int *, const int *, const double *, const double *,
                     const int *, const double *, const int *, const double *, double *, const int *, size_t, size_t);
typedef void gesdd_fn(const char *, const int *, const int *, double *, const int *, double *, double *, const int *,
                      double *, const int *, double *, const int *, int *, int *, size_t);
typedef void gelqf_fn(const int *, const int *, double *, const int *, double *, double *, const int *, int *);
typedef void orglq_fn(const int *, const int *, const int *, double *, const int *, const double *, double *,
                      const int *, int *);

static struct {
    gemm_fn *gemm;
    gesdd_fn *gesdd;
    gelqf_fn *gelqf;
    orglq_fn *orglq;
    char name[96];
} blas;

static void *find(void *lib, const char *name)
{
    return dlsym(lib, name);
}

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." */
static void take_name(const char *config, const char *core)
{
    const char *version = strchr(config, ' ');
    size_t n = version ? (size_t)(version - config) + 1 + strcspn(version + 1, " ") : strlen(config);
    snprintf(blas.name, sizeof(blas.name), "%.*s %.30s", n < 60 ? (int)n : 60, config, core);
}

/* The first product makes the library reserve its memory. It must not meet a limit there. */
static void reserve(void)
{
    double one[4] = {1, 0, 0, 1}, out[4];
    struct am_mat a = {one, 2, 2, 2}, c = {out, 2, 2, 2};
    am_gemm(1, a, false, a, false, 0, c);
}

int am_linalg_open(void)
{
    if (blas.gemm)
        return 0;
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return -AM_E_UNSUPPORTED;
    char *(*config)(void) = (char *(*)(void))find(lib, "openblas_get_config");
    char *(*core)(void) = (char *(*)(void))find(lib, "openblas_get_corename");
    void (*set_threads)(int) = (void (*)(int))find(lib, "openblas_set_num_threads");
    gemm_fn *gemm = (gemm_fn *)find(lib, "dgemm_");
    blas.gesdd = (gesdd_fn *)find(lib, "dgesdd_");
    blas.gelqf = (gelqf_fn *)find(lib, "dgelqf_");
    blas.orglq = (orglq_fn *)find(lib, "dorglq_");
    if (!config || !core || !set_threads || !gemm || !blas.gesdd || !blas.gelqf || !blas.orglq) {
        dlclose(lib);
        return -AM_E_UNSUPPORTED;
    }
    set_threads(1);
    take_name(config(), core());
    blas.gemm = gemm;
    reserve();
    return 0;
}

const char *am_linalg_name(void)
{
    return blas.name;
}

static bool fits(size_t n)
{
    return n <= INT_MAX;
}

static void scale(struct am_mat c, double by)
{
    for (size_t r = 0; r < c.rows; r++)
        for (size_t k = 0; k < c.cols; k++)
            c.v[r * c.step + k] = by == 0 ? 0 : by * c.v[r * c.step + k];
}

int am_gemm(double alpha, struct am_mat a, bool turn_a, struct am_mat b, bool turn_b, double beta, struct am_mat c)
{
    size_t inner = turn_a ? a.rows : a.cols;
    if ((turn_a ? a.cols : a.rows) != c.rows || (turn_b ? b.rows : b.cols) != c.cols ||
        (turn_b ? b.cols : b.rows) != inner || !fits(c.rows) || !fits(c.cols) || !fits(inner) || !fits(a.step) ||
        !fits(b.step) || !fits(c.step) || !blas.gemm)
        return -AM_E_INTERNAL;
    if (c.rows == 0 || c.cols == 0)
        return 0;
    if (inner == 0) { /* BLAS wants a step of at least 1 */
        scale(c, beta);
        return 0;
    }
    int m = (int)c.cols, n = (int)c.rows, k = (int)inner, lda = (int)a.step, ldb = (int)b.step, ldc = (int)c.step;
    blas.gemm(turn_b ? "T" : "N", turn_a ? "T" : "N", &m, &n, &k, &alpha, b.v, &ldb, a.v, &lda, &beta, c.v, &ldc, 1, 1);
    return 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What dgesdd needs at least for singular vectors is below this: it reduces a matrix whose one side is 11/6 of the
   other or more to a square one first, and keeps that, too. */
static size_t least_floats(size_t rows, size_t cols)
{
    size_t k = least(rows, cols), squares = rows + cols - k >= k * 11 / 6 ? 4 : 3;
    return squares * k * k + 7 * k + rows + cols;
}

/* At its best, blocks of up to 64 columns or rows of the matrices that are at most 11/6 k long, and a table for them;
   behind it 8 k integers. */
static size_t floats_of(size_t rows, size_t cols)
{
    return least_floats(rows, cols) + 192 * least(rows, cols) + 4224;
}

size_t am_svd_work(size_t rows, size_t cols)
{
    return floats_of(rows, cols) + 8 * least(rows, cols) * sizeof(int) / sizeof(double) + 8;
}

int am_svd(double *a, size_t rows, size_t cols, double *u, double *s, double *vt, double *work)
{
    size_t k = least(rows, cols), floats = floats_of(rows, cols);
    if (!fits(rows) || !fits(cols) || !blas.gesdd)
        return -AM_E_INTERNAL;
    if (k == 0)
        return 0;
    int m = (int)cols, n = (int)rows, ldvt = (int)k, info = 0;
    int have = floats > INT_MAX ? INT_MAX : (int)floats;
    if (least_floats(rows, cols) > INT_MAX)
        return -AM_E_INTERNAL;
    blas.gesdd("S", &m, &n, a, &m, s, vt, &m, u, &ldvt, work, &have, (int *)(void *)(work + floats), &info, 1);
    return info == 0 ? 0 : -AM_E_INTERNAL;
}

/* Blocks of 64 columns, and a scale for each of them. */
size_t am_orthonormal_work(size_t cols)
{
    return 65 * cols;
}

/* To Fortran the columns of `a` are rows. */
int am_orthonormal(double *a, size_t rows, size_t cols, double *work)
{
    if (cols > rows || !fits(rows) || !fits(64 * cols) || !blas.gelqf)
        return -AM_E_INTERNAL;
    if (cols == 0)
        return 0;
    int m = (int)cols, n = (int)rows, have = 64 * m, info = 0;
    blas.gelqf(&m, &n, a, &m, work, work + cols, &have, &info);
    if (info == 0)
        blas.orglq(&m, &n, &m, a, &m, work, work + cols, &have, &info);
    return info == 0 ? 0 : -AM_E_INTERNAL;
}
