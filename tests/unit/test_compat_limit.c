/*
 * The bootstrap of very many units against the one that draws each of them, where both can be computed, and against
 * the distribution itself: rare cells, weights, clusters, scores with a heavy tail.
 */
#include "core/compat/boot_limit.h"
#include "core/compat/boot_parts.h"
#include "core/compat/delta.h"
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

static const enum am_metric_id ids[] = {AM_METRIC_NFR, AM_METRIC_RELATIVE_NFR, AM_METRIC_ACCURACY_DELTA, AM_METRIC_NFI,
                                        AM_METRIC_PFR};
enum { ASKS = 5 };

static struct am_maybe cells_of(const double *sums, const void *arg)
{
    return am_metric_of(*(const enum am_metric_id *)arg, sums, true).ratio;
}

static struct am_boot_ask asks_of(size_t i)
{
    return (struct am_boot_ask){cells_of, &ids[i], i == 1 || i == 3};
}

static uint64_t state;
static double uniform(void) /* SplitMix64: not the generator under test */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

enum shape { WEIGHTED, HEAVY, CLUSTERS, RARE };

/* Rows of six cells. */
static double *make_rows(size_t n, enum shape shape)
{
    static const double share[AM_CELLS] = {.80, .03, .04, .06, .05, .02},
                        rare[AM_CELLS] = {.95, .01, .003, .004, .023, .01};
    double *rows = calloc(n * AM_CELLS, sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        size_t members = shape == CLUSTERS ? 1 + (size_t)(8 * uniform()) : 1;
        double shift = shape == CLUSTERS ? uniform() * .2 : 0;
        for (size_t m = 0; m < members; m++) {
            double u = uniform() * (1 - shift) + shift;
            size_t k = 0;
            for (; k < AM_CELLS - 1 && u >= (shape == RARE ? rare : share)[k]; k++)
                u -= (shape == RARE ? rare : share)[k];
            double w = shape == WEIGHTED ? .5 + floor(5 * uniform()) : shape == HEAVY ? pow(1 - uniform(), -.4) : 1;
            rows[i * AM_CELLS + k] += w;
        }
    }
    return rows;
}

static double width(struct am_interval i)
{
    return i.upper - i.lower;
}

/* A quantile of B replicates has a standard deviation of sqrt(q (1 - q) / B) over the density there: at 2.5 % that is
   0.03 of the standard deviation of the statistic at 8,000, 0.0076 of the width of the interval; the bounds of two such
   intervals then differ by .011 of it. .06 is 4.5 of them and one flip of the rare. The fewer the rows, the worse is
   the limit; the rare cells take enough of them to have flips. */
static void agrees(void **unused)
{
    (void)unused;
    enum { BOUNDS = 4 };
    static const size_t rows_n[] = {1000, 1000, 1000, 5000};
    static const char *const name[] = {"weighted", "heavy weights", "clusters", "rare cells"};
    for (enum shape shape = WEIGHTED; shape <= RARE; shape++) {
        struct am_boot how = {.replicates = 8000, .seed = 7, .threads = 2};
        struct am_boot_ask ask[ASKS];
        struct am_boot_answer a[2][ASKS];
        state = 100 + shape;
        size_t n = rows_n[shape];
        double *rows = make_rows(n, shape), worst = 0;
        for (size_t i = 0; i < ASKS; i++)
            ask[i] = asks_of(i);
        for (int limit = 0; limit < 2; limit++)
            assert_int_equal(am_boot_units_by(&how, rows, n, AM_CELLS, ask, ASKS, limit, a[limit]), 0);
        for (size_t i = 0; i < ASKS; i++) {
            const struct am_boot_answer *x = &a[0][i], *y = &a[1][i];
            assert_null(x->reason);
            assert_null(y->reason);
            assert_true(y->limited && !x->limited);
            NEAR(y->estimate.value, x->estimate.value, 0);
            const double off[BOUNDS] = {
                y->two_sided.lower - x->two_sided.lower, y->two_sided.upper - x->two_sided.upper,
                y->one_sided.lower - x->one_sided.lower, y->one_sided.upper - x->one_sided.upper};
            for (int k = 0; k < BOUNDS; k++)
                worst = fmax(worst, fabs(off[k]) / width(x->two_sided));
        }
        printf("%s: bounds differ by %.4f of the interval at most\n", name[shape], worst);
        assert_true(worst < .06);
        free(rows);
    }
}

