/*
 * _jacobi.h - eigenvalues of a small symmetric matrix by cyclic Jacobi rotations: a fixed order of plain operations, so
 * the same bits everywhere (merge.md A7). Not for large matrices: about ten sweeps of 4 n^3 operations each.
 */
#ifndef AM_MERGE_JACOBI_H
#define AM_MERGE_JACOBI_H

#include <stddef.h>

/* a: n x n, row-major, symmetric, finite; destroyed. value[0] >= value[1] >= ... gets the eigenvalues, row i of v (n x
   n) the eigenvector of value[i], of length 1 and either sign. Returns the number of sweeps. */
unsigned am_jacobi(double *a, size_t n, double *value, double *v);

#endif
