/*
 * test_compat_boot.c - the bootstrap against a table of 400,000 replicates made elsewhere, its draws against exact
 * probabilities, and what must hold whatever the seed: the same bytes on any number of threads, cells and rows agree.
 * Also the coverage of the interval.
 */
#include "core/compat/binomial.h"
#include "core/compat/bootstrap.h"
#include "core/compat/delta.h"
#include "core/compat/draw.h"
#include "core/compat/metrics.h"

#include "core/base/err.h"

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

static struct am_maybe relative(const double *sums, const void *arg)
{
    (void)arg;
    return am_metric_of(AM_METRIC_RELATIVE_NFR, sums, true).ratio;
}

static struct am_maybe flips(const double *sums, const void *arg)
{
    (void)arg;
    return am_metric_of(AM_METRIC_NFR, sums, true).ratio;
}

static const double cells[][AM_CELLS] = {
    {8958, 0, 294, 343, 306, 99},  {1591, 0, 113, 105, 128, 63}, {9122, 0, 471, 130, 202, 75},
    {7493, 0, 610, 763, 725, 409}, {363, 0, 477, 139, 10, 11},
};
static const double wanted[][5] = {
    {.454605, .4165, .4933, .4226, .4870},      {.436280, .3768, .4971, .3864, .4871},
    {.656394, .6213, .6902, .6270, .6848},      {.431656, .4059, .4575, .4100, .4534},
    {1.140275, 1.1120, 1.1719, 1.1164, 1.1667},
};

static void reference(void **state)
{
    (void)state;
    double worst = 0, large = 0;
    for (size_t i = 0; i < 5; i++) {
        struct am_boot_ask ask = {relative, NULL, true};
        struct am_boot_answer a;
        for (int many = 0; many < 2; many++) {
            struct am_boot how = {.replicates = many ? AM_BOOT_MAX : 2000, .seed = 0, .threads = 2};
            assert_int_equal(am_boot_classes(&how, cells[i], AM_CELLS, &ask, 1, &a), 0);
            assert_null(a.reason);
            NEAR(a.estimate.value, wanted[i][0], 5.1e-7);
            double off = fmax(fmax(fabs(a.two_sided.lower - wanted[i][1]), fabs(a.two_sided.upper - wanted[i][2])),
                              fmax(fabs(a.one_sided.lower - wanted[i][3]), fabs(a.one_sided.upper - wanted[i][4])));
            worst = fmax(worst, many ? 0 : off);
            large = fmax(large, many ? off : 0);
        }
    }
    printf("largest difference from the table: %.4f at 2,000 replicates, %.4f at 100,000\n", worst, large);
    assert_true(worst <= .004);
    assert_true(large <= .001);
}

/* Few flips, where the corrections for bias and acceleration move a bound by a tenth (the percentile interval of the
   second is [0, .464]). Means and standard deviations over 400 seeds are from NumPy's multinomial and the formulas of
   compat.md 5.6, at 20,000 replicates; the mean over 16 seeds may be off by four of its own standard deviations. */
static void few_flips(void **state)
{
    (void)state;
    enum { SEEDS = 16 };
    static const double few[2][AM_CELLS] = {{60, 0, 4, 6, 10, 0}, {150, 0, 3, 5, 12, 0}};
    static const double mean[2][4] = {{.10422, .69122, .13691, .63165}, {.05974, .53309, .07451, .47236}};
    static const double sd[2][4] = {{.00145, .00446, .00356, .00378}, {.00187, .00300, .00070, .00347}};
    for (size_t i = 0; i < 2; i++) {
        double sum[4] = {0};
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct am_boot how = {.replicates = 20000, .seed = seed, .threads = 2};
            struct am_boot_ask ask = {relative, NULL, true};
            struct am_boot_answer a;
            assert_int_equal(am_boot_classes(&how, few[i], AM_CELLS, &ask, 1, &a), 0);
            sum[0] += a.two_sided.lower;
            sum[1] += a.two_sided.upper;
            sum[2] += a.one_sided.lower;
            sum[3] += a.one_sided.upper;
        }
        for (int k = 0; k < 4; k++)
            NEAR(sum[k] / SEEDS, mean[i][k], 4 * sd[i][k] / sqrt(SEEDS));
    }
}

