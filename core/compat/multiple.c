/*
 * multiple.c - corrections for many tests (tests.h).
 */
#include "core/base/err.h"
#include "core/compat/tests.h"

#include <stdlib.h>

struct ranked {
    double p;
    size_t place;
};

static int by_p(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->p < y->p || x->p > y->p)
        return x->p < y->p ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static struct ranked *sorted(const double *p, size_t n)
{
    struct ranked *r = malloc(n * sizeof(*r) + 1);
    if (!r)
        return NULL;
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){p[i], i};
    qsort(r, n, sizeof(*r), by_p);
    return r;
}

int am_holm(const double *p, size_t n, double *ret)
{
    struct ranked *r = sorted(p, n);
    if (!r)
        return -AM_E_OUT_OF_MEMORY;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double each = (double)(n - i) * r[i].p;
        if (each > most)
            most = each > 1 ? 1 : each;
        ret[r[i].place] = most;
    }
    free(r);
    return 0;
}

int am_benjamini_hochberg(const double *p, size_t n, double *ret)
{
    struct ranked *r = sorted(p, n);
    if (!r)
        return -AM_E_OUT_OF_MEMORY;
    double least = 1;
    for (size_t i = n; i-- > 0;) {
        double each = (double)n * r[i].p / (double)(i + 1);
        if (each < least)
            least = each;
        ret[r[i].place] = least;
    }
    free(r);
    return 0;
}
