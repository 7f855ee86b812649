/*
 * continual.c - what the method evaluate/continual takes (compat.md 13): the only list of its parameters. It computes
 * on samples, not on tensors: the functions of method.h for windows are empty here, and worker mode `continual` runs
 * it.
 */
#include "core/evaluate/_line.h"
#include "core/methods/method.h"

static const struct am_param params[] = {
    {.name = "bootstrap",
     .kind = AM_INT,
     .min = 200,
     .max = 100000,
     .def = "2000",
     .unit = "replicates",
     .doc = "resamples behind the intervals: the samples of each task are drawn again, the same ones for all versions"},
    {0},
};

const struct am_method am_method_evaluate_continual = {
    .abi = AM_METHOD_ABI,
    .type = AM_EVALUATE,
    .name = "continual",
    .since = "0.2",
    .paper = "arXiv:1706.08840",
    .summary = "a line of versions on the tasks that it learned: what each update gained, kept and forgot",
    .needs = {.min_inputs = 1, .max_inputs = AM_LINE_MAX, .random = true},
    .params = params,
};
