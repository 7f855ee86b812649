/*
 * test_robust.c - the robust merges as methods: merge.md A27's analytic case, E1, what holds for all of them, faulty
 * contributors, the report, and the refusal of too few models. Their rules alone: test_robust_rules.c.
 */
#include "core/methods/describe.h"
#include "core/methods/report.h"
#include "core/table/body.h"
#include "tests/unit/robust_fixture.h"

/* ---- the analytic case */

static void krum_chooses(void **unused)
{
    (void)unused;
    analytic_input(straight);
    assert_int_equal(merge(&am_method_merge_krum, KRUM, 7, N), 0);
    assert_memory_equal(out, x[1], sizeof(out)); /* .92, bit for bit */
    const double *c = list_of((void *)acc, 7, 0), *trust = list_of((void *)acc, 7, 1);
    assert_true(c[1] == 1 && c[0] == 0 && c[6] == 0 && trust[1] == 1 && trust[0] > 0.3 && trust[5] < 0.01);
    for (size_t k = 0; k < N; k++)
        base[k] = 0.3f; /* b + (x - b) is not x in f32, yet the chosen one comes back whole */
    assert_int_equal(merge(&am_method_merge_krum, KRUM, 7, N), 0);
    assert_memory_equal(out, x[1], sizeof(out));
    setup(NULL);
    analytic_input(turned);
    assert_int_equal(merge(&am_method_merge_krum, KRUM, 7, N), 0);
    assert_memory_equal(out, x[turned[1]], sizeof(out));
    /* halved: b + fl(0.5 fl(x - b)) */
    assert_int_equal(merge(&am_method_merge_krum,
                           "{\"f\":2,\"alpha\":0.5,\"nonfinite\":\"refuse\",\"overflow\":\"refuse\"" SCOPE, 7, N),
                     0);
    for (size_t k = 0; k < N; k++)
        assert_true(out[k] == 0.5f * x[turned[1]][k]);
}

static void multi_krum_means(void **unused)
{
    (void)unused;
    static float tau[N];
    analytic_input(straight);
    for (size_t k = 0; k < N; k++)
        tau[k] = (float)((0.92 + 1 + 1.07) / 3) * x[2][k]; /* 0.996667 tau */
    assert_int_equal(merge(&am_method_merge_multi_krum, KRUM, 7, N), 0);
    close_to(out, tau, N, 2e-7);
    analytic_input(turned);
    assert_int_equal(merge(&am_method_merge_multi_krum, KRUM, 7, N), 0);
    close_to(out, tau, N, 2e-7);
}

/* ---- coordinates */

static void median_of_three(void **unused)
{
    (void)unused;
    static const float e1[3][8] = {
        {1, -2, 3, -4, 5, -6, 7, -8}, {-3, -2, 1, 4, 6, -1, 0, 2}, {2, 2, -2, 0, 1, -5, 3, -1}};
    static const float want[] = {0.125f, -0.25f, 0.125f, 0, 0.625f, -0.625f, 0.375f, -0.125f};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 8; k++)
            x[i][k] = e1[i][k] / 8;
    assert_int_equal(merge(&am_method_merge_median, "{" POLICIES "}", 3, 8), 0);
    assert_memory_equal(out, want, sizeof(want));
    /* x1 is the middle one, or equal to it, in elements 0 1 4, x2 in 1 2, x3 in 3 5 6 7 */
    static const double inside[] = {3, 2, 4};
    assert_true(tally[0] == 8);
    assert_memory_equal(tally + 1, inside, sizeof(inside));
    for (size_t k = 0; k < 8; k++)
        x[3][k] = 100; /* four: mean of the middle two, by hand */
    static const float four[] = {1.5f, 0, 2, 2, 5.5f, -3, 5, 0.5f};
    assert_int_equal(merge(&am_method_merge_median, "{" POLICIES "}", 4, 8), 0);
    for (size_t k = 0; k < 8; k++)
        assert_true(out[k] == four[k] / 8);
    assert_int_equal(merge(&am_method_merge_median, "{" POLICIES "}", 1, 8), 0);
    assert_memory_equal(out, x[0], 32);
}

static int up(const void *a, const void *b)
{
    float p = *(const float *)a, q = *(const float *)b;
    return p < q ? -1 : p > q;
}

