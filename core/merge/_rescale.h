/*
 * _rescale.h - gives a thinned-out difference the size back that it had (merge.md A14): y = d * mask becomes
 * fl(f * y), f = size(d) / size(y) over one tensor, where size is the sum of magnitudes (l1), the norm (l2) or the
 * largest magnitude (linf), in f64, and f is rounded once. No change where a size is below 1e-7 or no number.
 * inverse_density is fl(y / density) instead and needs no sizes.
 *
 * The statistics of a method whose sparsifier is followed by this: its accumulator is a struct am_rescale.
 */
#ifndef AM_MERGE_RESCALE_H
#define AM_MERGE_RESCALE_H

#include "core/methods/method.h"
#include "core/methods/report.h"

enum am_rescale_by { AM_RESCALE_NONE, AM_RESCALE_INVERSE, AM_RESCALE_L1, AM_RESCALE_L2, AM_RESCALE_LINF };

struct am_rescale_one { /* one input */
    double before, after, factor;
};
struct am_rescale {
    uint64_t inputs, by;
    struct am_rescale_one of[];
};
#define AM_RESCALE_ACC                                                                                                 \
    {                                                                                                                  \
        .fixed = sizeof(struct am_rescale), .per_input = sizeof(struct am_rescale_one)                                 \
    }

extern const char *const am_rescale_choices[];
#define AM_RESCALE_PARAM                                                                                               \
    {                                                                                                                  \
        .name = "rescale", .kind = AM_CHOICE, .choices = am_rescale_choices, .def = "\"l1\"", .unit = "none",          \
        .doc = "give what is left of a tensor's difference the size it had: sum of magnitudes (l1), norm (l2), "       \
               "largest magnitude (linf), or divide by the density as in the paper"                                    \
    }
enum am_rescale_by am_rescale_by(const struct am_args *args);

/* In stat(): d, which may be spoiled, and the mask of what is left of it; n elements, which may be more than a tile. */
void am_rescale_count(struct am_rescale *acc, enum am_rescale_by by, size_t inputs, size_t i, float *d,
                      const uint32_t *mask, size_t n);
int am_rescale_merge(void *into, const void *from, unsigned pass); /* the method's merge() */
/* In between(). */
void am_rescale_settle(struct am_rescale *acc, enum am_rescale_by by, size_t inputs);
/* In apply(). */
void am_rescale_apply(const struct am_rescale *acc, enum am_rescale_by by, size_t i, double density, float *y,
                      size_t n);

#endif