/* Scores: differences of a heavy tail (Student's t with 3 degrees), a dead band, and means whose spread is known. */
static void scores(void **unused)
{
    (void)unused;
    enum { N = 10000 };
    double *rows = malloc(N * AM_DELTA_SUMS * sizeof *rows), mean = 0, squares = 0;
    state = 5;
    for (size_t i = 0; i < N; i++) {
        double g[4], d;
        for (int k = 0; k < 4; k++)
            g[k] = sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
        d = .01 + .1 * g[0] / sqrt((g[1] * g[1] + g[2] * g[2] + g[3] * g[3]) / 3);
        am_delta_row(d, .02, rows + i * AM_DELTA_SUMS);
        mean += d / N;
        squares += d * d / N;
    }
    double error = sqrt((squares - mean * mean) / N), worst = 0;
    struct am_boot how = {.replicates = 8000, .seed = 3, .threads = 2};
    struct am_boot_ask ask[3] = {
        {am_delta_mean, NULL, false}, {am_delta_gain, NULL, true}, {am_delta_nfr, NULL, false}};
    struct am_boot_answer a[2][3];
    for (int limit = 0; limit < 2; limit++)
        assert_int_equal(am_boot_units_by(&how, rows, N, AM_DELTA_SUMS, ask, 3, limit, a[limit]), 0);
    NEAR(a[1][0].two_sided.lower, mean - 1.96 * error, .06 * error);
    NEAR(a[1][0].two_sided.upper, mean + 1.96 * error, .06 * error);
    for (int i = 0; i < 3; i++) {
        worst = fmax(worst, fabs(a[1][i].two_sided.lower - a[0][i].two_sided.lower) / width(a[0][i].two_sided));
        worst = fmax(worst, fabs(a[1][i].two_sided.upper - a[0][i].two_sided.upper) / width(a[0][i].two_sided));
    }
    printf("scores: bounds differ by %.4f of the interval at most\n", worst);
    assert_true(worst < .06);
    free(rows);
}

/* Three flips in 200,000 samples come as often as Poisson's law says, no resample has a part of one, and what no
   sample has, no resample has. */
static void rare(void **unused)
{
    (void)unused;
    enum { N = 200000, TIMES = 20000 };
    double *rows = calloc(N * AM_CELLS, sizeof *rows), sums[AM_BOOT_SUMS], seen[12] = {0}, least = N, most = 0;
    for (size_t i = 0; i < N; i++)
        rows[i * AM_CELLS + (i % 60000 == 7 && i < 180000 ? AM_CELL_B
                             : i % 4 == 0                 ? AM_CELL_D_SAME
                                                          : AM_CELL_A_SAME)] = 1;
    struct am_boot_limit b;
    struct am_draw d;
    uint32_t key[2];
    assert_int_equal(am_draw_key(1, key), 0);
    assert_int_equal(am_boot_limit_of(rows, N, AM_CELLS, 5000, &b), 0);
    for (uint32_t r = 0; r < TIMES; r++) {
        am_draw_begin(&d, key, r);
        am_boot_limit_draw(&b, &d, sums);
        NEAR(sums[AM_CELL_B], round(sums[AM_CELL_B]), 0);
        NEAR(sums[AM_CELL_C], 0, 0);
        NEAR(sums[AM_CELL_A_SAME] + sums[AM_CELL_B] + sums[AM_CELL_D_SAME], N, 1e-6);
        seen[(size_t)fmin(sums[AM_CELL_B], 11)]++;
        least = fmin(least, sums[AM_CELL_D_SAME]);
        most = fmax(most, sums[AM_CELL_D_SAME]);
    }
    double p = exp(-3), chi = 0;
    for (int k = 0; k < 9; k++, p *= 3. / k)
        chi += (seen[k] - p * TIMES) * (seen[k] - p * TIMES) / (p * TIMES);
    printf("three in 200,000: chi^2 %.1f over 9 values\n", chi);
    assert_true(chi < 9 + 4.5 * sqrt(18));
    double spread = sqrt(N * .25 * .75); /* largest of 20,000 normal draws: four deviations */
    assert_true(most - N / 4. > 3 * spread && most - N / 4. < 5.5 * spread);
    assert_true(N / 4. - least > 3 * spread && N / 4. - least < 5.5 * spread);
    am_boot_limit_done(&b);
    free(rows);
}

/* How often the interval holds the truth, over tables drawn from a known distribution, with weights that go with the
   cell. */
