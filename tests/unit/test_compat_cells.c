/*
 * test_compat_cells.c - cells and metrics against counts of real networks, a count sample by sample, and what must hold
 * of any two versions.
 */
#include "core/compat/cells.h"
#include "core/compat/metrics.h"

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

/* Two versions that say one of `classes` of each sample. All words hold random bits behind the last sample. */
struct pair {
    size_t n;
    int32_t *y, *p_old, *p_new;
    uint64_t *ok_old, *ok_new, *diff;
};

static struct pair make(size_t n, unsigned classes)
{
    size_t words = AM_BIT_WORDS(n) + 1;
    struct pair p = {n,
                     calloc(n + 1, 4),
                     calloc(n + 1, 4),
                     calloc(n + 1, 4),
                     malloc(words * 8),
                     malloc(words * 8),
                     malloc(words * 8)};
    for (size_t k = 0; k < words; k++) {
        p.ok_old[k] = next();
        p.ok_new[k] = next();
        p.diff[k] = next();
    }
    for (size_t i = 0; i < n; i++) {
        p.y[i] = (int32_t)(next() % classes);
        p.p_old[i] = next() % 3 ? p.y[i] : (int32_t)(next() % classes) - 1;
        p.p_new[i] = next() % 4 ? p.y[i] : (int32_t)(next() % classes) - 1;
        uint64_t bit = UINT64_C(1) << i % 64;
        p.ok_old[i / 64] = p.p_old[i] == p.y[i] ? p.ok_old[i / 64] | bit : p.ok_old[i / 64] & ~bit;
        p.ok_new[i / 64] = p.p_new[i] == p.y[i] ? p.ok_new[i / 64] | bit : p.ok_new[i / 64] & ~bit;
    }
    am_diff_classes(p.p_old, p.p_new, n, p.diff);
    if (n % 64)
        p.diff[n / 64] |= next() << (n % 64);
    return p;
}

static void drop(struct pair *p)
{
    free(p->y);
    free(p->p_old);
    free(p->p_new);
    free(p->ok_old);
    free(p->ok_new);
    free(p->diff);
}

/* The twin: from predictions and labels, one sample after the other. */
static struct am_cells plain(const struct pair *p)
{
    struct am_cells c = {.compared = true};
    for (size_t i = 0; i < p->n; i++) {
        bool o = p->p_old[i] == p->y[i], w = p->p_new[i] == p->y[i], x = p->p_old[i] != p->p_new[i];
        c.a += o && w;
        c.a_diff += o && w && x;
        c.b += o && !w;
        c.c += !o && w;
        c.d_same += !o && !w && !x;
        c.d_diff += !o && !w && x;
    }
    return c;
}

static void twin(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 127, 128, 1000007};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        struct pair p = make(sizes[s], 10);
        struct am_cells got, want = plain(&p);
        am_cells_count(p.ok_old, p.ok_new, p.diff, p.n, &got);
        assert_int_equal(got.a, want.a);
        assert_int_equal(got.a_diff, want.a_diff);
        assert_int_equal(got.b, want.b);
        assert_int_equal(got.c, want.c);
        assert_int_equal(got.d_same, want.d_same);
        assert_int_equal(got.d_diff, want.d_diff);
        uint64_t right_old = am_bits_count(p.ok_old, p.n), right_new = am_bits_count(p.ok_new, p.n);
        assert_int_equal(am_cells_check(&got, p.n, right_old, right_new), 0);
        assert_int_not_equal(am_cells_check(&got, p.n, right_old + 1, right_new), 0);
        double vector[AM_CELLS], sums[AM_CELLS], squares;
        float *ones = malloc(p.n * 4 + 4);
        for (size_t i = 0; i < p.n; i++)
            ones[i] = 2;
        am_cells_weigh(p.ok_old, p.ok_new, p.diff, ones, p.n, sums, &squares);
        am_cells_vector(&got, vector);
        for (int k = 0; k < AM_CELLS; k++)
            assert_true(fabs(sums[k] - 2 * vector[k]) <= 0);
        assert_true(fabs(am_effective_n(2 * (double)p.n, squares) - (double)p.n) < 1e-6);
        free(ones);
        drop(&p);
    }
}

