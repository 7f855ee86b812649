/*
 * dtype.c - the table of element types. See dtype.h.
 */
#include "core/tensor/dtype.h"

#include "core/base/err.h"

#include <string.h>

enum { COMPUTED = 1, QUANTISED = 2 };

static const struct {
    const char *name;
    uint8_t bits, flags;
} types[AM_DTYPE_COUNT] = {
    [AM_BOOL_] = {"BOOL", 8, 0},
    [AM_F4] = {"F4", 4, QUANTISED},
    [AM_F6_E2M3] = {"F6_E2M3", 6, QUANTISED},
    [AM_F6_E3M2] = {"F6_E3M2", 6, QUANTISED},
    [AM_U8] = {"U8", 8, 0},
    [AM_I8] = {"I8", 8, 0},
    [AM_F8_E5M2] = {"F8_E5M2", 8, QUANTISED},
    [AM_F8_E4M3] = {"F8_E4M3", 8, QUANTISED},
    [AM_F8_E8M0] = {"F8_E8M0", 8, QUANTISED},
    [AM_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8, QUANTISED},
    [AM_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8, QUANTISED},
    [AM_I16] = {"I16", 16, 0},
    [AM_U16] = {"U16", 16, 0},
    [AM_F16] = {"F16", 16, COMPUTED},
    [AM_BF16] = {"BF16", 16, COMPUTED},
    [AM_I32] = {"I32", 32, 0},
    [AM_U32] = {"U32", 32, 0},
    [AM_F32] = {"F32", 32, COMPUTED},
    [AM_C64] = {"C64", 64, 0},
    [AM_F64] = {"F64", 64, COMPUTED},
    [AM_I64] = {"I64", 64, 0},
    [AM_U64] = {"U64", 64, 0},
};

static bool known(enum am_dtype t)
{
    return (unsigned)t < AM_DTYPE_COUNT;
}

const char *am_dtype_name(enum am_dtype t)
{
    return known(t) ? types[t].name : "?";
}

int am_dtype_parse(const char *name, size_t len)
{
    for (int t = AM_DTYPE_COUNT - 1; t >= 0 && len > 0; t--) /* the common ones are near the end */
        if (types[t].name[0] == name[0] && strlen(types[t].name) == len && memcmp(types[t].name, name, len) == 0)
            return t;
    return -AM_E_DTYPE_UNSUPPORTED;
}

unsigned am_dtype_bits(enum am_dtype t)
{
    return known(t) ? types[t].bits : 0;
}

bool am_dtype_computed(enum am_dtype t)
{
    return known(t) && (types[t].flags & COMPUTED);
}

bool am_dtype_quantised(enum am_dtype t)
{
    return known(t) && (types[t].flags & QUANTISED);
}

int am_dtype_bytes(enum am_dtype t, const uint64_t *shape, unsigned rank, uint64_t *ret_elements, uint64_t *ret_bytes)
{
    uint64_t elements = 1, bits;
    /* From left to right as the reference does: a later 0 does not excuse a product that has already overflowed. */
    for (unsigned i = 0; i < rank; i++)
        if (__builtin_mul_overflow(elements, shape[i], &elements))
            return -1;
    if (__builtin_mul_overflow(elements, (uint64_t)am_dtype_bits(t), &bits))
        return -1;
    if (bits % 8)
        return -2;
    *ret_elements = elements;
    *ret_bytes = bits / 8;
    return 0;
}