static void trimmed_against_a_sort(void **unused)
{
    (void)unused;
    static float want[N], before[N];
    double inside[9] = {0};
    state = 77;
    for (size_t k = 0; k < N; k++) {
        float column[9];
        double sum = 0;
        base[k] = 8 * noise();
        for (size_t i = 0; i < 9; i++) {
            x[i][k] = base[k] + noise();
            column[i] = x[i][k] - base[k];
        }
        qsort(column, 9, sizeof(*column), up);
        for (size_t i = 2; i < 7; i++)
            sum += (double)column[i];
        want[k] = base[k] + (float)(sum / 5);
        for (size_t i = 0; i < 9; i++)
            inside[i] += x[i][k] - base[k] >= column[2] && x[i][k] - base[k] <= column[6];
    }
    assert_int_equal(merge(&am_method_merge_trimmed_mean, "{\"f\":2," POLICIES "}", 9, N), 0);
    close_to(out, want, N, 1e-6);
    assert_true(tally[0] == N);
    assert_memory_equal(tally + 1, inside, sizeof(inside));
    memcpy(before, out, sizeof(before)); /* another order of the models: the same bits */
    for (size_t k = 0; k < N; k++) {
        float t = x[0][k];
        x[0][k] = x[8][k];
        x[8][k] = x[3][k];
        x[3][k] = t;
    }
    assert_int_equal(merge(&am_method_merge_trimmed_mean, "{\"f\":2," POLICIES "}", 9, N), 0);
    assert_memory_equal(out, before, sizeof(before));
    assert_int_equal(merge(&am_method_merge_trimmed_mean, "{\"f\":5," POLICIES "}", 9, N), -AM_E_BAD_SPEC);
}

static void coordinates_with_nan(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 3; k++)
            x[i][k] = (float)(i * i + k);
    x[4][1] = INFINITY; /* has a place in the order */
    x[0][2] = NAN;
    assert_int_equal(merge(&am_method_merge_median, "{" DROPPING "}", 5, 3), 0);
    assert_true(out[0] == 4 && out[1] == 5 && isnan(out[2]));
    assert_int_equal(merge(&am_method_merge_trimmed_mean, "{\"f\":1," DROPPING "}", 5, 3), 0);
    assert_true(out[0] == 14 / 3.0f && out[1] == 17 / 3.0f && isnan(out[2]));
}

/* ---- what holds for all */

static const struct {
    const struct am_method *m;
    const char *params;
    bool shifts;
} all[] = {{&am_method_merge_median, "{" POLICIES "}", true},
           {&am_method_merge_trimmed_mean, "{\"f\":0," POLICIES "}", true},
           {&am_method_merge_krum, "{\"f\":0," POLICIES SCOPE, true},
           {&am_method_merge_multi_krum, "{\"f\":0," POLICIES SCOPE, true},
           {&am_method_merge_geometric_median, PLAIN, true},
           {&am_method_merge_flag, FLAG("0", "0.0", "median"), false},
           {&am_method_merge_flag, FLAG("2", "1.0", "mean"), false}};
#define ALL (sizeof(all) / sizeof(all[0]))

static void identical_contributors(void **unused)
{
    (void)unused;
    state = 3;
    for (size_t k = 0; k < N; k++) {
        base[k] = noise();
        float v = base[k] + 0.1f * noise();
        for (size_t i = 0; i < 5; i++)
            x[i][k] = v;
    }
    for (size_t a = 0; a < ALL; a++) {
        size_t p = 5, pairs = 10, at = all[a].m->needs.passes ? 1 + 2 * p : 1 + p;
        assert_int_equal(merge(all[a].m, all[a].params, p, N), 0);
        close_to(out, x[0], N, 1.3e-7);
        for (size_t i = 0; i < pairs; i++)
            assert_true(tally[at + i] == (all[a].m->needs.passes ? 0 : N)); /* what the warning is told by */
    }
    for (size_t i = 0; i < 5; i++) /* no difference from the base at all */
        memcpy(x[i], base, sizeof(base));
    for (size_t a = 0; a < ALL; a++) {
        assert_int_equal(merge(all[a].m, all[a].params, 5, N), 0);
        close_to(out, base, N, 0);
    }
}

