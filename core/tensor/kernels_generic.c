/*
 * kernels_generic.c - the kernels in plain C for any processor: the truth that the other sets are held to, bit by bit.
 */
#define SET_NAME "generic"
#define SET_TABLE am_kernels_generic
#include "core/tensor/kernels_body.h"
