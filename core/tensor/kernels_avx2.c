/*
 * kernels_avx2.c - the kernels compiled for x86-64 processors with AVX2 and F16C (never FMA); the Makefile has the
 * flags. Without them (another processor) the table is empty.
 */
#if defined(__AVX2__) && defined(__F16C__)
#define SET_NAME "avx2"
#define SET_TABLE am_kernels_avx2
#include "core/tensor/kernels_body.h"
#else
#include "core/tensor/kernels_set.h"
const struct am_kernel_set am_kernels_avx2 = {.name = NULL};
#endif
