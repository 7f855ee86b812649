/*
 * test_compat_tests.c - intervals, tests and sample sizes of a comparison against the golden vectors of their
 * specification (published tables, SciPy, direct maximisation), and the normal distribution against libm's long double.
 */
#include "core/compat/binomial.h"
#include "core/compat/intervals.h"
#include "core/compat/normal.h"
#include "core/compat/samples.h"
#include "core/compat/tests.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compat_fixture.h"

static void normal(void **state)
{
    (void)state;
    double worst = 0, worst_back = 0;
    for (double x = -37; x <= 8; x += 0.0078125) {
        long double want = erfcl(-(long double)x / sqrtl(2)) / 2;
        worst = fmax(worst, (double)fabsl(((long double)am_normal_cdf(x) - want) / want));
    }
    for (double p = 1e-300; p < 0.5; p *= 1.25) { /* Newton's correction of the quantile, in long double */
        double x = am_normal_quantile(p);
        long double density = expl(-(long double)x * x / 2) / sqrtl(2 * 3.14159265358979323846264338327950288L);
        long double off = (erfcl(-(long double)x / sqrtl(2)) / 2 - p) / density;
        worst_back = fmax(worst_back, (double)fabsl(off / x));
        if (p > 1e-10)
            NEAR(am_normal_quantile(1 - p) + am_normal_quantile(1 - (1 - p)), 0, 1e-9);
    }
    printf("normal: cdf %.1e, quantile %.1e relative\n", worst, worst_back);
    assert_true(worst < 1e-14 && worst_back < 1e-15);
    NEAR(am_normal_quantile(0.975), AM_Z_TWO_SIDED, 1e-15);
    NEAR(am_normal_quantile(0.95), AM_Z_ONE_SIDED, 1e-15);
    assert_true(isinf(am_normal_quantile(0)) && isinf(am_normal_quantile(1)) && isnan(am_normal_quantile(2)));
}

static void binomial(void **state)
{
    (void)state;
    for (double n = 1; n < 40; n++)
        NEAR(am_stirling_error(n),
             (double)(lgammal(n + 1) - ((n + 0.5L) * logl(n) - n + 0.918938533204672741780329736L)), 2e-14);
    for (double n = 1; n <= 300; n += 13) {
        double sum = 0, fair = 0;
        for (double k = 0; k <= n; k++) {
            sum += exp(am_ln_binomial_pmf(n, 0.3, k));
            fair += exp(am_ln_fair_pmf(n, k));
        }
        NEAR(sum, 1, 1e-12);
        NEAR(fair, 1, 1e-12);
    }
}

static void wilson(void **state)
{
    (void)state;
    static const double rows[][4] = {
        {118, 10000, .009863119376, .014111816633},
        {0, 500, 0, .007624340462},
        {500, 500, .992375659538, 1},
        {0, 1, 0, .793450685623},
        {294, 10000, .026265548214, .032895871053},
        {610, 10000, .056475659315, .065861491255},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct am_interval w = am_wilson(rows[i][0], rows[i][1], AM_Z_TWO_SIDED);
        assert_true(w.known);
        NEAR(w.lower, rows[i][2], 1e-12);
        NEAR(w.upper, rows[i][3], 1e-12);
    }
    NEAR(am_wilson(294, 10000, AM_Z_ONE_SIDED).upper, .032308, 5e-7);
    for (double n = 1; n < 3000; n *= 1.7) {
        NEAR(am_wilson(0, n, 1.96).lower, 0, 0);
        NEAR(am_wilson(n, n, 1.96).upper, 1, 0);
    }
    assert_false(am_wilson(0, 0, 1.96).known);
}

