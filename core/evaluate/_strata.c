/*
 * _strata.c - see _strata.h. A sample adds up to three numbers: its weight, and the weight times an amount in each of
 * its slots.
 */
#include "core/evaluate/_strata.h"

#include "core/compat/boot_limit.h"

#include <stdlib.h>
#include <string.h>

enum {
    STRATA_MAX = 1 << 20,
    SMALL = 100, /* members; fewer are drawn one by one */
    ADDS = 3,
};
#define FAR_SQUARED 100 /* a weight ten standard deviations from the mean of its stratum stands out */

struct am_stratum {
    uint32_t slot[2];
    double mean[ADDS], root[ADDS * ADDS];
    double far; /* square of the distance from the mean weight that stands out; below 0: all members do */
    bool spread;
};

static void adds_of(const struct am_redraw *r, size_t i, double ret[ADDS])
{
    ret[0] = r->grouping->weight ? (double)r->grouping->weight[i] : 1;
    for (int k = 0; k < 2; k++)
        ret[k + 1] = ret[0] * (r->amount[k] ? (double)r->amount[k][i] : 1);
}

/* Which pair of slots: below (slots + 1)^2, or below slots + 1 when samples have one. */
static size_t pair_of(const struct am_redraw *r, size_t i)
{
    size_t pair = 0;
    for (int k = 0; k < 2 && r->slot[k]; k++)
        pair = pair * (r->slots + 1) + (r->slot[k][i] == AM_REDRAW_NONE ? r->slots : r->slot[k][i]);
    return pair;
}

static size_t pairs_of(const struct am_redraw *r)
{
    return r->slot[1] ? (r->slots + 1) * (r->slots + 1) : r->slots + 1;
}

static void number_strata(struct am_strata *s, uint32_t *number, size_t pairs)
{
    memset(number, 0xff, pairs * sizeof *number);
    for (size_t i = 0; i < s->r->n; i++) {
        uint32_t *at = &number[pair_of(s->r, i)];
        if (*at == UINT32_MAX)
            *at = (uint32_t)s->strata++;
    }
}

static bool is_far(const struct am_stratum *t, double weight)
{
    return (weight - t->mean[0]) * (weight - t->mean[0]) > t->far;
}

/* Mean and covariance of each stratum; the second time of what does not stand out, which is counted in `members`. */
static void measure(struct am_strata *s, const uint32_t *number, const uint64_t *apart)
{
    const struct am_redraw *r = s->r;
    double one[ADDS], n;
    memset(s->members, 0, s->strata * sizeof *s->members);
    for (size_t k = 0; k < s->strata; k++) {
        memset(s->stratum[k].mean, 0, sizeof s->stratum[k].mean);
        memset(s->stratum[k].root, 0, sizeof s->stratum[k].root);
    }
    for (size_t i = 0; i < r->n; i++) {
        uint32_t k = number[pair_of(r, i)];
        if (apart[i / 64] >> (i % 64) & 1)
            continue;
        adds_of(r, i, one);
        s->members[k]++;
        for (int a = 0; a < ADDS; a++)
            s->stratum[k].mean[a] += one[a];
    }
    for (size_t k = 0; k < s->strata; k++)
        for (int a = 0; a < ADDS && s->members[k] > 0; a++)
            s->stratum[k].mean[a] /= s->members[k];
    for (size_t i = 0; i < r->n; i++) {
        struct am_stratum *t = &s->stratum[number[pair_of(r, i)]];
        if (apart[i / 64] >> (i % 64) & 1)
            continue;
        adds_of(r, i, one);
        n = s->members[t - s->stratum];
        for (int a = 0; a < ADDS; a++)
            for (int b = 0; b <= a; b++)
                t->root[a * ADDS + b] += (one[a] - t->mean[a]) * (one[b] - t->mean[b]) / n;
        for (int k = 0; k < 2; k++)
            t->slot[k] = r->slot[k] ? r->slot[k][i] : AM_REDRAW_NONE;
    }
    for (size_t k = 0; k < s->strata; k++) {
        struct am_stratum *t = &s->stratum[k];
        t->spread = t->root[0] > 0 || t->root[ADDS + 1] > 0 || t->root[2 * ADDS + 2] > 0;
    }
}

