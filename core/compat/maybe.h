/*
 * maybe.h - a number or an interval that may be undefined. Undefined is a value of its own (JSON null), never 0 and
 * never NaN: a rate without a denominator says nothing. Plain values; nothing is owned.
 */
#ifndef AM_COMPAT_MAYBE_H
#define AM_COMPAT_MAYBE_H

#include <stdbool.h>

struct am_maybe {
    bool known;
    double value; /* 0 when not known */
};

struct am_interval {
    bool known;
    double lower, upper; /* 0 when not known */
};

static inline struct am_maybe am_known(double value)
{
    return (struct am_maybe){.known = true, .value = value};
}

/* numerator / denominator, undefined for a denominator that is not above 0. */
static inline struct am_maybe am_ratio(double numerator, double denominator)
{
    return denominator > 0 ? am_known(numerator / denominator) : (struct am_maybe){.known = false, .value = 0};
}

#endif