/* By value: what lies between the members of a struct is nobody's promise. */
static bool same(struct am_interval a, struct am_interval b)
{
    return a.known == b.known && !(a.lower < b.lower || a.lower > b.lower || a.upper < b.upper || a.upper > b.upper);
}

static void threads_and_seeds(void **state)
{
    (void)state;
    struct am_boot_ask ask[2] = {{relative, NULL, true}, {flips, NULL, false}};
    struct am_boot_answer one[2], eight[2], other[2], alone;
    struct am_boot how = {.replicates = 2000, .seed = 5, .threads = 1};
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, ask, 2, one), 0);
    how.threads = 8;
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, ask, 2, eight), 0);
    for (int k = 0; k < 2; k++) {
        assert_true(one[k].two_sided.known && same(one[k].two_sided, eight[k].two_sided));
        assert_true(one[k].one_sided.known && same(one[k].one_sided, eight[k].one_sided));
    }
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, &ask[1], 1, &alone), 0);
    assert_true(same(alone.two_sided, one[1].two_sided)); /* asked with others or alone */
    how.seed = 6;
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, ask, 2, other), 0);
    assert_false(same(one[0].two_sided, other[0].two_sided));
    NEAR(one[1].two_sided.lower, .026265548214, .001); /* Wilson's interval is close by */
    NEAR(one[1].two_sided.upper, .032895871053, .001);
}

/* Rows drawn one by one, and rows of weight 2.5 in clusters of one, give the interval of the cells. */
static void rows_agree(void **state)
{
    (void)state;
    enum { N = 2000 };
    uint8_t cell[N];
    float weight[N];
    int32_t cluster[N];
    double *rows = malloc(N * AM_CELLS * sizeof(*rows));
    size_t i = 0;
    for (uint8_t k = 0; k < AM_CELLS; k++)
        for (size_t j = 0; j < (size_t)cells[1][k]; j++, i++) {
            cell[i] = k;
            weight[i] = 2.5f;
            cluster[i] = (int32_t)(N - 1 - i);
        }
    assert_int_equal(i, N);
    /* A bound of 4,000 replicates has a standard deviation of .0014 over seeds (200 were tried), of 20,000 .0006: .004
       is then more than four deviations of a difference. */
    struct am_boot how = {.replicates = 20000, .seed = 1, .threads = 2};
    struct am_boot_ask ask = {relative, NULL, true};
    struct am_boot_answer by_cells, by_rows, by_clusters;
    assert_int_equal(am_boot_classes(&how, cells[1], AM_CELLS, &ask, 1, &by_cells), 0);
    assert_int_equal(am_boot_cell_rows(cell, NULL, NULL, N, 0, rows), 0);
    assert_int_equal(am_boot_units(&how, rows, N, AM_CELLS, &ask, 1, &by_rows), 0);
    NEAR(by_rows.two_sided.lower, by_cells.two_sided.lower, .004);
    NEAR(by_rows.two_sided.upper, by_cells.two_sided.upper, .004);
    assert_int_equal(am_boot_cell_rows(cell, weight, cluster, N, N, rows), 0);
    assert_int_equal(am_boot_units(&how, rows, N, AM_CELLS, &ask, 1, &by_clusters), 0);
    NEAR(by_clusters.estimate.value, by_cells.estimate.value, 1e-12);
    NEAR(by_clusters.two_sided.lower, by_cells.two_sided.lower, .004);
    for (size_t k = 0; k < N; k++)
        cluster[k] = (int32_t)(k % 20); /* twenty clusters, each like the whole: much less can vary */
    assert_int_equal(am_boot_cell_rows(cell, NULL, cluster, N, 20, rows), 0);
    assert_int_equal(am_boot_units(&how, rows, 20, AM_CELLS, &ask, 1, &by_clusters), 0);
    assert_true(by_clusters.two_sided.upper - by_clusters.two_sided.lower <
                .5 * (by_cells.two_sided.upper - by_cells.two_sided.lower));
    cluster[5] = 20;
    assert_int_equal(am_boot_cell_rows(cell, NULL, cluster, N, 20, rows), -AM_E_INVALID_PARAMS);
    free(rows);
}

/* Scores of text: the mean of D from resampled rows spreads as the standard error says, and gain is undefined where
   nothing rose. */
