/*
 * test_robust_rules.c - the robust rules in Gram space on numbers from elsewhere: NumPy's direct SVD for flag, a
 * geometric median in coordinates, scores worked out by hand, known eigenvalues for Jacobi (merge.md A27).
 */
#include "core/merge/_jacobi.h"
#include "core/merge/_robust.h"
#include "tests/unit/robust_fixture.h"

/* ---- Jacobi */

static void eigenvalues(void **unused)
{
    (void)unused;
    enum { M = 40 };
    static double a[M * M], copy[M * M], v[M * M], value[M];
    for (size_t i = 0; i < M; i++) /* -1 2 -1: 2 - 2 cos(k pi / (M + 1)) */
        for (size_t j = 0; j < M; j++)
            a[i * M + j] = copy[i * M + j] = i == j ? 2 : i == j + 1 || j == i + 1 ? -1 : 0;
    assert_in_range(am_jacobi(a, M, value, v), 2, 20);
    for (size_t i = 0; i < M; i++) {
        double want = 2 - 2 * cos((double)(M - i) * 3.14159265358979323846 / (M + 1));
        assert_true(fabs(value[i] - want) < 1e-13);
        for (size_t k = 0; k < M; k++) { /* A v = value v */
            double sum = 0;
            for (size_t j = 0; j < M; j++)
                sum += copy[k * M + j] * v[i * M + j];
            assert_true(fabs(sum - value[i] * v[i * M + k]) < 1e-13);
        }
    }
    double two[] = {2, 1, 1, 2}, u[4], e[2]; /* 3 and 1 */
    am_jacobi(two, 2, e, u);
    assert_true(fabs(e[0] - 3) < 1e-15 && fabs(e[1] - 1) < 1e-15 && fabs(u[0] - u[1]) < 1e-15);
    double one[] = {-7}, w[1];
    assert_int_equal(am_jacobi(one, 1, e, w), 1);
    assert_true(e[0] == -7 && w[0] == 1);
    double zero[9] = {0}, z[9], f[3];
    am_jacobi(zero, 3, f, z);
    assert_true(f[0] == 0 && f[2] == 0);
}

/* ---- Krum */

/* Worked out by hand: points 0, 1, 3, 7, 8 on a line, f = 1: two nearest. */
static void krum_scores_by_hand(void **unused)
{
    (void)unused;
    static const double at[] = {0, 1, 3, 7, 8}, want[] = {1 + 9, 1 + 4, 4 + 9, 1 + 16, 1 + 25};
    double k[25], score[5], c[5];
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++)
            k[i * 5 + j] = at[i] * at[j];
    am_robust_krum_scores(k, 5, 2, score);
    assert_memory_equal(score, want, sizeof(want));
    am_robust_take_best(score, 5, 2, c);
    assert_memory_equal(c, ((double[]){0.5, 0.5, 0, 0, 0}), sizeof(c));
    am_robust_take_best((double[]){3, 2, 2, 2, 9}, 5, 1, c); /* equal: the first */
    assert_memory_equal(c, ((double[]){0, 1, 0, 0, 0}), sizeof(c));
    for (size_t i = 0; i < 5; i++)
        x[i][0] = (float)at[i];
    assert_int_equal(merge(&am_method_merge_krum, "{\"f\":1," POLICIES SCOPE, 5, 1), 0);
    assert_true(out[0] == 1);
    const double *trust = list_of((void *)acc, 5, 1);
    assert_true(trust[0] == 0.5 && trust[1] == 1 && trust[2] == 5 / 13.0);
    assert_int_equal(merge(&am_method_merge_krum, "{\"f\":2," POLICIES SCOPE, 5, 1), -AM_E_BAD_SPEC);
}

/* ---- geometric median and flag */

/* The script for the numbers below (NumPy 2.4; the 50 values of seed s: s = s * 1664525 + 1013904223 mod 2^32,
 * (s >> 8) / 2^23 - 1):
 *   G = [0.5 values(100 + i) + values(7) for i in 0..6] as columns, column 5 = -10 values(7)
 *   flag: nr = norms, N = G / nr, C = N and, for lambda > 0, all (N_i - N_j) / |N_i - N_j|, i != j, with factor
 *   lambda / (p (p - 1)); w = factor; 10 times: U = svd(C sqrt(w)), Y = U[:, :m], v = |Y'C_k|^2,
 *   w = factor / sqrt(1 - v + 1e-7); result = size * mean over columns of Y Y'N
 *   Weiszfeld as in A27, in coordinates. */
