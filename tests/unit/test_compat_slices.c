/*
 * test_compat_slices.c - slices against the golden rows of real networks, planted and absent regressions, which flips
 * are shown; the metrics of a line of updates.
 */
#include "core/base/err.h"
#include "core/compat/cells.h"
#include "core/compat/continual.h"
#include "core/compat/slices.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/compat_fixture.h"

static void set(uint64_t *bits, size_t i, bool on)
{
    bits[i / 64] = on ? bits[i / 64] | UINT64_C(1) << i % 64 : bits[i / 64] & ~(UINT64_C(1) << i % 64);
}

static void golden(void **state)
{
    (void)state;
    static const struct {
        uint64_t old, new, b, c;
        double harm, p, q, regression, upper;
    } rows[10] = {
        {930, 939, 24, 33, -.9, .237047, .592618, .881476, 3.334},
        {966, 965, 20, 19, .1, .874629, .940198, .437315, 2.868},
        {916, 911, 32, 27, .5, .518958, .940198, .259479, 4.249},
        {838, 836, 77, 75, .2, .871618, .940198, .435809, 9.204},
        {941, 940, 28, 27, .1, .893853, .940198, .446927, 3.794},
        {874, 901, 34, 61, -2.7, .005573, .055730, .997214, 4.475},
        {945, 957, 16, 28, -1.2, .072454, .362271, .963773, 2.395},
        {941, 943, 26, 28, -.2, .787706, .940198, .606147, 3.564},
        {954, 954, 22, 22, .0, .940198, .940198, .500000, 3.102},
        {947, 955, 15, 23, -.8, .199591, .592618, .900205, 2.276},
    };
    struct am_slice_counts counts[10];
    struct am_slice got[10];
    for (int i = 0; i < 10; i++)
        counts[i] = (struct am_slice_counts){1000, rows[i].old, rows[i].new, rows[i].b, rows[i].c};
    assert_int_equal(am_slices_of(counts, 10, got), 0);
    for (int i = 0; i < 10; i++) {
        NEAR(100 * got[i].harm.value, rows[i].harm, 1e-12);
        NEAR(got[i].test.mid.p, rows[i].p, 5.1e-7);
        NEAR(got[i].q, rows[i].q, 5.1e-7);
        NEAR(got[i].test.regression.p, rows[i].regression, 5.1e-7);
        NEAR(100 * got[i].one_sided.upper, rows[i].upper, 5.1e-4);
        NEAR(got[i].accuracy_old.value, (double)rows[i].old / 1000, 0);
        assert_string_equal(got[i].verdict, "no_difference_shown");
        assert_false(got[i].small);
    }
    NEAR(got[5].interval.lower, .0244, 5e-5);
    NEAR(got[5].interval.upper, .0471, 5e-5);
}

/* Versions that differ by chance only, in `values` slices of `each`. */
static void alike(uint64_t *o, uint64_t *w, int32_t *value, size_t values, size_t each)
{
    for (size_t i = 0; i < values * each; i++) {
        bool x = next() % 10 < 8, y = x ^ (next() % 10 == 0), swap = next() % 2;
        set(o, i, swap ? x : y);
        set(w, i, swap ? y : x);
        value[i] = (int32_t)(i % values);
    }
}

static void planted(void **state)
{
    (void)state;
    enum { VALUES = 50, EACH = 200, N = VALUES * EACH };
    uint64_t o[AM_BIT_WORDS(N)], w[AM_BIT_WORDS(N)];
    int32_t value[N];
    struct am_slice_counts counts[VALUES];
    struct am_slice rows[VALUES];
    double p[VALUES], holm[VALUES];
    alike(o, w, value, VALUES, EACH);
    for (size_t i = 0; i < N; i++) /* slice 17: no difference but 20 flips */
        if (value[i] == 17) {
            set(w, i, i / VALUES >= 20);
            set(o, i, true);
        }
    assert_int_equal(am_slices_count(o, w, value, N, VALUES, counts), 0);
    assert_int_equal(counts[17].b, 20);
    assert_int_equal(counts[17].c, 0);
    struct am_slice_counts sum = {0};
    for (int k = 0; k < VALUES; k++) {
        sum.n += counts[k].n;
        sum.b += counts[k].b;
        sum.c += counts[k].c;
        sum.right_old += counts[k].right_old;
        sum.right_new += counts[k].right_new;
    }
    struct am_cells cells;
    am_cells_count(o, w, NULL, N, &cells);
    assert_int_equal(am_cells_check(&cells, sum.n, sum.right_old, sum.right_new), 0);
    assert_int_equal(sum.b, cells.b);
    assert_int_equal(sum.c, cells.c);
    assert_int_equal(am_slices_of(counts, VALUES, rows), 0);
    for (int k = 0; k < VALUES; k++) {
        p[k] = rows[k].test.regression.p;
        assert_true(k == 17 || p[k] > p[17]);
    }
    assert_int_equal(am_holm(p, VALUES, holm), 0);
    assert_true(holm[17] < .001);
    assert_string_equal(rows[17].verdict, "worse");
    value[3] = VALUES;
    assert_int_equal(am_slices_count(o, w, value, N, VALUES, counts), -AM_E_INVALID_PARAMS);
    value[3] = -1;
    assert_int_equal(am_slices_count(o, w, value, N, VALUES, counts), 0);
    assert_int_equal(counts[3].n, EACH - 1);
}