static void scores(void **state)
{
    (void)state;
    enum { N = 400 };
    static double rows[N * AM_DELTA_SUMS];
    double mean = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double d = ((i * 37) % 101 - 45) / 200.;
        am_delta_row(d, 0, rows + i * AM_DELTA_SUMS);
        mean += d / N;
        squares += d * d / N;
    }
    double error = sqrt((squares - mean * mean) / N);
    struct am_boot how = {.replicates = 20000, .seed = 3, .threads = 2};
    struct am_boot_ask ask[3] = {
        {am_delta_mean, NULL, false}, {am_delta_gain, NULL, true}, {am_delta_nfr, NULL, false}};
    struct am_boot_answer a[3];
    assert_int_equal(am_boot_units(&how, rows, N, AM_DELTA_SUMS, ask, 3, a), 0);
    NEAR(a[0].estimate.value, mean, 1e-12);
    NEAR(a[0].two_sided.lower, mean - 1.96 * error, .06 * error);
    NEAR(a[0].two_sided.upper, mean + 1.96 * error, .06 * error);
    NEAR(a[0].one_sided.lower, mean - 1.645 * error, .06 * error);
    assert_true(a[1].two_sided.lower < a[1].estimate.value && a[1].estimate.value < a[1].two_sided.upper);
    for (int i = 0; i < N; i++)
        am_delta_row(-.1, 0, rows + i * AM_DELTA_SUMS);
    assert_int_equal(am_boot_units(&how, rows, N, AM_DELTA_SUMS, ask, 3, a), 0);
    assert_string_equal(a[1].reason, "undefined");
    NEAR(a[2].two_sided.lower, 1, 0);
}

static void undefined(void **state)
{
    (void)state;
    struct am_boot how = {.replicates = 2000, .seed = 1, .threads = 1};
    struct am_boot_ask ask = {relative, NULL, true};
    struct am_boot_answer a;
    assert_int_equal(am_boot_classes(&how, (double[AM_CELLS]){5, 0, 0, 3, 0, 0}, AM_CELLS, &ask, 1, &a), 0);
    assert_string_equal(a.reason, "undefined");
    assert_false(a.two_sided.known || a.one_sided.known);
    /* one error of the new version in 50: 36 % of the resamples have none */
    assert_int_equal(am_boot_classes(&how, (double[AM_CELLS]){48, 0, 1, 1, 0, 0}, AM_CELLS, &ask, 1, &a), 0);
    assert_string_equal(a.reason, "unstable");
    NEAR(a.dropped, 2000 * pow(1 - 1. / 50, 50), 100);
    assert_int_equal(am_boot_classes(&how, (double[AM_CELLS]){270, 0, 0, 0, 30, 0}, AM_CELLS, &ask, 1, &a), 0);
    assert_null(a.reason);
    NEAR(a.two_sided.upper, 0, 0);
    how.replicates = 199;
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, &ask, 1, &a), -AM_E_INVALID_PARAMS);
    how.replicates = 200;
    assert_int_equal(am_boot_classes(&how, (double[]){-1, 2}, 2, &ask, 1, &a), -AM_E_INVALID_PARAMS);
    assert_int_equal(am_boot_classes(&how, (double[]){NAN, 2}, 2, &ask, 1, &a), -AM_E_INVALID_PARAMS);
}