static void coverage(void **unused)
{
    (void)unused;
    enum { N = 1000, TABLES = 300 };
    static const double share[AM_CELLS] = {.85, 0, .05, .05, .03, .02};
    double truth[AM_CELLS], *rows = malloc(N * AM_CELLS * sizeof *rows);
    for (size_t k = 0; k < AM_CELLS; k++) /* the mean weight of cell k is k + 2 */
        truth[k] = share[k] * ((double)k + 2);
    int inside[ASKS] = {0};
    state = 99;
    for (uint64_t t = 0; t < TABLES; t++) {
        memset(rows, 0, N * AM_CELLS * sizeof *rows);
        for (size_t i = 0; i < N; i++) {
            double u = uniform();
            size_t k = 0;
            for (; k < AM_CELLS - 1 && u >= share[k]; k++)
                u -= share[k];
            rows[i * AM_CELLS + k] = ((double)k + 2) * (.5 + uniform());
        }
        struct am_boot how = {.replicates = 400, .seed = t, .threads = 2};
        struct am_boot_ask ask[ASKS];
        struct am_boot_answer a[ASKS];
        for (size_t i = 0; i < ASKS; i++)
            ask[i] = asks_of(i);
        assert_int_equal(am_boot_units_by(&how, rows, N, AM_CELLS, ask, ASKS, true, a), 0);
        for (size_t i = 0; i < ASKS; i++) {
            double real = cells_of(truth, &ids[i]).value;
            inside[i] += a[i].two_sided.lower <= real && real <= a[i].two_sided.upper;
        }
    }
    for (size_t i = 0; i < ASKS; i++) {
        printf("%s: covered in %.1f %% of %d tables\n", am_metric_name(ids[i]), 100. * inside[i] / TABLES, TABLES);
        assert_in_range(inside[i], TABLES * 92 / 100, TABLES * 975 / 1000);
    }
    free(rows);
}

/* By value: what lies between the members of a struct is nobody's promise. */
static bool same(struct am_interval a, struct am_interval b)
{
    return a.known == b.known && !(a.lower < b.lower || a.lower > b.lower || a.upper < b.upper || a.upper > b.upper);
}

static void threads_and_speed(void **unused)
{
    (void)unused;
    enum { N = 1000000 };
    struct am_boot how = {.replicates = 2000, .seed = 5, .threads = 1};
    struct am_boot_ask ask[ASKS];
    struct am_boot_answer a[2][ASKS];
    struct timespec from, to;
    state = 1;
    double *rows = make_rows(N, WEIGHTED);
    for (size_t i = 0; i < ASKS; i++)
        ask[i] = asks_of(i);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_int_equal(am_boot_units(&how, rows, N, AM_CELLS, ask, ASKS, a[0]), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    printf("2,000 replicates of 1,000,000 rows: %.0f ms of one processor\n",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    how.threads = 8;
    assert_int_equal(am_boot_units(&how, rows, N, AM_CELLS, ask, ASKS, a[1]), 0);
    for (size_t i = 0; i < ASKS; i++) {
        assert_true(a[0][i].limited);
        assert_true(a[0][i].two_sided.known && same(a[0][i].two_sided, a[1][i].two_sided));
        assert_true(a[0][i].one_sided.known && same(a[0][i].one_sided, a[1][i].one_sided));
    }
    free(rows);
}

static void when(void **unused)
{
    (void)unused;
    assert_false(am_boot_limited(2000, 25000));
    assert_true(am_boot_limited(2000, 25001));
    assert_false(am_boot_limited(AM_BOOT_MAX, 9999));
    assert_true(am_boot_limited(AM_BOOT_MAX, 10000));
    double alike[6] = {2, 1, 2, 1, 2, 1};
    struct am_boot how = {.replicates = 200, .seed = 1, .threads = 1};
    struct am_boot_ask ask = asks_of(0);
    struct am_boot_answer a;
    double rows[4 * AM_CELLS] = {1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0};
    assert_int_equal(am_boot_units_by(&how, rows, 4, AM_CELLS, &ask, 1, true, &a), 0);
    NEAR(a.two_sided.lower, .5, 0); /* rows that are alike have no spread */
    NEAR(a.two_sided.upper, .5, 0);
    assert_int_equal(am_boot_units_by(&how, alike, 1, AM_CELLS, &ask, 1, true, &a), -AM_E_INVALID_PARAMS);
    double m[9] = {4, 0, 0, 2, 5, 0, 6, 7, 13}; /* the third is the sum of the others */
    am_boot_root(m, 3, 3);
    NEAR(m[0], 2, 0);
    NEAR(m[3], 1, 0);
    NEAR(m[4], 2, 0);
    NEAR(m[6], 3, 0);
    NEAR(m[7], 2, 0);
    NEAR(m[8], 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees),
        cmocka_unit_test(scores),
        cmocka_unit_test(rare),
        cmocka_unit_test(coverage),
        cmocka_unit_test(threads_and_speed),
        cmocka_unit_test(when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
