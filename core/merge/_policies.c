/*
 * _policies.c - what to do with values that are no numbers, or too large for their dtype (merge.md A3, A6).
 */
#include "core/merge/_policies.h"

static const char *const nonfinite_choices[] = {"refuse", "propagate", NULL};
static const char *const overflow_choices[] = {"refuse", "clamp", "inf", NULL};

const struct am_param am_policies[] = {
    {.name = "nonfinite",
     .kind = AM_CHOICE,
     .choices = nonfinite_choices,
     .def = "\"refuse\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "NaN or infinity in an input: fail with tensor, input and index, or compute with it"},
    {.name = "overflow",
     .kind = AM_CHOICE,
     .choices = overflow_choices,
     .def = "\"refuse\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "finite result too large for its dtype: fail, store the largest finite value, or store infinity"},
    {0},
};
