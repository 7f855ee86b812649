/*
 * test_linalg.c - products and decompositions by hand, and that a decomposition stays inside the memory that it asks
 * for.
 */
#include "core/base/err.h"
#include "core/tensor/linalg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names_itself(void **state)
{
    (void)state;
    assert_int_equal(am_linalg_open(), 0);
    assert_int_equal(am_linalg_open(), 0);
    assert_int_equal(strncmp(am_linalg_name(), "OpenBLAS ", 9), 0);
}

static void multiplies(void **state)
{
    (void)state;
    double a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 2, 1, 0, 3}, c[4] = {NAN, NAN, NAN, NAN};
    struct am_mat ma = {a, 2, 3, 3}, mb = {b, 3, 2, 2}, mc = {c, 2, 2, 2};
    assert_int_equal(am_gemm(2, ma, false, mb, false, 0, mc), 0); /* beta 0 does not read c */
    assert_true(c[0] == 10 && c[1] == 22 && c[2] == 28 && c[3] == 46);
    double d[9] = {0};
    assert_int_equal(am_gemm(1, ma, true, mb, true, 1, (struct am_mat){d, 3, 3, 3}), 0); /* (b a)' */
    assert_true(d[0] == 1 && d[1] == 6 && d[2] == 12 && d[3] == 2 && d[4] == 9 && d[8] == 18);
    assert_int_equal(am_gemm(1, ma, false, ma, false, 0, mc), -AM_E_INTERNAL);
    struct am_mat none = {a, 2, 0, 0}, nothing = {b, 0, 2, 2};
    assert_int_equal(am_gemm(1, none, false, nothing, false, 2, mc), 0); /* a sum of nothing */
    assert_true(c[0] == 20 && c[3] == 92);
    assert_int_equal(am_gemm(1, none, false, nothing, false, 0, mc), 0);
    assert_true(c[0] == 0 && c[3] == 0);
}

static void decomposes(size_t rows, size_t cols)
{
    size_t k = rows < cols ? rows : cols, n = rows * cols, need = am_svd_work(rows, cols);
    double *a = calloc(n, 8), *was = calloc(n, 8), *u = calloc(rows * k, 8), *s = calloc(k, 8),
           *vt = calloc(k * cols, 8), *work = calloc(need + 1, 8);
    for (size_t i = 0; i < n; i++)
        was[i] = a[i] = (double)((i * 2654435761u) % 1009) / 500 - 1;
    work[need] = 12345;
    assert_int_equal(am_svd(a, rows, cols, u, s, vt, work), 0);
    assert_true(work[need] == 12345);
    for (size_t i = 1; i < k; i++)
        assert_true(s[i] <= s[i - 1] && s[i] >= 0);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++)
                sum += u[r * k + i] * s[i] * vt[i * cols + c];
            assert_true(fabs(sum - was[r * cols + c]) < 1e-11);
        }
    free(a), free(was), free(u), free(s), free(vt), free(work);
}

static void decomposes_every_shape(void **state)
{
    (void)state;
    static const size_t shape[][2] = {{1, 1},   {1, 9},   {9, 1},    {2, 3},    {30, 31},  {64, 17}, {17, 64},
                                      {5, 300}, {300, 5}, {109, 60}, {110, 60}, {60, 109}, {60, 110}};
    for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++)
        decomposes(shape[i][0], shape[i][1]);
}

static double product(const double *a, size_t rows, size_t cols, size_t i, size_t j)
{
    double sum = 0;
    for (size_t r = 0; r < rows; r++)
        sum += a[r * cols + i] * a[r * cols + j];
    return sum;
}

/* q' q = 1, and q q' takes nothing away from what was there. */
static void makes_orthonormal(size_t rows, size_t cols)
{
    size_t n = rows * cols, need = am_orthonormal_work(cols);
    double *a = calloc(n, 8), *was = calloc(n, 8), *work = calloc(need + 1, 8), *in = calloc(cols * cols, 8);
    for (size_t i = 0; i < n; i++)
        was[i] = a[i] = (double)((i * 2654435761u) % 1009) / 500 - 1;
    work[need] = 12345;
    assert_int_equal(am_orthonormal(a, rows, cols, work), 0);
    assert_true(work[need] == 12345);
    for (size_t i = 0; i < cols; i++)
        for (size_t j = 0; j < cols; j++)
            assert_true(fabs(product(a, rows, cols, i, j) - (i == j)) < 1e-12);
    struct am_mat q = {a, rows, cols, cols}, x = {was, rows, cols, cols}, c = {in, cols, cols, cols};
    assert_int_equal(am_gemm(1, q, true, x, false, 0, c), 0);
    assert_int_equal(am_gemm(-1, q, false, c, false, 1, x), 0);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(was[i]) < 1e-12);
    free(a), free(was), free(work), free(in);
}

static void makes_every_shape_orthonormal(void **state)
{
    (void)state;
    static const size_t shape[][2] = {{1, 1}, {9, 1}, {3, 2}, {31, 30}, {64, 64}, {300, 5}, {500, 136}};
    for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++)
        makes_orthonormal(shape[i][0], shape[i][1]);
    double a[2] = {1, 2}, work[130];
    assert_int_equal(am_orthonormal(a, 1, 2, work), -AM_E_INTERNAL); /* more columns than rows */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_itself),
        cmocka_unit_test(multiplies),
        cmocka_unit_test(decomposes_every_shape),
        cmocka_unit_test(makes_every_shape_orthonormal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
