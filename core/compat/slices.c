/*
 * slices.c - rows of one key (slices.h).
 */
#include "core/compat/slices.h"
#include "core/base/err.h"
#include "core/compat/intervals.h"
#include "core/compat/normal.h"

#include <stdlib.h>
#include <string.h>

int am_slices_count(const uint64_t *old_ok, const uint64_t *new_ok, const int32_t *value, size_t n, size_t values,
                    struct am_slice_counts *ret)
{
    for (size_t i = 0; i < n; i++)
        if (value[i] < -1 || (value[i] >= 0 && (size_t)value[i] >= values))
            return -AM_E_INVALID_PARAMS;
    memset(ret, 0, values * sizeof(*ret));
    for (size_t i = 0; i < n; i++) {
        if (value[i] < 0)
            continue;
        struct am_slice_counts *s = &ret[value[i]];
        uint64_t o = old_ok[i / 64] >> (i % 64) & 1, w = new_ok[i / 64] >> (i % 64) & 1;
        s->n++;
        s->right_old += o;
        s->right_new += w;
        s->b += o & ~w;
        s->c += w & ~o;
    }
    return 0;
}

static struct am_slice row_of(const struct am_slice_counts *c)
{
    double n = (double)c->n, b = (double)c->b, up = (double)c->c;
    struct am_slice s = {
        .counts = *c,
        .accuracy_old = am_ratio((double)c->right_old, n),
        .accuracy_new = am_ratio((double)c->right_new, n),
        .nfr = am_ratio(b, n),
        .harm = am_ratio(b - up, n),
        .interval = am_wilson(b, n, AM_Z_TWO_SIDED),
        .one_sided = am_wilson(b, n, AM_Z_ONE_SIDED),
        .delta_one_sided = am_tango(b, up, n, AM_Z_ONE_SIDED),
        .test = am_mcnemar_of(c->b, c->c),
        .q = 1,
        .small = c->n < AM_SLICE_SMALL,
    };
    return s;
}

int am_slices_of(const struct am_slice_counts *counts, size_t values, struct am_slice *ret)
{
    double *p = calloc(values + 1, sizeof(*p));
    size_t tests = 0, k = 0;
    if (!p)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < values; i++)
        if (counts[i].n > 0)
            p[tests++] = am_mcnemar_of(counts[i].b, counts[i].c).mid.p;
    int rc = am_benjamini_hochberg(p, tests, p);
    for (size_t i = 0; rc == 0 && i < values; i++) {
        ret[i] = row_of(&counts[i]);
        if (counts[i].n > 0)
            ret[i].q = p[k++];
        ret[i].verdict = am_verdict(ret[i].q, counts[i].b, counts[i].c);
    }
    free(p);
    return rc;
}
