/*
 * kernels_avx512.c - the kernels compiled for x86-64 processors with AVX-512 F, BW, DQ and VL; the Makefile has the
 * flags. Without them (another processor) the table is empty. -ffp-contract=off keeps fused multiply-add out, but where
 * a product is exact (plus_product()).
 */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define SET_NAME "avx512"
#define SET_TABLE am_kernels_avx512
#include "core/tensor/kernels_body.h"
#else
#include "core/tensor/kernels_set.h"
const struct am_kernel_set am_kernels_avx512 = {.name = NULL};
#endif
