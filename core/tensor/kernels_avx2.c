/*
 * kernels_avx2.c - the kernels compiled for x86-64 processors with AVX2, F16C and FMA; the Makefile has the flags.
 * Without them (another processor) the table is empty. -ffp-contract=off keeps fused multiply-add out, but where a
 * product is exact (plus_product()).
 */
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#define SET_NAME "avx2"
#define SET_TABLE am_kernels_avx2
#include "core/tensor/kernels_body.h"
#else
#include "core/tensor/kernels_set.h"
const struct am_kernel_set am_kernels_avx2 = {.name = NULL};
#endif
