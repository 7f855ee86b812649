/*
 * test_methods.c - the arithmetic of the four methods on numbers worked out by hand, and the selection against a sort.
 */
#include "core/base/err.h"
#include "core/edit/_select.h"
#include "core/methods/args_json.h"
#include "core/methods/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct am_args args_of(const char *type, const char *name, const char *params, const char *const *inputs,
                              size_t n)
{
    struct am_args a = {0};
    json_t *global = json_loads(params, 0, NULL), *each[8];
    const char *what = "";
    for (size_t i = 0; i < n; i++)
        each[i] = inputs ? json_loads(inputs[i], 0, NULL) : NULL;
    assert_int_equal(am_args_from_json(&a, am_method_find(type, name), global, each, n, &what), 0);
    for (size_t i = 0; i < n; i++)
        json_decref(each[i]);
    json_decref(global);
    return a;
}

#define POLICIES "\"nonfinite\":\"refuse\",\"overflow\":\"refuse\""

static void apply(const char *type, const char *name, struct am_args *a, const float *base, const float *const *x,
                  size_t inputs, size_t n, float *out)
{
    struct am_window w = {.n = n, .base = base, .x = x, .inputs = inputs, .out = out, .args = a};
    assert_int_equal(am_method_find(type, name)->apply(&w, NULL), 0);
    am_args_done(a);
}

static void linear(void **state)
{
    (void)state;
    const float x0[] = {1, 2, -4}, x1[] = {4, 8, 12}, *const x[] = {x0, x1};
    const char *const weights[] = {"{\"weight\":0.5}", "{\"weight\":0.25}"};
    float out[3];
    struct am_args a = args_of("merge", "linear", "{\"normalize\":false," POLICIES "}", weights, 2);
    apply("merge", "linear", &a, NULL, x, 2, 3, out);
    assert_memory_equal(out, ((float[]){1.5f, 3, 1}), sizeof(out));
    a = args_of("merge", "linear", "{\"normalize\":true," POLICIES "}", weights, 2);
    apply("merge", "linear", &a, NULL, x, 2, 3, out);
    assert_memory_equal(out, ((float[]){2, 4, 1 / 0.75f}), sizeof(out));
    const float odd[] = {0.9f, -0.0f, 0x1p-149f}, *const one[] = {odd}; /* 0.3 * x / 0.3 would be others */
    a = args_of("merge", "linear", "{\"normalize\":true," POLICIES "}", (const char *const[]){"{\"weight\":0.3}"}, 1);
    apply("merge", "linear", &a, NULL, one, 1, 3, out);
    assert_memory_equal(out, odd, sizeof(out));
}

static void task_arithmetic(void **state)
{
    (void)state;
    const float b[] = {1, -0.0f, 2}, x0[] = {3, 0, 2}, x1[] = {1, 4, -2}, *const x[] = {x0, x1};
    const char *const weights[] = {"{\"weight\":1}", "{\"weight\":-0.5}"};
    float out[3];
    struct am_args a =
        args_of("merge", "task_arithmetic", "{\"lambda\":0.5,\"normalize\":false," POLICIES "}", weights, 2);
    apply("merge", "task_arithmetic", &a, b, x, 2, 3, out);
    assert_memory_equal(out, ((float[]){2, -1, 3}), sizeof(out));
    a = args_of("merge", "task_arithmetic", "{\"lambda\":1,\"normalize\":true," POLICIES "}", weights, 2);
    apply("merge", "task_arithmetic", &a, b, x, 2, 3, out); /* sums 2, -2, 2 over 0.5 */
    assert_memory_equal(out, ((float[]){5, -4, 6}), sizeof(out));
    a = args_of("merge", "task_arithmetic", "{\"lambda\":0,\"normalize\":false," POLICIES "}", weights, 2);
    apply("merge", "task_arithmetic", &a, b, x, 2, 3, out);
    assert_memory_equal(out, b, sizeof(out)); /* with its minus zero */
}

static void task_negation(void **state)
{
    (void)state;
    const float pre[] = {1, 2}, model[] = {5, -0.0f}, tuned[] = {3, 1}, *const x[] = {model, tuned};
    float out[2];
    struct am_args a = args_of("unlearn", "task_negation", "{\"lambda\":0.5," POLICIES "}", NULL, 2);
    apply("unlearn", "task_negation", &a, pre, x, 2, 2, out);
    assert_memory_equal(out, ((float[]){4, 0.5f}), sizeof(out));
    a = args_of("unlearn", "task_negation", "{\"lambda\":0," POLICIES "}", NULL, 2);
    apply("unlearn", "task_negation", &a, pre, x, 2, 2, out);
    assert_memory_equal(out, model, sizeof(out));
}

#define N 3000
struct ranked {
    float magnitude;
    size_t index;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->magnitude != y->magnitude)
        return x->magnitude < y->magnitude ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void zero_by_sort(const float *x, float *out, size_t k)
{
    static struct ranked rank[N];
    for (size_t i = 0; i < N; i++)
        rank[i] = (struct ranked){fabsf(x[i]), i};
    qsort(rank, N, sizeof(rank[0]), by_rank);
    memcpy(out, x, N * sizeof(*x));
    for (size_t i = 0; i < k; i++)
        out[rank[i].index] = 0;
}