static void rows_differ(void **state)
{
    (void)state;
    char o[5 * 32] = {0}, w[5 * 32] = {0};
    uint64_t bits;
    w[2 * 32 + 31] = 1;
    w[4 * 32] = 1;
    am_diff_rows(o, w, 32, 5, &bits);
    assert_int_equal(bits, 1u << 2 | 1u << 4);
}

struct golden {
    uint64_t a, b, c, d_same, d_diff;
    bool compared;
    double acc_old, acc_new, nfr, pfr, nfr_mc, relative, nfi, btc, bec_new, bec_old, churn; /* percent, then ratios */
};

/* acc ±.005 %, nfr and pfr ±.00005 of the printed number where it has four places */
static const struct golden table[] = {
    {8958, 294, 343, 306, 99, true, 92.52, 93.01, 2.94, 3.43, 3.93, .45461, .42060, .96822, .57940, .54144, 7.36},
    {8988, 264, 358, 286, 104, true, 92.52, 93.46, 2.64, 3.58, 3.68, .43631, .40367, .97147, .59633, .52139, 7.26},
    {9192, 107, 495, 149, 57, true, 92.99, 96.87, 1.07, 4.95, 1.64, .36762, .34185, .98849, .65815, .29387, 6.59},
    {9504, 89, 203, 166, 38, true, 95.93, 97.07, 0.89, 2.03, 1.27, .31664, .30375, .99072, .69625, .50123, 3.30},
    {9122, 471, 130, 202, 75, true, 95.93, 92.52, 4.71, 1.30, 5.46, .65639, .62968, .95090, .37032, .68059, 6.76},
    {1591, 113, 105, 128, 63, true, 85.20, 84.80, 5.65, 5.25, 8.80, .43628, .37171, .93369, .62829, .64527, 14.05},
    {7493, 610, 763, 725, 409, true, 81.03, 82.56, 6.10, 7.63, 10.19, .43166, .34977, .92472, .65023, .59779, 17.82},
    {7605, 651, 662, 724, 358, true, 82.56, 82.67, 6.51, 6.62, 10.09, .45500, .37565, .92115, .62435, .62041, 16.71},
    {363, 477, 139, 10, 11, true, 84.00, 50.20, 47.70, 13.90, 48.80, 1.14028, .95783, .43214, .04217, .13125, 62.70},
    {276, 242, 404, 17, 61, true, 51.80, 68.00, 24.20, 40.40, 30.30, 1.45994, .75625, .53282, .24375, .16183, 70.70},
    {8583, 69, 203, 74, 31, true, 96.56, 98.06, .7701, 2.2656, 1.1161, .41067, .39655, .99202, .60345, .34091, 3.3817},
    {222, 64, 293, 740, 0, false, 21.68, 39.04, 4.8522, 22.2138, 0, .36712, .07960, .77622, .92040, .71636, 0},
    {306, 209, 152, 652, 0, false, 39.04, 34.72, 15.8453, 11.5239, 0, .62170, .24274, .59417, .75726, .81095, 0},
};

static double value(const struct am_cells *c, enum am_metric_id id)
{
    double v[AM_CELLS];
    am_cells_vector(c, v);
    struct am_metric m = am_metric_of(id, v, c->compared);
    assert_true(m.ratio.known && !m.reason);
    assert_true(fabs(m.ratio.value - m.numerator / m.denominator) <= 0);
    return m.ratio.value;
}