static void mcnemar(void **state)
{
    (void)state;
    static const struct {
        uint64_t b, c;
        double exact, mid, by; /* by: half a unit of the last printed digit */
    } rows[] = {
        {30, 10, .0022214338, .0014504910, 5e-11},
        {12, 5, .1434631348, .0962524414, 5e-11},
        {118, 76, .0031421639, .0025428237, 5e-11},
        {5, 0, .0625, .03125, 1e-15},
        {1, 0, 1, .5, 1e-15},
        {10, 10, 1, .9119014740, 5e-11},
        {0, 0, 1, 1, 0},
        {1, 7, .0703125, .0390625, 1e-15},
        {294, 343, .0571083, .0523032, 5e-8},
        {610, 763, 4.02434e-05, 3.60189e-05, 5e-11},
        {471, 130, 2.60589e-46, 1.66049e-46, 5e-52},
        {113, 105, .635530, .588892, 5e-7},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct am_mcnemar m = am_mcnemar_of(rows[i].b, rows[i].c), swapped = am_mcnemar_of(rows[i].c, rows[i].b);
        NEAR(m.exact.p, rows[i].exact, rows[i].by);
        NEAR(m.mid.p, rows[i].mid, rows[i].by);
        NEAR(pow(10, m.mid.log10_p) / m.mid.p, 1, 1e-12);
        assert_memory_equal(&m.exact, &swapped.exact, sizeof(m.exact));
        assert_memory_equal(&m.mid, &swapped.mid, sizeof(m.mid));
    }
    static const double large[][4] = {
        {1870, 112, -410.7218104, -410.9976062},
        {40000, 60000, -876.2853748, -876.3645734},
        {500000, 499000, -.4981843275, -.4988466852},
    };
    for (size_t i = 0; i < 3; i++) {
        struct am_mcnemar m = am_mcnemar_of((uint64_t)large[i][0], (uint64_t)large[i][1]);
        NEAR(m.exact.log10_p, large[i][2], i == 2 ? 5e-11 : 5e-8);
        NEAR(m.mid.log10_p, large[i][3], i == 2 ? 5e-11 : 5e-8);
    }
    static const double one[][4] = {
        {30, 10, .000725245507, 5e-13},
        {10, 30, .999274754493, 5e-13},
        {12, 5, .048126220703, 5e-13},
        {32, 27, .259479, 5e-7},
        {34, 61, .997214, 5e-7},
        {5, 0, .015625, 1e-15},
        {10, 10, .5, 0},
        {0, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++)
        NEAR(am_mcnemar_of((uint64_t)one[i][0], (uint64_t)one[i][1]).regression.p, one[i][2], one[i][3]);
    struct am_mcnemar huge = am_mcnemar_of(10000000, 0); /* 2^-1e7 */
    assert_true(huge.exact.p <= 0 && isfinite(huge.exact.log10_p));
    NEAR(huge.exact.log10_p, -9999999 * log10(2), 1e-8);
    NEAR(am_mcnemar_of(5000000, 5000000).mid.p, 1 - .5 * 2.523132451e-04, 1e-12);
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(am_verdict(.04, 5, 1), "worse");
    assert_string_equal(am_verdict(.04, 1, 5), "better");
    assert_string_equal(am_verdict(.05, 1, 5), "no_difference_shown");
}

static void tango(void **state)
{
    (void)state;
    static const double rows[][7] = {
        {7, 1, 21, -.517232, -.026003, -.481622, -.074631},
        {40, 20, 160, -.218064, -.030865, NAN, NAN},
        {294, 343, 10000, -.000047, .009871, .000750, .009067},
        {471, 130, 10000, -.038959, -.029422, -.038163, -.030165},
        {113, 105, 2000, -.018590, .010544, -.016217, .008184},
        {64, 293, 1319, .147353, .200387, .151556, .196038},
        {0, 0, 500, -.007624, .007624, -.005382, .005382},
        {0, 0, 300, -.012643, .012643, -.008938, .008938},
        {5, 0, 100, -.111750, -.011157, -.099161, -.022340},
        {100, 0, 100, -1, -.926013, -1, -.947315},
        {50, 50, 100, -.192337, .192337, -.162304, .162304},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const double *r = rows[i];
        struct am_interval two = am_tango(r[0], r[1], r[2], AM_Z_TWO_SIDED);
        struct am_interval one = am_tango(r[0], r[1], r[2], AM_Z_ONE_SIDED);
        struct am_interval swapped = am_tango(r[1], r[0], r[2], AM_Z_TWO_SIDED);
        NEAR(two.lower, r[3], 5.1e-7);
        NEAR(two.upper, r[4], 5.1e-7);
        NEAR(swapped.lower, -two.upper, 1e-12);
        NEAR(swapped.upper, -two.lower, 1e-12);
        if (isnan(r[5]))
            continue;
        NEAR(one.lower, r[5], 5.1e-7);
        NEAR(one.upper, r[6], 5.1e-7);
    }
    for (double n = 20; n < 1e8; n *= 7) { /* no flips: z^2/(n + z^2), Wilson's upper bound for 0 of n */
        NEAR(am_tango(0, 0, n, AM_Z_TWO_SIDED).upper, am_wilson(0, n, AM_Z_TWO_SIDED).upper, 1e-12);
        NEAR(am_tango(0, 0, n, AM_Z_TWO_SIDED).lower, -am_wilson(0, n, AM_Z_TWO_SIDED).upper, 1e-12);
    }
    assert_false(am_tango(0, 0, 0, 1.96).known);
}

/* The two bounds against a plain grid: the difference at which the likelihood, maximised over the one free parameter
   by ternary search, gives a score of z. Slow and independent of the closed root. */
static double score_at(double b, double c, double n, double delta)
{
    double low = fmax(0, -delta), high = (1 - delta) / 2; /* q: new wrong; q + delta: new right */
    for (int i = 0; i < 200; i++) {
        double x = low + (high - low) / 3, y = high - (high - low) / 3;
        double fx = b * log(x) + c * log(x + delta) + (n - b - c) * log(1 - 2 * x - delta);
        double fy = b * log(y) + c * log(y + delta) + (n - b - c) * log(1 - 2 * y - delta);
        if (fx < fy)
            low = x;
        else
            high = y;
    }
    return (c - b - n * delta) / sqrt(n * (2 * low + delta * (1 - delta)));
}

static void tango_by_likelihood(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 100; i++) {
        double v[3];
        for (int k = 0; k < 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            v[k] = (double)(seed >> 33) / (double)(1u << 31);
        }
        double n = floor(50 + 2000 * v[0]), b = floor(1 + n / 3 * v[1]), c = floor(1 + n / 3 * v[2]);
        struct am_interval t = am_tango(b, c, n, AM_Z_TWO_SIDED);
        NEAR(score_at(b, c, n, t.lower), AM_Z_TWO_SIDED, 1e-6); /* ternary search ends at sqrt(2^-52) */
        NEAR(score_at(b, c, n, t.upper), -AM_Z_TWO_SIDED, 1e-6);
    }
}

