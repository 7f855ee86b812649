/*
 * boot_limit.h - resamples of very many rows, from their limit. The rows that stand out are drawn one by one, as often
 * as chance draws them; the sum of all others, which are many and alike, is drawn from the normal distribution that it
 * tends to: mean r m and covariance r S for r draws of rows of mean m and covariance S. So a cell of three samples and
 * a score far from all others come as often as in an exact resample, and time does not grow with rows. Not for few
 * rows: see am_boot_limited() of bootstrap.h. Private to core/compat and to core/evaluate's own bootstrap.
 */
#ifndef AM_COMPAT_BOOT_LIMIT_H
#define AM_COMPAT_BOOT_LIMIT_H

#include "core/compat/bootstrap.h"
#include "core/compat/draw.h"

/* How many rows are drawn one by one at most; no more than half of the rows. */
size_t am_boot_apart(uint32_t replicates, uint64_t units);

struct am_boot_limit {
    size_t sums, apart, rest; /* rows that stand out; all others */
    double *row;              /* [apart][sums] */
    double mean[AM_BOOT_SUMS];
    double root[AM_BOOT_SUMS * AM_BOOT_SUMS]; /* lower triangle whose square is the covariance; stride AM_BOOT_SUMS */
};

/* The same rows give the same limit. -AM_E_OUT_OF_MEMORY. */
int am_boot_limit_of(const double *rows, size_t units, size_t sums, uint32_t replicates, struct am_boot_limit *ret);
void am_boot_limit_done(struct am_boot_limit *b);
/* The sums of one resample. Only reads `b`. */
void am_boot_limit_draw(const struct am_boot_limit *b, struct am_draw *d, double *sums);

/* In place: the lower triangle L with L L' = m, for a covariance of n variables with rows `stride` apart. Variables
   that are sums of earlier ones, but for rounding, get a column of zeros. */
void am_boot_root(double *m, size_t n, size_t stride);
/* ret += mean * r + sqrt(r) * L z, z standard normal, from n words pairs of the stream. */
void am_boot_normal(struct am_draw *d, double r, const double *mean, const double *root, size_t n, size_t stride,
                    double *ret);

#endif
