/*
 * test_methods.c - the arithmetic of the four methods on numbers worked out by hand. The selection of sparsify is
 * test_select.c.
 */
#include "core/base/err.h"
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

#define POLICIES "\"compat\":\"none\",\"compat_dtype\":\"float32\",\"nonfinite\":\"refuse\",\"overflow\":\"refuse\""

static void apply(const char *type, const char *name, struct am_args *a, const float *base, const float *const *x,
                  size_t inputs, size_t n, float *out)
{
    static _Alignas(64) unsigned char local[65536];
    const struct am_method *m = am_method_find(type, name);
    struct am_scope_info scope = {.args = a, .elements = n, .inputs = inputs};
    memset(local, 0, m->needs.local_bytes);
    m->prepare(&scope, local);
    struct am_window w = {.n = n, .base = base, .x = x, .inputs = inputs, .out = out, .local = local};
    assert_int_equal(m->apply(&w, NULL), 0);
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

static void sparsify_counts(void **state)
{
    (void)state;
    static float x[100], out[100];
    static struct {
        const char *params;
        size_t zeros;
    } cases[] = {{"{\"sparsity\":0.29,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 29},
                 {"{\"sparsity\":0.999,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 99},
                 {"{\"sparsity\":1,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 100},
                 {"{\"sparsity\":0,\"scope\":\"tensor\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}", 0}};
    const struct am_method *m = am_method_find("edit", "sparsify");
    size_t acc = am_amount(m->needs.acc, 1);
    void *kept = malloc(acc), *own = malloc(acc);
    for (size_t c = 0; c < 4; c++) {
        struct am_args a = args_of("edit", "sparsify", cases[c].params, NULL, 1);
        const float *const in[] = {x};
        uint64_t local = 0;
        double tally = 0;
        struct am_scope_info scope = {.args = &a, .elements = 100, .inputs = 1};
        struct am_window w = {.n = 100, .x = in, .inputs = 1, .out = out, .local = &local, .tally = &tally};
        size_t zeros = 0;
        memset(kept, 0, acc);
        m->prepare(&scope, &local);
        for (int i = 0; i < 100; i++)
            x[i] = (float)(i % 3 + 1);
        for (unsigned round = 0;; round++) {
            memset(own, 0, acc);
            assert_int_equal(m->stat(&w, round ? kept : NULL, own, 0), 0);
            assert_int_equal(m->merge(kept, own, 0), 0);
            if (m->between(kept, &scope, &local, 0, round) != AM_AGAIN)
                break;
        }
        assert_int_equal(m->apply(&w, kept), 0);
        for (int i = 0; i < 100; i++)
            zeros += out[i] == 0;
        assert_int_equal(zeros, cases[c].zeros);
        assert_true(tally == 100 - (double)zeros);
        am_args_done(&a);
    }
    free(kept);
    free(own);
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
        cmocka_unit_test(linear),          cmocka_unit_test(task_arithmetic),    cmocka_unit_test(task_negation),
        cmocka_unit_test(sparsify_counts), cmocka_unit_test(selects_by_pattern), cmocka_unit_test(refused_args),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