static void newcombe(void **state)
{
    (void)state;
    static const double rows[][6] = {
        {1, 7, 1, 12, -.506920, -.025559},
        {8958, 294, 343, 405, -.000053, .009867},
        {222, 64, 293, 740, .146974, .199966},
        {1591, 113, 105, 191, -.018558, .010541},
    };
    for (size_t i = 0; i < 4; i++) {
        const double *r = rows[i];
        struct am_interval w = am_newcombe(r[0], r[1], r[2], r[3], AM_Z_TWO_SIDED);
        NEAR(w.lower, r[4], 5.1e-7);
        NEAR(w.upper, r[5], 5.1e-7);
    }
    assert_false(am_newcombe(0, 0, 0, 0, 1.96).known);
}

static void wilcoxon(void **state)
{
    (void)state;
    static const double d[] = {.3, -.2, 0, .05, -.01, .4, -.6, 0, .1, -.1, .02, -.03};
    struct am_wilcoxon w;
    assert_int_equal(am_wilcoxon_of(d, 12, &w), 0);
    NEAR(w.rank_plus, 38.5, 0);
    NEAR(w.rank_minus, 36.5, 0);
    NEAR(w.mean, 37.5, 0);
    NEAR(w.sd, 12.693502, 5e-7);
    NEAR(w.z, -.078780, 5e-7);
    NEAR(w.p.p, .937207, 5e-7);
    assert_int_equal(w.zeros, 2);
    static const double none[5] = {0};
    assert_int_equal(am_wilcoxon_of(none, 5, &w), 0);
    NEAR(w.p.p, 1, 0);
    assert_int_equal(am_wilcoxon_of(NULL, 0, &w), 0);
    NEAR(w.p.p, 1, 0);
    double *many = malloc(40000 * sizeof(*many)); /* z = -sqrt(3n)/2 and a little: beyond a double's smallest p */
    for (int i = 0; i < 40000; i++)
        many[i] = i + 1;
    assert_int_equal(am_wilcoxon_of(many, 40000, &w), 0);
    free(many);
    double n = 40000, z = -(n * (n + 1) / 4) / sqrt(n * (n + 1) * (2 * n + 1) / 24);
    NEAR(w.z, z, 1e-9);
    assert_true(w.p.p <= 0);
    NEAR(w.p.log10_p, -z * z / 2 / log(10) + log10(2 / (-z * sqrt(2 * 3.14159265358979))), 1e-3);
}

