/*
 * linalg.h - dense linear algebra over OpenBLAS and its LAPACK: the only door to them. Matrices are row by row, f64.
 * Every call runs on one thread, the caller's. Bytes are the same for the same library and processor core
 * (am_linalg_name()), not across them.
 *
 * The library is loaded when a job needs it: linked, it would cost every worker 10 ms and 3 MiB. am_linalg_open() must
 * come before the worker is fenced in, and before any other call here but those of work().
 */
#ifndef AM_TENSOR_LINALG_H
#define AM_TENSOR_LINALG_H

#include <stdbool.h>
#include <stddef.h>

/* Data segment that OpenBLAS reserves for one caller (128 MiB, of which it touches a few), and a margin. Where
   RLIMIT_DATA does not allow it, OpenBLAS never returns. */
#define AM_BLAS_RESERVED ((size_t)160 << 20)

/* 0, again and again; -AM_E_UNSUPPORTED when the library is not installed. Not at the same time in two threads. */
int am_linalg_open(void);
const char *am_linalg_name(void); /* "OpenBLAS 0.3.21 SkylakeX"; "" before am_linalg_open() */

struct am_mat { /* v[row * step + column] */
    double *v;
    size_t rows, cols, step;
};

/* c = alpha * op(a) * op(b) + beta * c, op() transposing where said. With beta 0, c is not read. */
int am_gemm(double alpha, struct am_mat a, bool turn_a, struct am_mat b, bool turn_b, double beta, struct am_mat c);

/*
 * Thin singular value decomposition a = u * diag(s) * vt of a packed matrix (step = cols), k = min(rows, cols): u is
 * rows x k, s has k values from the largest down, vt is k x cols. `a` is destroyed. `work` has am_svd_work(rows, cols)
 * doubles. Inputs must be finite. -AM_E_INTERNAL: LAPACK did not converge. Source: LAPACK's dgesdd, divide and conquer.
 */
int am_svd(double *a, size_t rows, size_t cols, double *u, double *s, double *vt, double *work);
size_t am_svd_work(size_t rows, size_t cols);

/* The columns of a packed matrix, of which there are at most as many as rows, become orthonormal and span what they
   spanned (Householder: LAPACK's dgelqf and dorglq). `work` has am_orthonormal_work(cols) doubles. */
int am_orthonormal(double *a, size_t rows, size_t cols, double *work);
size_t am_orthonormal_work(size_t cols);

#endif
