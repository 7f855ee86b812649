/*
 * _patch.c - see _patch.h. An adapter holds no value that is none: its factors are of whole matrices, so that nothing
 * would be left of them.
 */
#include "core/merge/_patch.h"

const char *const am_patch_solvers[] = {"randomised", "full", NULL};
const char *const am_patch_others[] = {"save", "drop", NULL};

static const char *const only_refuse[] = {"refuse", NULL};

const struct am_param am_patch_policies[] = {
    {.name = "nonfinite",
     .kind = AM_CHOICE,
     .choices = only_refuse,
     .def = "\"refuse\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "NaN or infinity in a matrix with factors: fail with tensor, input and index"},
    {.name = "overflow",
     .kind = AM_CHOICE,
     .choices = only_refuse,
     .def = "\"refuse\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "a factor too large for options.out_dtype: fail"},
    {0},
};
