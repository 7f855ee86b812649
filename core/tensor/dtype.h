/*
 * dtype.h - the element types of safetensors: names, bits, and which of them amend computes with.
 * The order of the enum is the reference writer's order (safetensors.md 1.4); files are written in descending order of
 * it.
 */
#ifndef AM_TENSOR_DTYPE_H
#define AM_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum am_dtype {
    AM_BOOL_,
    AM_F4,
    AM_F6_E2M3,
    AM_F6_E3M2,
    AM_U8,
    AM_I8,
    AM_F8_E5M2,
    AM_F8_E4M3,
    AM_F8_E8M0,
    AM_F8_E4M3FNUZ,
    AM_F8_E5M2FNUZ,
    AM_I16,
    AM_U16,
    AM_F16,
    AM_BF16,
    AM_I32,
    AM_U32,
    AM_F32,
    AM_C64,
    AM_F64,
    AM_I64,
    AM_U64,
    AM_DTYPE_COUNT
};

const char *am_dtype_name(enum am_dtype t);       /* "F32" */
int am_dtype_parse(const char *name, size_t len); /* the enum value, or -AM_E_DTYPE_UNSUPPORTED */
unsigned am_dtype_bits(enum am_dtype t);
bool am_dtype_computed(enum am_dtype t);  /* F16 BF16 F32 F64: methods work on these, in f32 */
bool am_dtype_quantised(enum am_dtype t); /* F8 with scales, F6, F4, E8M0: refused by methods */
/* elements * bits / 8 with checked arithmetic. 0; -1: overflow; -2: not a whole number of bytes. */
int am_dtype_bytes(enum am_dtype t, const uint64_t *shape, unsigned rank, uint64_t *ret_elements, uint64_t *ret_bytes);

#endif