static void golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        const struct golden *g = &table[i];
        struct am_cells c = {g->a, 0, g->b, g->c, g->d_same, g->d_diff, g->compared};
        NEAR(100 * value(&c, AM_METRIC_ACCURACY_OLD), g->acc_old, .0050001);
        NEAR(100 * value(&c, AM_METRIC_ACCURACY_NEW), g->acc_new, .0050001);
        NEAR(100 * value(&c, AM_METRIC_NFR), g->nfr, .00005001);
        NEAR(100 * value(&c, AM_METRIC_PFR), g->pfr, .00005001);
        NEAR(100 * value(&c, AM_METRIC_CHURN_BAD), g->nfr, .00005001);
        NEAR(100 * value(&c, AM_METRIC_CHURN_GOOD), g->pfr, .00005001);
        NEAR(value(&c, AM_METRIC_RELATIVE_NFR), g->relative, .0000050001);
        NEAR(value(&c, AM_METRIC_NFI), g->nfi, .0000050001);
        NEAR(value(&c, AM_METRIC_BTC), g->btc, .0000050001);
        NEAR(value(&c, AM_METRIC_BEC_NEW), g->bec_new, .0000050001);
        NEAR(value(&c, AM_METRIC_BEC_OLD), g->bec_old, .0000050001);
        double v[AM_CELLS];
        am_cells_vector(&c, v);
        if (g->compared) {
            NEAR(100 * value(&c, AM_METRIC_NFR_MC), g->nfr_mc, .00005001);
            NEAR(100 * value(&c, AM_METRIC_CHURN), g->churn, .00005001);
        } else {
            assert_string_equal(am_metric_of(AM_METRIC_NFR_MC, v, false).reason, "no_predictions");
            assert_string_equal(am_metric_of(AM_METRIC_CHURN, v, false).reason, "no_predictions");
        }
    }
}

static void properties(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct am_cells c = {.compared = true};
        c.a = next() % 1000;
        c.a_diff = c.a ? next() % (c.a + 1) : 0;
        c.b = next() % 300;
        c.c = next() % 300;
        c.d_same = next() % 300;
        c.d_diff = next() % 300 + 1;
        struct am_cells back = c;
        back.b = c.c;
        back.c = c.b;
        assert_true(value(&c, AM_METRIC_NFR_MC) >= value(&c, AM_METRIC_NFR));
        NEAR(value(&c, AM_METRIC_CHURN),
             value(&c, AM_METRIC_CHURN_GOOD) + value(&c, AM_METRIC_CHURN_BAD) + value(&c, AM_METRIC_CHURN_NEUTRAL),
             1e-15);
        NEAR(value(&c, AM_METRIC_ACCURACY_DELTA), -value(&back, AM_METRIC_ACCURACY_DELTA), 0);
        NEAR(value(&c, AM_METRIC_NFR), value(&back, AM_METRIC_PFR), 0);
        double old = value(&c, AM_METRIC_ACCURACY_OLD), new = value(&c, AM_METRIC_ACCURACY_NEW),
               nfr = value(&c, AM_METRIC_NFR);
        NEAR(value(&c, AM_METRIC_PFR) - nfr, new - old, 1e-15);
        assert_true(nfr >= fmax(0, old - new) - 1e-15 && nfr <= fmin(old, 1 - new) + 1e-15);
        if (c.a + c.b > 0) {
            NEAR(value(&c, AM_METRIC_BTC), 1 - nfr / old, 1e-14);
            NEAR(value(&c, AM_METRIC_RELATIVE_NFR), nfr / (old * (1 - new)), 1e-14);
        }
        NEAR(value(&c, AM_METRIC_BEC_NEW), 1 - value(&c, AM_METRIC_NFI), 1e-15);
    }
}

static bool known(struct am_cells c, enum am_metric_id id, const char *reason)
{
    double v[AM_CELLS];
    am_cells_vector(&c, v);
    struct am_metric m = am_metric_of(id, v, c.compared);
    if (!m.ratio.known)
        assert_string_equal(m.reason, reason);
    return m.ratio.known;
}

