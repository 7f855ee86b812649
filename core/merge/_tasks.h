/*
 * _tasks.h - what emr, tall_masks and consensus share: the differences of a tile side by side. Every task is one model,
 * fine-tuned from the base.
 */
#ifndef AM_MERGE_TASKS_H
#define AM_MERGE_TASKS_H

#include "core/methods/method.h"

#define AM_TASK_PARAM                                                                                                  \
    {                                                                                                                  \
        .name = "task", .kind = AM_INT, .min = 1, .max = AM_MAX_INPUTS, .unit = "number", .flags = AM_REQUIRED,        \
        .doc = "which of the models, from 1, the result is to stand for"                                               \
    }
#define AM_MASK_PARAM                                                                                                  \
    {                                                                                                                  \
        .name = "lambda_mask", .kind = AM_REAL, .min = 0, .max = 1e6, .def = "0.4", .unit = "factor",                  \
        .flags = AM_PER_INPUT,                                                                                         \
        .doc = "an entry is a model's own when it is larger than this times the sum of the others (paper: 0.2 to 0.6)" \
    }
extern const struct am_rule am_task_rules[]; /* task is one of the models */

/* scratch[i] = fl(x_i - b), and sum = their sum from left to right. */
void am_tasks_deltas(const struct am_window *w, float *sum);
#endif
