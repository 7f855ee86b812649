/*
 * _frame_params.h - rows of the parameters that methods in the frame of task arithmetic declare alike (_frame.h). Those
 * whose defaults differ by method take the default.
 */
#ifndef AM_MERGE_FRAME_PARAMS_H
#define AM_MERGE_FRAME_PARAMS_H

#include "core/methods/method.h"

extern const char *const am_frame_consensus[]; /* none, sum, count */
extern const struct am_rule am_frame_rules[];  /* the weights do not sum to zero with `normalize` */

#define AM_FRAME_WEIGHT                                                                                                \
    {                                                                                                                  \
        .name = "weight", .kind = AM_REAL, .min = -1e6, .max = 1e6, .unit = "factor",                                  \
        .flags = AM_REQUIRED | AM_PER_INPUT, .doc = "factor of each model's difference from the base"                  \
    }
#define AM_FRAME_LAMBDA                                                                                                \
    {                                                                                                                  \
        .name = "lambda", .kind = AM_REAL, .min = -1e6, .max = 1e6, .def = "1.0", .unit = "factor",                    \
        .doc = "factor of the merged difference"                                                                       \
    }
#define AM_FRAME_NORMALIZE(by_default)                                                                                 \
    {                                                                                                                  \
        .name = "normalize", .kind = AM_BOOL, .def = by_default, .unit = "none",                                       \
        .doc = "divide by the sum of the weights, with consensus of those that took part in an element"                \
    }
#define AM_FRAME_CONSENSUS(by_default)                                                                                 \
    {                                                                                                                  \
        .name = "consensus", .kind = AM_CHOICE, .choices = am_frame_consensus, .def = by_default, .unit = "none",      \
        .flags = AM_ADVANCED, .doc = "elect a sign for each element by sum or count, and leave out what disagrees"     \
    }

#endif
