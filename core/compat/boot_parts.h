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
};

/* `sorted` has room for n. */
struct am_boot_answer am_boot_interval(const struct am_boot_data *data, const struct am_boot_ask *ask,
                                       const struct am_maybe *replicate, uint32_t n, double *sorted);

#endif