static void nothing_planted(void **state)
{
    (void)state;
    enum { VALUES = 20, EACH = 100, N = VALUES * EACH, RUNS = 500 };
    uint64_t o[AM_BIT_WORDS(N)] = {0}, w[AM_BIT_WORDS(N)] = {0};
    int32_t value[N];
    struct am_slice_counts counts[VALUES];
    struct am_slice rows[VALUES];
    int alarms = 0;
    for (int r = 0; r < RUNS; r++) {
        alike(o, w, value, VALUES, EACH);
        assert_int_equal(am_slices_count(o, w, value, N, VALUES, counts), 0);
        assert_int_equal(am_slices_of(counts, VALUES, rows), 0);
        bool any = false;
        for (int k = 0; k < VALUES; k++)
            any |= rows[k].q < .05;
        alarms += any;
    }
    printf("no real difference: %d of %d runs show a slice with q < .05\n", alarms, RUNS);
    assert_true(alarms <= RUNS * 8 / 100);
}

static void empty_slices(void **state)
{
    (void)state;
    struct am_slice_counts counts[3] = {{0, 0, 0, 0, 0}, {29, 20, 10, 10, 0}, {30, 30, 30, 0, 0}};
    struct am_slice rows[3];
    assert_int_equal(am_slices_of(counts, 3, rows), 0);
    assert_false(rows[0].nfr.known || rows[0].harm.known || rows[0].interval.known);
    NEAR(rows[1].q, 2 * rows[1].test.mid.p, 1e-15); /* of two, not of three */
    assert_true(rows[1].small && !rows[2].small);
    assert_int_equal(am_slices_of(NULL, 0, NULL), 0);
}