static void multiple(void **state)
{
    (void)state;
    static const double p[] = {.03, .001, .2, .012, .04}, holm[] = {.09, .005, .2, .048, .09},
                        bh[] = {.05, .005, .2, .03, .05};
    double got[5];
    assert_int_equal(am_holm(p, 5, got), 0);
    for (int i = 0; i < 5; i++)
        NEAR(got[i], holm[i], 1e-15);
    assert_int_equal(am_benjamini_hochberg(p, 5, got), 0);
    for (int i = 0; i < 5; i++)
        NEAR(got[i], bh[i], 1e-15);
    assert_int_equal(am_holm((double[]){.6, .9}, 2, got), 0);
    NEAR(got[0], 1, 0);
    NEAR(got[1], 1, 0);
    assert_int_equal(am_holm(NULL, 0, got), 0);
}

static void samples(void **state)
{
    (void)state;
    assert_int_equal(am_samples_margin(.003), 900);
    assert_int_equal(am_samples_margin(.005), 539);
    assert_int_equal(am_samples_margin(.01), 268);
    assert_int_equal(am_samples_margin(.02), 133);
    assert_int_equal(am_samples_nfr(.005), 539);
    assert_int_equal(am_samples_nfr(.01), 268);
    assert_int_equal(am_samples_nfr(.02), 133);
    assert_int_equal(am_samples_nfr_exact(.01), 299);
    assert_int_equal(am_samples_discordant(.6, .8), 194);
    assert_true(am_samples_margin(0) == UINT64_MAX && am_samples_nfr(2) == UINT64_MAX);
    for (double m = .002; m < .3; m *= 1.3) { /* the number is the least that passes */
        double n = (double)am_samples_margin(m), k = (double)am_samples_nfr(m);
        assert_true(am_tango(0, 0, n, AM_Z_ONE_SIDED).lower > -m && am_tango(0, 0, n - 1, AM_Z_ONE_SIDED).lower <= -m);
        assert_true(am_wilson(0, k, AM_Z_ONE_SIDED).upper <= m && am_wilson(0, k - 1, AM_Z_ONE_SIDED).upper > m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal),
        cmocka_unit_test(binomial),
        cmocka_unit_test(wilson),
        cmocka_unit_test(mcnemar),
        cmocka_unit_test(words),
        cmocka_unit_test(tango),
        cmocka_unit_test(tango_by_likelihood),
        cmocka_unit_test(newcombe),
        cmocka_unit_test(wilcoxon),
        cmocka_unit_test(multiple),
        cmocka_unit_test(samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
