/*
 * boot_parts.h - what bootstrap.c and boot_interval.c share. Not for others.
 */
#ifndef AM_COMPAT_BOOT_PARTS_H
#define AM_COMPAT_BOOT_PARTS_H

#include "core/compat/bootstrap.h"

struct am_boot_data {
    const double *rows; /* NULL: classes, whose sizes are `total` */
    uint64_t n;         /* samples in all classes, or units */
    size_t sums;
    double total[AM_BOOT_SUMS];
    const struct am_boot_limit *limit; /* NULL: rows are drawn one by one */
};

/* am_boot_units() with or without the limit, whatever the number of units: for tests. */
int am_boot_units_by(const struct am_boot *how, const double *rows, size_t units, size_t sums,
                     const struct am_boot_ask *ask, size_t asks, bool limit, struct am_boot_answer *ret);

/* `sorted` has room for n. */
struct am_boot_answer am_boot_interval(const struct am_boot_data *data, const struct am_boot_ask *ask,
                                       const struct am_maybe *replicate, uint32_t n, double *sorted);

#endif