static void shown(void **state)
{
    (void)state;
    /* rows: 0 and 7 are not flips; row 69 lies in the second word, dirty bits beyond */
    enum { N = 70 };
    uint64_t o[2] = {~UINT64_C(0), ~UINT64_C(0)}, w[2] = {~UINT64_C(0), 0x1f};
    int32_t label[N] = {0}, said[N] = {0};
    float weight[N], before[N] = {0}, after[N] = {0};
    static const size_t flips[] = {3, 4, 5, 6, 69};
    for (size_t i = 0; i < N; i++)
        weight[i] = 1;
    for (size_t k = 0; k < 4; k++)
        set(w, flips[k], false);
    set(w, 69, false);
    label[3] = label[5] = label[69] = 3;
    said[3] = said[69] = 5;
    said[5] = 4;
    said[4] = said[6] = -1;
    struct am_flip_pair pairs[AM_FLIP_PAIRS];
    size_t n, rows[10];
    assert_int_equal(am_flip_pairs(o, w, label, said, N, AM_FLIP_PAIRS, pairs, &n), 0);
    assert_int_equal(n, 3);
    assert_true(pairs[0].from == 0 && pairs[0].to == -1 && pairs[0].n == 2);
    assert_true(pairs[1].from == 3 && pairs[1].to == 5 && pairs[1].n == 2);
    assert_true(pairs[2].from == 3 && pairs[2].to == 4 && pairs[2].n == 1);
    assert_int_equal(am_flip_pairs(o, w, label, said, N, 1, pairs, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(am_exemplars(o, w, NULL, NULL, NULL, N, 10, rows, &n), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(rows, flips, sizeof(flips));
    weight[5] = 2;
    after[6] = -3;
    after[4] = (float)NAN;
    assert_int_equal(am_exemplars(o, w, weight, before, after, N, 10, rows, &n), 0);
    assert_memory_equal(rows, ((size_t[]){5, 6, 3, 69, 4}), 5 * sizeof(*rows));
    assert_int_equal(am_exemplars(o, w, weight, before, after, N, 2, rows, &n), 0);
    assert_int_equal(n, 2);
}

static void continual(void **state)
{
    (void)state;
    struct am_maybe r[9] = {[0] = am_known(.9), [3] = am_known(.6), [4] = am_known(.8),
                            [6] = am_known(.5), [7] = am_known(.7), [8] = am_known(.9)};
    struct am_maybe random[3] = {am_known(.1), am_known(.1), am_known(.2)};
    struct am_scores s = {3, r, random};
    struct am_missing missing[4];
    size_t n;
    NEAR(am_continual_of(AM_CONTINUAL_AVERAGE_INCREMENTAL, &s, NULL, 0, &n).value, .766667, 5.1e-7);
    assert_int_equal(n, 0);
    NEAR(am_continual_of(AM_CONTINUAL_FINAL_AVERAGE, &s, NULL, 0, &n).value, .7, 1e-15);
    NEAR(am_continual_of(AM_CONTINUAL_BWT, &s, NULL, 0, &n).value, -.25, 1e-15);
    NEAR(am_continual_of(AM_CONTINUAL_FORGETTING, &s, NULL, 0, &n).value, .25, 1e-15);
    assert_false(am_continual_of(AM_CONTINUAL_FWT, &s, missing, 4, &n).known); /* new classes were not scored before */
    assert_int_equal(n, 2);
    assert_true(missing[0].i == 1 && missing[0].j == 2 && missing[1].i == 2 && missing[1].j == 3);
    r[6] = am_known(.95);
    NEAR(am_continual_of(AM_CONTINUAL_BWT, &s, NULL, 0, &n).value, -.025, 1e-15);
    NEAR(am_continual_of(AM_CONTINUAL_FORGETTING, &s, NULL, 0, &n).value, .05, 1e-15);
    r[1] = am_known(.3);
    r[5] = am_known(.4);
    NEAR(am_continual_of(AM_CONTINUAL_FWT, &s, NULL, 0, &n).value, .2, 1e-15);
    r[3] = am_known(0); /* a measured zero counts */
    NEAR(am_continual_of(AM_CONTINUAL_AVERAGE_INCREMENTAL, &s, NULL, 0, &n).value, (.9 + .4 + (.95 + .7 + .9) / 3) / 3,
         1e-15);
    r[3].known = false; /* a missing one never */
    assert_false(am_continual_of(AM_CONTINUAL_AVERAGE_INCREMENTAL, &s, missing, 4, &n).known);
    assert_true(n == 1 && missing[0].i == 2 && missing[0].j == 1);
    assert_false(am_continual_of(AM_CONTINUAL_FORGETTING, &s, NULL, 0, &n).known);
    NEAR(am_continual_of(AM_CONTINUAL_FINAL_AVERAGE, &s, NULL, 0, &n).value, .85, 1e-15);
    s.random = NULL;
    assert_false(am_continual_of(AM_CONTINUAL_FWT, &s, missing, 4, &n).known);
    assert_true(n == 2 && missing[0].i == 0 && missing[0].j == 2);
    s.tasks = 1;
    for (int id = 0; id < AM_CONTINUAL_METRICS; id++) {
        bool one = id == AM_CONTINUAL_AVERAGE_INCREMENTAL || id == AM_CONTINUAL_FINAL_AVERAGE;
        assert_true(am_continual_of((enum am_continual_id)id, &s, NULL, 0, &n).known == one);
        assert_int_equal(n, 0);
    }
    NEAR(am_nfr_per_update((double[]){1, 3}, (double[]){10, 10}, 2).value, .2, 1e-15);
    assert_false(am_nfr_per_update((double[]){1, 0}, (double[]){10, 0}, 2).known);
    assert_false(am_nfr_per_update(NULL, NULL, 0).known);
}

static void speed(void **state)
{
    (void)state;
    enum { N = 1000000, VALUES = 1000 };
    uint64_t *o = calloc(AM_BIT_WORDS(N), 8), *w = calloc(AM_BIT_WORDS(N), 8);
    int32_t *value = calloc(N, 4);
    struct am_slice_counts *counts = calloc(VALUES, sizeof(*counts));
    struct am_slice *rows = calloc(VALUES, sizeof(*rows));
    alike(o, w, value, VALUES, N / VALUES);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(am_slices_count(o, w, value, N, VALUES, counts), 0);
    assert_int_equal(am_slices_of(counts, VALUES, rows), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("1,000,000 samples to 1,000 slices with their tests: %.1f ms\n",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    free(o);
    free(w);
    free(value);
    free(counts);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),       cmocka_unit_test(planted), cmocka_unit_test(nothing_planted),
        cmocka_unit_test(empty_slices), cmocka_unit_test(shown),   cmocka_unit_test(continual),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
