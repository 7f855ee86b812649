/*
 * _rescale.c - see _rescale.h.
 */
#include "core/merge/_rescale.h"

#include "core/tensor/kernels.h"

#include <string.h>

#define LEAST 1e-7 /* of a size; mergekit's */

/* In the order of enum am_rescale_by. */
const char *const am_rescale_choices[] = {"none", "inverse_density", "l1", "l2", "linf", NULL};

enum am_rescale_by am_rescale_by(const struct am_args *args)
{
    const char *name = am_arg_text(args, "rescale");
    unsigned by = 0;
    while (am_rescale_choices[by] && strcmp(am_rescale_choices[by], name) != 0)
        by++;
    return (enum am_rescale_by)by;
}

static double most(const float *x, size_t n)
{
    float found = 0;
    for (size_t i = 0; i < n; i++)
        found = fabsf(x[i]) > found ? fabsf(x[i]) : found;
    return (double)found;
}

static double size_of(enum am_rescale_by by, const float *x, size_t n)
{
    return by == AM_RESCALE_L2 ? am_block_dot(x, x, n) : most(x, n);
}

static double joined(enum am_rescale_by by, double a, double b)
{
    return by == AM_RESCALE_LINF ? fmax(a, b) : a + b;
}

void am_rescale_count(struct am_rescale *acc, enum am_rescale_by by, size_t inputs, size_t i, float *d,
                      const uint32_t *mask, size_t n)
{
    struct am_rescale_one *one = &acc->of[i];
    acc->inputs = inputs;
    acc->by = by;
    for (size_t at = 0; at < n; at += AM_TILE) {
        size_t m = n - at < AM_TILE ? n - at : AM_TILE;
        struct am_sizes s;
        if (by == AM_RESCALE_L1) {
            s = am_block_sum_abs_mask(d + at, m, mask + at / 32);
        } else {
            s.all = size_of(by, d + at, m);
            am_keep_mask(d + at, d + at, m, mask + at / 32);
            s.kept = size_of(by, d + at, m);
        }
        one->before = joined(by, one->before, s.all);
        one->after = joined(by, one->after, s.kept);
    }
}

int am_rescale_merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    struct am_rescale *a = into;
    const struct am_rescale *b = from;
    for (size_t i = 0; i < b->inputs; i++) {
        a->of[i].before = joined((enum am_rescale_by)b->by, a->of[i].before, b->of[i].before);
        a->of[i].after = joined((enum am_rescale_by)b->by, a->of[i].after, b->of[i].after);
    }
    return 0;
}

void am_rescale_settle(struct am_rescale *acc, enum am_rescale_by by, size_t inputs)
{
    for (size_t i = 0; i < inputs; i++) {
        struct am_rescale_one *one = &acc->of[i];
        double d = one->before, y = one->after;
        if (by == AM_RESCALE_L2) {
            d = sqrt(d);
            y = sqrt(y);
        }
        one->factor = d >= LEAST && y >= LEAST && isfinite(d) && isfinite(y) ? d / y : 1;
    }
}

void am_rescale_apply(const struct am_rescale *acc, enum am_rescale_by by, size_t i, double density, float *y, size_t n)
{
    if (by == AM_RESCALE_INVERSE)
        am_div_f32(y, (float)density, n);
    else if (by >= AM_RESCALE_L1 && acc->of[i].factor != 1)
        am_scale_f32(y, (float)acc->of[i].factor, y, n);
}