static int set_apart(struct am_strata *s, const uint32_t *number, uint64_t *apart)
{
    const struct am_redraw *r = s->r;
    size_t count = 0;
    for (size_t k = 0; k < s->strata; k++) {
        struct am_stratum *t = &s->stratum[k];
        t->far = t->spread && s->members[k] < SMALL ? -1 : FAR_SQUARED * t->root[0];
    }
    for (int put = 0; put < 2; put++) {
        if (put && !(s->apart = malloc(count * sizeof *s->apart + 1)))
            return -AM_E_OUT_OF_MEMORY;
        count = 0;
        for (size_t i = 0; i < r->n; i++) {
            if (!is_far(&s->stratum[number[pair_of(r, i)]], r->grouping->weight ? (double)r->grouping->weight[i] : 1))
                continue;
            if (put) {
                s->apart[count] = (uint32_t)i;
                apart[i / 64] |= UINT64_C(1) << (i % 64);
            }
            count++;
        }
    }
    s->members[s->strata] = (double)count;
    return 0;
}

static int build(struct am_strata *s, uint32_t *number, uint64_t *apart, size_t pairs)
{
    number_strata(s, number, pairs);
    s->stratum = calloc(s->strata + 1, sizeof *s->stratum);
    s->members = calloc(s->strata + 1, sizeof *s->members);
    if (!s->stratum || !s->members)
        return -AM_E_OUT_OF_MEMORY;
    measure(s, number, apart);
    AM_TRY(set_apart(s, number, apart));
    measure(s, number, apart);
    for (size_t k = 0; k < s->strata; k++)
        am_boot_root(s->stratum[k].root, ADDS, ADDS);
    return 0;
}

int am_strata_of(const struct am_redraw *r, struct am_strata *ret)
{
    size_t pairs = r->slots < STRATA_MAX ? pairs_of(r) : SIZE_MAX;
    if (pairs > STRATA_MAX)
        return 1;
    struct am_strata s = {.r = r};
    uint32_t *number = malloc(pairs * sizeof *number);
    uint64_t *apart = calloc(r->n / 64 + 1, sizeof *apart);
    int rc = number && apart ? build(&s, number, apart, pairs) : -AM_E_OUT_OF_MEMORY;
    free(number);
    free(apart);
    if (rc < 0)
        am_strata_done(&s);
    else
        *ret = s;
    return rc;
}

void am_strata_done(struct am_strata *s)
{
    free(s->stratum);
    free(s->members);
    free(s->apart);
    *s = (struct am_strata){0};
}

static void put(const struct am_strata *s, const uint32_t slot[2], const double add[ADDS], double *sums)
{
    sums[s->r->slots] += add[0];
    for (int k = 0; k < 2; k++)
        if (slot[k] != AM_REDRAW_NONE)
            sums[slot[k]] += add[k + 1];
}

void am_strata_draw(const struct am_strata *s, struct am_draw *d, double *drawn, double *sums)
{
    const struct am_redraw *r = s->r;
    memset(sums, 0, (r->slots + 1) * sizeof *sums);
    am_draw_multinomial(d, r->n, s->members, s->strata + 1, drawn);
    for (size_t k = 0; k < s->strata; k++) {
        const struct am_stratum *t = &s->stratum[k];
        double add[ADDS] = {0};
        if (!(drawn[k] > 0))
            continue;
        if (t->spread)
            am_boot_normal(d, drawn[k], t->mean, t->root, ADDS, ADDS, add);
        else
            for (int a = 0; a < ADDS; a++)
                add[a] = drawn[k] * t->mean[a];
        put(s, t->slot, add, sums);
    }
    for (uint64_t left = (uint64_t)drawn[s->strata]; left; left--) {
        size_t i = s->apart[am_draw_below(d, (uint64_t)s->members[s->strata])];
        const uint32_t slot[2] = {r->slot[0][i], r->slot[1] ? r->slot[1][i] : AM_REDRAW_NONE};
        double add[ADDS];
        adds_of(r, i, add);
        put(s, slot, add, sums);
    }
}