static void translation(void **unused)
{
    (void)unused;
    static float before[N];
    for (size_t a = 0; a < ALL; a++) {
        setup(NULL);
        analytic_input(straight);
        assert_int_equal(merge(all[a].m, all[a].params, 7, N), 0);
        for (size_t k = 0; k < N; k++)
            before[k] = out[k] + 0.25f;
        for (size_t i = 0; i < 7; i++)
            for (size_t k = 0; k < N; k++)
                x[i][k] += 0.25f;
        assert_int_equal(merge(all[a].m, all[a].params, 7, N), 0);
        if (all[a].shifts)
            close_to(out, before, N, 2e-6);
    }
}

static void faulty_one_is_dropped(void **unused)
{
    (void)unused;
    static float five[N];
    state = 11;
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < N; k++)
            x[i][k] = (float)(k % 7) + 0.1f * noise();
    static const struct {
        const struct am_method *m;
        const char *params, *without;
    } cases[] = {{&am_method_merge_krum, "{\"f\":1," DROPPING SCOPE, "{\"f\":0," DROPPING SCOPE},
                 {&am_method_merge_multi_krum, "{\"f\":1," DROPPING SCOPE, "{\"f\":0," DROPPING SCOPE},
                 {&am_method_merge_geometric_median, "{" DROPPING SCOPE, "{" DROPPING SCOPE}};
    for (size_t n = 0; n < 3; n++) {
        x[5][4321] = 1;
        assert_int_equal(merge(cases[n].m, cases[n].without, 5, N), 0);
        memcpy(five, out, sizeof(five));
        for (int bad = 0; bad < 2; bad++) {
            x[5][4321] = bad ? NAN : -INFINITY;
            assert_int_equal(merge(cases[n].m, cases[n].params, 6, N), 0);
            assert_memory_equal(out, five, sizeof(five)); /* as if it had not been there */
            assert_true(list_of((void *)acc, 6, 3)[5] == 1 && list_of((void *)acc, 6, 3)[0] == 0);
            assert_true(list_of((void *)acc, 6, 0)[5] == 0 && list_of((void *)acc, 6, 1)[5] == 0);
        }
    }
    x[4][0] = NAN; /* more than f */
    assert_int_equal(merge(&am_method_merge_krum, "{\"f\":1," DROPPING SCOPE, 6, N), -AM_E_NON_FINITE);
    base[0] = NAN; /* nobody is left */
    assert_int_equal(merge(&am_method_merge_geometric_median, "{" DROPPING SCOPE, 6, N), -AM_E_NON_FINITE);
}

/* ---- what is told */

static char *told(const struct am_method *m, const char *params, size_t p, size_t n, json_t **ret)
{
    static const char *const labels[P] = {"a", "b", "c", "d", "e", "f", "g"};
    struct am_report r;
    char *warnings = NULL;
    assert_int_equal(merge(m, params, p, n), 0);
    struct am_scope_info s = {.args = &args, .elements = n, .inputs = p};
    am_report_open(&r, m->name, labels, p);
    am_report_tensor(&r, NULL);
    m->report(&s, m->needs.passes ? acc : NULL, tally, &r);
    char *text = am_report_text(&r);
    assert_non_null(text);
    *ret = json_loads(text, 0, NULL);
    assert_int_equal(r.trusts, p);
    warnings = json_dumps(r.warnings, JSON_COMPACT | JSON_SORT_KEYS);
    free(text);
    am_report_done(&r);
    return warnings;
}

static double told_at(json_t *report, const char *name, size_t i)
{
    json_t *v = json_array_get(json_object_get(json_object_get(report, "total"), name), i);
    if (!json_is_number(v))
        fail_msg("no number %s[%zu]", name, i);
    return json_number_value(v);
}

