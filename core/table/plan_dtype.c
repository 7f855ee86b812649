/*
 * plan_dtype.c - the names of dtypes as plans know them (plan_parts.h).
 */
#include "core/table/plan_parts.h"

#include "core/base/text.h"

static const char *const dtypes[AM_PLAN_DTYPES] = {
    "BOOL", "F4",  "F6_E2M3", "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16",  "U16", "F16",     "BF16",    "I32", "U32", "F32",     "C64",     "F64",     "I64",         "U64",
};

int am_plan_dtype(const char *name)
{
    for (int i = 0; i < AM_PLAN_DTYPES; i++)
        if (dtypes[i][0] == name[0] && am_streq(dtypes[i], name))
            return i;
    return -AM_E_DTYPE_UNSUPPORTED;
}

const char *am_plan_name(int dtype)
{
    return dtypes[dtype];
}

uint64_t am_plan_computed(const char *dtype)
{
    if (am_streq(dtype, "F16") || am_streq(dtype, "BF16"))
        return 2;
    if (am_streq(dtype, "F32"))
        return 4;
    return am_streq(dtype, "F64") ? 8 : 0;
}

const char *am_plan_out_dtype(const struct am_body *b)
{
    return json_string_value(json_object_get(b->options, "out_dtype"));
}

uint64_t am_plan_out_bytes(const struct am_body *b, struct am_faults *f)
{
    const char *name = am_plan_out_dtype(b);
    uint64_t size = name ? am_plan_computed(name) : 0;
    if (name && !size)
        am_fault_add(f, AM_E_DTYPE_UNSUPPORTED, (struct am_where){.pointer = "#/options/out_dtype", .reason = "dtype"},
                     "dtype %.20s cannot be stored; use F32, F16 or BF16", name);
    return size;
}