static void synthetic(void)
{
    for (size_t i = 0; i < 7; i++) {
        state = (uint32_t)(100 + i);
        for (size_t k = 0; k < 50; k++)
            x[i][k] = 0.5f * noise();
        state = 7;
        for (size_t k = 0; k < 50; k++) {
            float v = noise();
            x[i][k] = i == 5 ? -10 * v : x[i][k] + v;
        }
    }
}

static void flag_as_numpy(void **unused)
{
    (void)unused;
    static const struct {
        const char *params;
        double v[7];
        float first[6];
        double norm;
        size_t p;
    } cases[] = {
        {FLAG("0", "0.0", "median"),
         {0.999999906924, 0.999999997503, 0.999999994863, 0.832983747954, 0.958966691692, 0.976133632261,
          0.909676362871},
         {-0.53056886977f, 0.649895335194f, 0.156331585323f, 0.605924695472f, -0.743746793366f, 0.53023000684f},
         3.14933345812566,
         7},
        {FLAG("2", "0.0", "mean"),
         {0.999096981274, 0.776469018518, 0.815695147443, 0.842651070517, 0.915903317374, 0.982186943819,
          0.912588184299},
         {-1.01494467846f, 1.33010098621f, 0.204235422004f, 1.24365300554f, -1.58047839832f, 1.1009737722f},
         6.41346156539736,
         7},
        {FLAG("3", "2.0", "one"),
         {0.999735833298, 0.999999976449, 0.805654686231, 0.834917525257, 0.930447258272, 0.977113618246,
          0.930438074833},
         {-0.106649542031f, 0.134316320292f, 0.0290651280683f, 0.125076931428f, -0.15603551714f, 0.103711195542f},
         0.644761315291115,
         7},
        {FLAG("0", "0.0", "median"), /* of the first six: m = 4 */
         {0.999949172171, 0.999999992454, 0.99999998999, 0.794426545264, 0.999998202346, 0.95476397027},
         {-0.513960095543f, 0.565852045917f, 0.160870260756f, 0.539800004796f, -0.667843175497f, 0.447704413209f},
         2.88191252723933,
         6},
    };
    synthetic();
    for (size_t n = 0; n < 4; n++) {
        size_t p = cases[n].p;
        assert_int_equal(merge(&am_method_merge_flag, cases[n].params, p, 50), 0);
        double square = 0;
        for (size_t k = 0; k < 50; k++)
            square += (double)out[k] * (double)out[k];
        for (size_t i = 0; i < p; i++) /* x is rounded to f32, which 1e-7 below 1 feels */
            assert_true(fabs(list_of((void *)acc, p, 1)[i] - cases[n].v[i]) < 2e-6);
        close_to(out, cases[n].first, 6, 3e-6);
        assert_true(fabs(sqrt(square) - cases[n].norm) < 1e-5 * cases[n].norm);
    }
}

static void flag_edges(void **unused)
{
    (void)unused;
    /* two copies and one at a right angle, all of length 1; with m = 3 all is inside, so the result is their mean */
    static const double k[9] = {1, 1, 0, 1, 1, 0, 0, 0, 1};
    double work[AM_FLAG_MATRICES * 9], c[3], v[3];
    am_robust_flag(&(struct am_flag){.m = 3, .lambda = 1, .epsilon = 1e-7, .iterations = 10}, k, 3, work, c, v);
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs(c[i] - 1 / 3.0) < 1e-12 && fabs(v[i] - 1) < 1e-12);
    static const double slanted[9] = {1, 1, 0.6, 1, 1, 0.6, 0.6, 0.6, 1}; /* (1, 0) twice, (0.6, 0.8); see the script */
    am_robust_flag(&(struct am_flag){.m = 1, .lambda = 1, .epsilon = 1e-7, .iterations = 3}, slanted, 3, work, c, v);
    assert_true(fabs(v[0] - 0.999969147172) < 1e-9 && fabs(v[1] - 0.999969147172) < 1e-9 &&
                fabs(v[2] - 0.365340907478) < 1e-9);
    /* one that is the base: counts in the mean, has no direction */
    static const double zero[4] = {0, 0, 0, 4};
    am_robust_flag(&(struct am_flag){.lambda = 1, .epsilon = 1e-7, .iterations = 10, .norm = AM_FLAG_MEAN}, zero, 2,
                   work, c, v);
    assert_true(c[0] == 0 && v[0] == 0 && fabs(c[1] - 0.25) < 1e-15 && fabs(v[1] - 1) < 1e-15);
    /* alone after the other was dropped: its direction, of length 1 */
    x[0][0] = 3;
    x[0][1] = 4;
    x[1][0] = NAN;
    assert_int_equal(
        merge(&am_method_merge_flag,
              "{\"m\":0,\"lambda\":0.0,\"norm\":\"one\",\"iterations\":10,\"epsilon\":1e-7," DROPPING SCOPE, 2, 2),
        0);
    close_to(out, (const float[]){0.6f, 0.8f}, 2, 1e-7);
    assert_true(am_robust_median((double[]){4, 1, 3, 9}, 4) == 3.5 && am_robust_median((double[]){7, 1, 3}, 3) == 3);
}