static void report(void **unused)
{
    (void)unused;
    json_t *r;
    for (size_t i = 0; i < 5; i++)
        x[i][0] = ((float[]){0, 1, 3, 7, 8})[i];
    char *warnings = told(&am_method_merge_krum, "{\"f\":1," POLICIES SCOPE, 5, 1, &r);
    assert_string_equal(warnings, "{}");
    assert_true(told_at(r, "trust", 2) == 5 / 13.0 && told_at(r, "coefficient", 1) == 1 && told_at(r, "norm", 4) == 8);
    assert_true(told_at(r, "score", 4) == 26 && told_at(r, "dropped", 4) == 0);
    static const double pairs[] = {1, 3, 2, 7, 6, 4, 8, 7, 5, 1}; /* 01 02 12 03 13 23 04 14 24 34 */
    for (size_t i = 0; i < 10; i++)
        assert_true(told_at(r, "distance", i) == pairs[i]);
    free(warnings);
    json_decref(r);
    x[3][0] = x[2][0];
    x[4][0] = NAN;
    warnings = told(&am_method_merge_krum, "{\"f\":1," DROPPING SCOPE, 5, 1, &r);
    assert_true(told_at(r, "dropped", 4) == 1 && told_at(r, "trust", 4) == 0);
    assert_true(json_is_null(json_array_get(json_object_get(json_object_get(r, "total"), "distance"), 9)));
    assert_non_null(strstr(warnings, "contributor-dropped"));
    assert_non_null(strstr(warnings, "identical-contributors"));
    free(warnings);
    json_decref(r);
    x[4][0] = 8;
    warnings = told(&am_method_merge_trimmed_mean, "{\"f\":1," POLICIES "}", 5, 1, &r); /* 0 1 3 3 8 */
    assert_true(told_at(r, "inside", 0) == 0 && told_at(r, "inside", 2) == 1 && told_at(r, "trust", 4) == 0);
    assert_non_null(strstr(warnings, "identical-contributors"));
    free(warnings);
    json_decref(r);
}

static void check_f(const struct am_table *t, const char *method, const char *param, int value, size_t models,
                    const char *want)
{
    struct am_faults faults = {0};
    struct am_body checked = {0};
    json_t *list = json_array(), *body;
    for (size_t i = 0; i < models; i++)
        json_array_append_new(list, json_sprintf("d/m%zu", i));
    body = json_pack("{s:s, s:s, s:{s:s, s:o}, s:{s:i}, s:{s:s}}", "type", "merge", "method", method, "inputs", "base",
                     "d/base", "models", list, "params", param, value, "publish", "model", "d/o");
    int rc = am_body_check(&checked, body, t, &faults);
    if ((want == NULL) != (rc == 0) || (want && (faults.n != 1 || strcmp(faults.v[0].detail, want) != 0)))
        fail_msg("%s %s=%d of %zu: rc %d, %s", method, param, value, models, rc, faults.n ? faults.v[0].detail : "");
    if (want)
        assert_string_equal(faults.v[0].reason, "robust-requirement");
    am_body_done(&checked);
    am_faults_done(&faults);
    json_decref(body);
}

static void too_few_models_are_refused(void **unused)
{
    (void)unused;
    const struct am_method *const methods[] = {&am_method_merge_flag, &am_method_merge_krum,
                                               &am_method_merge_trimmed_mean, NULL};
    char lines[2000];
    struct am_table table;
    assert_int_equal(am_describe_check(methods, lines, sizeof(lines)), 0);
    json_t *described = am_describe(methods);
    char *text = json_dumps(described, 0);
    assert_int_equal(am_table_load(&table, text, strlen(text)), 0);
    check_f(&table, "krum", "f", 2, 7, NULL);
    check_f(&table, "krum", "f", 2, 6, "krum with f = 2 needs at least 7 inputs, got 6; largest f here: 1");
    check_f(&table, "trimmed_mean", "f", 2, 5, NULL);
    check_f(&table, "trimmed_mean", "f", 3, 5,
            "trimmed_mean with f = 3 needs at least 7 inputs, got 5; largest f here: 2");
    check_f(&table, "flag", "m", 3, 3, NULL);
    check_f(&table, "flag", "m", 4, 3, "flag with m = 4 needs at least 4 inputs, got 3; largest m here: 3");
    am_table_done(&table);
    json_decref(described);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(krum_chooses),
        TEST(multi_krum_means),
        TEST(median_of_three),
        TEST(trimmed_against_a_sort),
        TEST(coordinates_with_nan),
        TEST(identical_contributors),
        TEST(translation),
        TEST(faulty_one_is_dropped),
        TEST(report),
        TEST(too_few_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