static void zero_by_histogram(const float *x, float *out, size_t k, size_t span)
{
    static struct am_select kept, own;
    int round = 0, again = 1;
    memset(&kept, 0, sizeof(kept));
    for (; again; round++) {
        struct am_select sofar = kept;
        for (size_t at = 0, w = 0; at < N; at += span, w++) {
            memset(&own, 0, sizeof(own));
            am_select_count(round ? &sofar : NULL, &own, x + at, N - at < span ? N - at : span, w);
            am_select_merge(&kept, &own);
        }
        again = am_select_next(&kept, k, N);
        assert_true(round < 3);
    }
    for (size_t at = 0, w = 0; at < N; at += span, w++)
        am_select_zero(&kept, x + at, out + at, N - at < span ? N - at : span, w);
}

/* levels 0: all different; else so many magnitudes, so that ties are the normal case. */
static void selection(void **state)
{
    (void)state;
    static float x[N], want[N], got[N];
    static const unsigned levels[] = {0, 1, 2, 7, 100};
    static const size_t ks[] = {0, 1, 2, 500, 1499, 1500, 2998, 2999, 3000}, spans[] = {1, 64, 1000, 4096};
    uint32_t random = 12345;
    for (size_t l = 0; l < 5; l++) {
        for (size_t i = 0; i < N; i++) {
            random = random * 1664525u + 1013904223u;
            float v = levels[l] ? (float)(random >> 8 & 0xffff) : (float)i * 1e-3f;
            if (levels[l])
                v = (float)((unsigned)v % levels[l]) * 0.125f;
            x[i] = random & 0x80000000u ? -v : v;
        }
        for (size_t k = 0; k < 9; k++) {
            zero_by_sort(x, want, ks[k]);
            for (size_t s = 0; s < 4; s++) {
                zero_by_histogram(x, got, ks[k], spans[s]);
                assert_memory_equal(got, want, sizeof(got));
            }
        }
    }
}

static void sparsify_counts(void **state)
{
    (void)state;
    static float x[100], out[100];
    static struct am_select kept, own;
    static const struct {
        const char *params;
        size_t zeros;
    } cases[] = {{"{\"sparsity\":0.29,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 29},
                 {"{\"sparsity\":0.999,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 99},
                 {"{\"sparsity\":1,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 100},
                 {"{\"sparsity\":0,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 0}};
    const struct am_method *m = am_method_find("edit", "sparsify");
    for (size_t c = 0; c < 4; c++) {
        struct am_args a = args_of("edit", "sparsify", cases[c].params, NULL, 1);
        const float *const in[] = {x};
        struct am_window w = {.n = 100, .x = in, .inputs = 1, .out = out, .args = &a};
        size_t zeros = 0;
        memset(&kept, 0, sizeof(kept));
        for (int i = 0; i < 100; i++)
            x[i] = (float)(i % 3 + 1);
        for (unsigned round = 0;; round++) {
            memset(&own, 0, sizeof(own));
            assert_int_equal(m->stat(&w, round ? &kept : NULL, &own, 0), 0);
            assert_int_equal(m->merge(&kept, &own, 0), 0);
            if (m->between(&kept, 100, &a, 0, round) != AM_AGAIN)
                break;
        }
        assert_int_equal(m->apply(&w, &kept), 0);
        for (int i = 0; i < 100; i++)
            zeros += out[i] == 0;
        assert_int_equal(zeros, cases[c].zeros);
        am_args_done(&a);
    }
}

static void selects_by_pattern(void **state)
{
    (void)state;
    const struct am_method *m = am_method_find("edit", "sparsify");
    struct am_args a = args_of(
        "edit", "sparsify",
        "{\"sparsity\":0,\"scope\":\"model\",\"include\":[\"fc*\",\"head\"],\"exclude\":[\"*.bias\"]," POLICIES "}",
        NULL, 1);
    assert_true(m->selects(&a, &(struct am_tensor_info){.name = "fc1.weight"}));
    assert_true(m->selects(&a, &(struct am_tensor_info){.name = "head"}));
    assert_false(m->selects(&a, &(struct am_tensor_info){.name = "fc1.bias"}));
    assert_false(m->selects(&a, &(struct am_tensor_info){.name = "head.weight"}));
    am_args_done(&a);
}

static void refused_args(void **state)
{
    (void)state;
    static const struct {
        const char *params, *what;
    } cases[] = {
        {"{" POLICIES "}", "lambda"},
        {"{\"lambda\":1.5," POLICIES "}", "lambda"},
        {"{\"lambda\":\"1\"," POLICIES "}", "lambda"},
        {"{\"lambda\":1,\"nonfinite\":\"maybe\",\"overflow\":\"refuse\"}", "nonfinite"},
        {"{\"lambda\":1,\"nonfinite\":\"refuse\"}", "overflow"},
    };
    for (size_t i = 0; i < 5; i++) {
        struct am_args a = {0};
        const char *what = "";
        json_t *params = json_loads(cases[i].params, 0, NULL);
        assert_int_equal(am_args_from_json(&a, am_method_find("unlearn", "task_negation"), params, NULL, 2, &what),
                         -AM_E_BAD_SPEC);
        assert_string_equal(what, cases[i].what);
        assert_null(a.v);
        json_decref(params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),       cmocka_unit_test(task_arithmetic), cmocka_unit_test(task_negation),
        cmocka_unit_test(selection),    cmocka_unit_test(sparsify_counts), cmocka_unit_test(selects_by_pattern),
        cmocka_unit_test(refused_args),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