/* Pearson's statistic of 200,000 draws against exact probabilities; values expected less than 20 times are pooled. */
static void draws_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double p;
    } how[] = {{1, .3},   {20, .45},      {60, .15},   {100, .1},       {100, .9},
               {400, .5}, {10000, .0294}, {10000, .9}, {100000, .00005}};
    uint32_t key[2];
    assert_int_equal(am_draw_key(11, key), 0);
    for (size_t i = 0; i < sizeof(how) / sizeof(*how); i++) {
        enum { DRAWS = 200000 };
        struct am_draw d;
        double *seen = calloc(how[i].n + 1, sizeof(*seen));
        am_draw_begin(&d, key, (uint32_t)i);
        for (int k = 0; k < DRAWS; k++)
            seen[am_draw_binomial(&d, how[i].n, how[i].p)]++;
        double chi = 0, cells_used = 0, pool_want = 0, pool_seen = 0;
        for (uint64_t k = 0; k <= how[i].n; k++) {
            pool_want += DRAWS * exp(am_ln_binomial_pmf((double)how[i].n, how[i].p, (double)k));
            pool_seen += seen[k];
            if (pool_want < 20)
                continue;
            chi += (pool_seen - pool_want) * (pool_seen - pool_want) / pool_want;
            cells_used++;
            pool_want = pool_seen = 0;
        }
        double z = (chi - (cells_used - 1)) / sqrt(2 * fmax(cells_used - 1, 1));
        printf("binomial(%llu, %g): chi^2 %.1f over %.0f values\n", (unsigned long long)how[i].n, how[i].p, chi,
               cells_used);
        assert_true(z < 4.5);
        free(seen);
    }
    struct am_draw d;
    am_draw_begin(&d, key, 99);
    assert_int_equal(am_draw_binomial(&d, 0, .5), 0);
    assert_int_equal(am_draw_binomial(&d, 7, 0), 0);
    assert_int_equal(am_draw_binomial(&d, 7, 1), 7);
    uint64_t hits[7] = {0};
    for (int k = 0; k < 70000; k++)
        hits[am_draw_below(&d, 7)]++;
    for (int k = 0; k < 7; k++)
        NEAR((double)hits[k], 10000, 500);
    uint64_t top = 0;
    for (int k = 0; k < 1000; k++)
        top += am_draw_below(&d, UINT64_C(3) << 40) >> 41 == 1; /* the last third */
    NEAR((double)top, 333, 75);
    for (int k = 0; k < 1000; k++) {
        double got[4], sum = 0;
        am_draw_multinomial(&d, 1000, (double[]){5, 0, 3, 0}, 4, got);
        for (int j = 0; j < 4; j++)
            sum += got[j];
        NEAR(sum, 1000, 0);
        assert_true(got[1] <= 0 && got[3] <= 0);
    }
}

static void quantiles(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 4, 8};
    NEAR(am_quantile7(x, 4, 0), 1, 0);
    NEAR(am_quantile7(x, 4, .5), 3, 0);
    NEAR(am_quantile7(x, 4, .9), 6.8, 1e-12);
    NEAR(am_quantile7(x, 4, 1), 8, 0);
    NEAR(am_quantile7(x, 1, .3), 1, 0);
}

/* How often the interval covers the truth, on tables drawn from a known distribution. */
static void coverage(void **state)
{
    (void)state;
    static const double truth[AM_CELLS] = {.85, 0, .05, .05, .03, .02};
    enum { TABLES = 500 };
    double real = relative(truth, NULL).value;
    uint32_t key[2];
    assert_int_equal(am_draw_key(UINT64_C(0x517), key), 0);
    int inside = 0, below = 0;
    for (uint32_t t = 0; t < TABLES; t++) {
        struct am_draw d;
        double table[AM_CELLS];
        am_draw_begin(&d, key, t);
        am_draw_multinomial(&d, 2000, truth, AM_CELLS, table);
        struct am_boot how = {.replicates = 2000, .seed = t, .threads = 2};
        struct am_boot_ask ask = {relative, NULL, true};
        struct am_boot_answer a;
        assert_int_equal(am_boot_classes(&how, table, AM_CELLS, &ask, 1, &a), 0);
        inside += a.two_sided.lower <= real && real <= a.two_sided.upper;
        below += real <= a.one_sided.upper;
    }
    printf("coverage on %d tables: two-sided %.1f %%, one-sided upper %.1f %%\n", TABLES, 100. * inside / TABLES,
           100. * below / TABLES);
    assert_in_range(inside, TABLES * 92 / 100, TABLES * 97 / 100);
}

static void speed(void **state)
{
    (void)state;
    struct timespec from, to;
    struct am_boot how = {.replicates = 2000, .seed = 0, .threads = 1};
    struct am_boot_ask ask = {relative, NULL, true};
    struct am_boot_answer a;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(am_boot_classes(&how, cells[0], AM_CELLS, &ask, 1, &a), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("2,000 replicates over cells, one thread: %.2f ms\n",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference),   cmocka_unit_test(few_flips), cmocka_unit_test(threads_and_seeds),
        cmocka_unit_test(rows_agree),  cmocka_unit_test(scores),    cmocka_unit_test(undefined),
        cmocka_unit_test(draws_exact), cmocka_unit_test(quantiles), cmocka_unit_test(coverage),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