/* Weiszfeld on points, nothing shared with the code under test. */
static void median_in_coordinates(size_t p, size_t n, double *z)
{
    memset(z, 0, n * sizeof(*z));
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < p; i++)
            z[k] += (double)x[i][k] / (double)p;
    for (unsigned round = 0; round < 100; round++) {
        static double next[N];
        double sum = 0;
        memset(next, 0, n * sizeof(*next));
        for (size_t i = 0; i < p; i++) {
            double d = 0;
            for (size_t k = 0; k < n; k++)
                d += ((double)x[i][k] - z[k]) * ((double)x[i][k] - z[k]);
            double w = 1 / fmax(sqrt(d), 1e-9);
            sum += w;
            for (size_t k = 0; k < n; k++)
                next[k] += w * (double)x[i][k];
        }
        for (size_t k = 0; k < n; k++)
            z[k] = next[k] / sum;
    }
}

static void geometric_median(void **unused)
{
    (void)unused;
    static double z[N];
    static float want[N];
    static const double numpy[] = {0.175012906409, 0.168695605617,   0.165524699823, 0.162083725333,
                                   0.166423179132, 0.00695448453922, 0.155305399148};
    synthetic();
    assert_int_equal(merge(&am_method_merge_geometric_median, PLAIN, 7, 50), 0);
    for (size_t i = 0; i < 7; i++)
        assert_true(fabs(list_of((void *)acc, 7, 0)[i] - numpy[i]) < 1e-7);
    assert_true(list_of((void *)acc, 7, 1)[0] == 1 && list_of((void *)acc, 7, 1)[5] < 0.05);
    analytic_input(straight);
    median_in_coordinates(7, N, z);
    for (size_t k = 0; k < N; k++)
        want[k] = (float)z[k];
    assert_int_equal(merge(&am_method_merge_geometric_median, PLAIN, 7, N), 0);
    close_to(out, want, N, 2e-6);
    static float before[N]; /* another order: the same to the last bits */
    memcpy(before, out, sizeof(before));
    analytic_input(turned);
    assert_int_equal(merge(&am_method_merge_geometric_median, PLAIN, 7, N), 0);
    close_to(out, before, N, 2e-6);
}

static void many_contributors(void **unused)
{
    (void)unused;
    enum { M = 100 };
    static double g[M][200], k[M * M], work[AM_FLAG_MATRICES * M * M], c[M], v[M];
    state = 9;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < 200; j++)
            g[i][j] = i % 10 == 9 ? 5 * (double)noise() : (double)noise() + 3;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < M; j++)
            for (size_t l = 0; l < 200; l++)
                k[i * M + j] += g[i][l] * g[j][l];
    am_robust_flag(&(struct am_flag){.m = 1, .epsilon = 1e-7, .iterations = 10}, k, M, work, c, v);
    for (size_t i = 0; i < M; i++) /* the strangers are found */
        assert_true(i % 10 == 9 ? v[i] < 0.2 : v[i] > 0.9);
    assert_in_range(am_robust_geometric_median(k, M, c), 1, 100);
    double score[M];
    am_robust_krum_scores(k, M, 80, score);
    am_robust_take_best(score, M, 80, c);
    for (size_t i = 0; i < M; i++)
        assert_true(i % 10 != 9 || c[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(eigenvalues), TEST(krum_scores_by_hand), TEST(flag_as_numpy),
        TEST(flag_edges),  TEST(geometric_median),    TEST(many_contributors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
