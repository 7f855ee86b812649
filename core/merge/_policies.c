/*
 * _policies.c - what to do with values that are no numbers, or too large for their dtype (merge.md A3, A6).
 */
#include "core/merge/_policies.h"

#include <string.h>

static const char *const nonfinite_choices[] = {"refuse", "propagate", NULL};
static const char *const overflow_choices[] = {"refuse", "clamp", "inf", NULL};

static const char *const compat_choices[] = {"none", "rules", "exact", NULL};
static const char *const rules_choices[] = {"none", "rules", NULL};
static const char *const compat_dtypes[] = {"float32", "float16", "bfloat16", NULL};

#define POLICIES                                                                                                       \
    {.name = "nonfinite",                                                                                              \
     .kind = AM_CHOICE,                                                                                                \
     .choices = nonfinite_choices,                                                                                     \
     .def = "\"refuse\"",                                                                                              \
     .unit = "none",                                                                                                   \
     .flags = AM_ADVANCED,                                                                                             \
     .doc = "NaN or infinity in an input: fail with tensor, input and index, or compute with it"},                     \
    {                                                                                                                  \
        .name = "overflow", .kind = AM_CHOICE, .choices = overflow_choices, .def = "\"refuse\"", .unit = "none",       \
        .flags = AM_ADVANCED,                                                                                          \
        .doc = "finite result too large for its dtype: fail, store the largest finite value, or store infinity"        \
    }

const struct am_param am_policies[] = {POLICIES, {0}};

const struct am_param am_policies_mergekit[] = {
    POLICIES,
    {.name = "compat",
     .kind = AM_CHOICE,
     .choices = compat_choices,
     .def = "\"none\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "rules: mergekit's counts and divisors, which a mergekit configuration implies; exact: its rounding, too"},
    {.name = "compat_dtype",
     .kind = AM_CHOICE,
     .choices = compat_dtypes,
     .def = "\"float32\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "with compat exact: the dtype that every step is rounded to (the dtype of a mergekit configuration)"},
    {0},
};

const struct am_param am_policies_rules[] = {
    POLICIES,
    {.name = "compat",
     .kind = AM_CHOICE,
     .choices = rules_choices,
     .def = "\"none\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "rules: mergekit's counts, floors and divisors, which a mergekit configuration implies"},
    {0},
};

enum am_compat am_compat(const struct am_args *args)
{
    if (!am_arg_has(args, "compat"))
        return AM_COMPAT_NONE;
    const char *name = am_arg_text(args, "compat");
    return strcmp(name, "none") == 0 ? AM_COMPAT_NONE : strcmp(name, "rules") == 0 ? AM_COMPAT_RULES : AM_COMPAT_EXACT;
}