static void undefined(void **state)
{
    (void)state;
    for (int id = 0; id < AM_METRICS; id++)
        assert_false(known((struct am_cells){.compared = true}, (enum am_metric_id)id, "no_samples"));
    struct am_cells old_wrong = {.c = 3, .d_same = 4, .compared = true};
    assert_false(known(old_wrong, AM_METRIC_BTC, "empty_denominator"));
    assert_false(known(old_wrong, AM_METRIC_RELATIVE_NFR, "empty_denominator"));
    NEAR(value(&old_wrong, AM_METRIC_BEC_NEW), 1, 0);
    NEAR(value(&old_wrong, AM_METRIC_BEC_OLD), 4. / 7, 1e-15);
    struct am_cells new_right = {.a = 3, .c = 4, .compared = true};
    assert_false(known(new_right, AM_METRIC_NFI, "empty_denominator"));
    assert_false(known(new_right, AM_METRIC_BEC_NEW, "empty_denominator"));
    assert_false(known(new_right, AM_METRIC_RELATIVE_NFR, "empty_denominator"));
    NEAR(value(&new_right, AM_METRIC_BEC_OLD), 0, 0);
    struct am_cells same = {.a = 270, .d_same = 30, .compared = true};
    NEAR(value(&same, AM_METRIC_BTC), 1, 0);
    NEAR(value(&same, AM_METRIC_BEC_NEW), 1, 0);
    NEAR(value(&same, AM_METRIC_BEC_OLD), 1, 0);
    NEAR(value(&same, AM_METRIC_RELATIVE_NFR), 0, 0);
    struct am_cells all_right = {.a = 5, .compared = true};
    assert_false(known(all_right, AM_METRIC_BEC_OLD, "empty_denominator"));
    struct am_cells all_wrong = {.d_same = 5, .compared = true};
    assert_false(known(all_wrong, AM_METRIC_BTC, "empty_denominator"));
}

/* What no change at all would show, measured on simulated samples; 20,000 items, 4 tries. */
static void noise(void **state)
{
    (void)state;
    enum { ITEMS = 20000, TRIES = 4 };
    uint32_t *right = malloc(ITEMS * 4), *tries = malloc(ITEMS * 4);
    double *rate = malloc(ITEMS * 8), truth = 0;
    for (int i = 0; i < ITEMS; i++) {
        double p = (double)(next() >> 11) * 0x1p-53;
        rate[i] = p;
        truth += p * (1 - p) / ITEMS;
        right[i] = 0;
        tries[i] = TRIES;
        for (int t = 0; t < TRIES; t++)
            right[i] += (double)(next() >> 11) * 0x1p-53 < p;
    }
    struct am_maybe same = am_noise_same(right, tries, ITEMS), two = am_noise_expected(rate, rate, ITEMS);
    assert_true(same.known && two.known);
    NEAR(same.value, truth, .004);
    NEAR(two.value, truth, 1e-12);
    tries[7] = 1;
    assert_false(am_noise_same(right, tries, ITEMS).known);
    assert_false(am_noise_same(right, tries, 0).known);
    free(right);
    free(tries);
    free(rate);
}

static void speed(void **state)
{
    (void)state;
    struct pair p = make(1000000, 1000);
    struct timespec from, to;
    struct am_cells c;
    clock_gettime(CLOCK_MONOTONIC, &from);
    am_diff_classes(p.p_old, p.p_new, p.n, p.diff);
    am_cells_count(p.ok_old, p.ok_new, p.diff, p.n, &c);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("1,000,000 samples to cells: %.2f ms\n",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    assert_int_equal(am_cells_n(&c), p.n);
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twin),       cmocka_unit_test(rows_differ), cmocka_unit_test(golden),
        cmocka_unit_test(properties), cmocka_unit_test(undefined),   cmocka_unit_test(noise),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
