/*
 * Resamples of very many samples over many slots: the sums of a resample must have the mean and the covariance that
 * drawing every sample again has, which are known: n draws of one sample's numbers.
 */
#include "core/evaluate/_strata.h"

#include "core/base/err.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 60000, SLOTS = 30, ALL = SLOTS + 1, TIMES = 4000 };

static uint64_t state = 3;
static double uniform(void) /* SplitMix64: not the generator under test */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static uint32_t slot[2][N];
static float amount[2][N], weight[N];

/* Bins like those of calibration, the last of which are met by a few samples only; some samples have none. */
static void make(bool heavy)
{
    for (size_t i = 0; i < N; i++) {
        double u = uniform(), v = .7 * u + .3 * uniform();
        slot[0][i] = u > .98 ? AM_REDRAW_NONE : (uint32_t)(15 * u * u * u);
        slot[1][i] = 15 + (uint32_t)(15 * v * v * v);
        amount[0][i] = (float)(uniform() - u);
        amount[1][i] = (float)(uniform() - v);
        weight[i] = heavy ? (float)pow(1 - uniform(), -.4) : .5f + (float)(i % 3);
    }
}

/* What sample i adds to slot k. */
static double add_of(const struct am_redraw *r, size_t i, size_t k)
{
    double w = r->grouping->weight ? (double)weight[i] : 1, sum = k == SLOTS ? w : 0;
    for (int side = 0; side < 2 && r->slot[side]; side++)
        if (r->slot[side][i] == k)
            sum += w * (r->amount[side] ? (double)r->amount[side][i] : 1);
    return sum;
}

/* Worst distance of the means, in standard errors, and of the covariances, in those of their own. */
static void check(const struct am_redraw *r, const char *what)
{
    static double total[ALL], cov[ALL][ALL], seen[ALL], seen2[ALL][ALL];
    memset(total, 0, sizeof total);
    memset(cov, 0, sizeof cov);
    memset(seen, 0, sizeof seen);
    memset(seen2, 0, sizeof seen2);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < ALL; k++)
            total[k] += add_of(r, i, k);
    for (size_t i = 0; i < N; i++) {
        double x[ALL];
        for (size_t k = 0; k < ALL; k++)
            x[k] = add_of(r, i, k) - total[k] / N;
        for (size_t k = 0; k < ALL; k++)
            for (size_t l = 0; l <= k; l++)
                cov[k][l] += x[k] * x[l];
    }
    struct am_strata s;
    assert_int_equal(am_strata_of(r, &s), 0);
    double *drawn = malloc((s.strata + 1) * sizeof *drawn), sums[ALL], mean_off = 0, cov_off = 0;
    uint32_t key[2];
    assert_int_equal(am_draw_key(1, key), 0);
    for (uint32_t t = 0; t < TIMES; t++) {
        struct am_draw d;
        am_draw_begin(&d, key, t);
        am_strata_draw(&s, &d, drawn, sums);
        for (size_t k = 0; k < ALL; k++) {
            seen[k] += (sums[k] - total[k]) / TIMES;
            for (size_t l = 0; l <= k; l++)
                seen2[k][l] += (sums[k] - total[k]) * (sums[l] - total[l]) / TIMES;
        }
    }
    for (size_t k = 0; k < ALL; k++) {
        if (cov[k][k] <= 1e-9) {
            assert_true(fabs(seen[k]) < 1e-6);
            continue;
        }
        mean_off = fmax(mean_off, fabs(seen[k]) / sqrt(cov[k][k] / TIMES));
        for (size_t l = 0; l <= k; l++)
            if (cov[l][l] > 1e-9) {
                double error = sqrt((cov[k][k] * cov[l][l] + cov[k][l] * cov[k][l]) / TIMES);
                cov_off = fmax(cov_off, fabs(seen2[k][l] - cov[k][l]) / error);
            }
    }
    printf("%s: %zu strata, %.0f samples apart; means off by %.1f, covariances by %.1f standard errors\n", what,
           s.strata, s.members[s.strata], mean_off, cov_off);
    assert_true(mean_off < 4.5);
    assert_true(cov_off < 6);
    free(drawn);
    am_strata_done(&s);
}

static void moments(void **unused)
{
    (void)unused;
    struct am_grouping plain = {.units = N}, weighed = {.weight = weight, .units = N};
    struct am_redraw r = {
        .n = N, .slots = SLOTS, .slot = {slot[0], slot[1]}, .amount = {amount[0], amount[1]}, .grouping = &plain};
    make(false);
    check(&r, "amounts");
    r.grouping = &weighed;
    check(&r, "amounts and weights");
    make(true);
    check(&r, "amounts and heavy weights");
    r.amount[0] = r.amount[1] = NULL;
    r.slot[1] = NULL;
    check(&r, "one slot and heavy weights");
}

/* Small strata whose members are alike need no drawing one by one; three samples come as often as Poisson's law says.
 */
static void small(void **unused)
{
    (void)unused;
    struct am_grouping plain = {.units = N};
    struct am_redraw r = {.n = N, .slots = 3, .slot = {slot[0], slot[1]}, .grouping = &plain};
    for (size_t i = 0; i < N; i++) {
        slot[0][i] = i < 3 ? 0 : 1;
        slot[1][i] = 2;
    }
    struct am_strata s;
    assert_int_equal(am_strata_of(&r, &s), 0);
    assert_int_equal(s.strata, 2);
    assert_true(s.members[2] <= 0);
    double drawn[3], sums[4], none = 0;
    uint32_t key[2];
    assert_int_equal(am_draw_key(2, key), 0);
    for (uint32_t t = 0; t < 20000; t++) {
        struct am_draw d;
        am_draw_begin(&d, key, t);
        am_strata_draw(&s, &d, drawn, sums);
        assert_true(fabs(sums[2] - N) < 1e-9 && fabs(sums[0] + sums[1] - N) < 1e-9);
        none += sums[0] <= 0;
    }
    assert_true(fabs(none / 20000 - exp(-3)) < 4.5 * sqrt(exp(-3) / 20000));
    am_strata_done(&s);
    r.slots = 2000;
    assert_int_equal(am_strata_of(&r, &s), 1); /* four million pairs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moments), cmocka_unit_test(small)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
