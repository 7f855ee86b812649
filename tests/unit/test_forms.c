/*
 * test_forms.c - the several ways to write breadcrumbs' shares become drop_low and drop_high when a body is checked
 * (merge.md A19), against the described row of the real method.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "core/methods/describe.h"
#include "core/methods/method.h"
#include "core/table/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct am_method am_method_merge_breadcrumbs, am_method_merge_ties;

static struct am_table real;
static json_t *body;
static struct am_faults faults;
static struct am_body checked;

static void done(void)
{
    am_body_done(&checked);
    am_faults_done(&faults);
    faults = (struct am_faults){0};
    json_decref(body);
    body = NULL;
}

static int load(void **state)
{
    const struct am_method *const methods[] = {&am_method_merge_breadcrumbs, &am_method_merge_ties, NULL};
    char line[2000];
    (void)state;
    if (am_describe_check(methods, line, sizeof(line)) != 0) {
        print_error("%s", line);
        return -1;
    }
    json_t *root = am_describe(methods);
    char *text = json_dumps(root, 0);
    int rc = am_table_load(&real, text, strlen(text));
    free(text);
    json_decref(root);
    return rc;
}

static int unload(void **state)
{
    (void)state;
    done();
    am_table_done(&real);
    return 0;
}

/* Two models; `one` stands beside the first. */
static int submit(const char *params, const char *one)
{
    char text[2000];
    done();
    snprintf(text, sizeof(text),
             "{\"type\":\"merge\",\"method\":\"breadcrumbs\",\"inputs\":{\"base\":\"a/base@v1\",\"models\":["
             "{\"version\":\"a/x@v1\",\"params\":{%s}},\"a/y@v1\"]},\"params\":{\"weight\":1%s%s},"
             "\"publish\":{\"model\":\"a/out\"}}",
             one, params[0] ? "," : "", params);
    body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    return am_body_check(&checked, body, &real, &faults);
}

static const json_t *model(size_t i)
{
    return checked.input[1 + i].params; /* after the base */
}

static void check_value(size_t i, const char *name, double want) /* NaN: null */
{
    const json_t *v = json_object_get(model(i), name);
    if (isnan(want) ? !json_is_null(v) : !json_is_real(v) || json_real_value(v) != want)
        fail_msg("model %zu, %s: %.17g, not %.17g", i, name, json_number_value(v), want);
}

static void check_pair(const char *params, double low, double high, double density, double gamma)
{
    if (submit(params, "") != 0)
        fail_msg("%s: %s", params, faults.n ? faults.v[0].detail : "?");
    for (size_t i = 0; i < 2; i++) {
        check_value(i, "drop_low", low);
        check_value(i, "drop_high", high);
        check_value(i, "density", density);
        check_value(i, "gamma", gamma);
        check_value(i, "beta", (double)NAN);
        check_value(i, "top_k_keep", (double)NAN);
    }
}

static void check_granularity(const char *want)
{
    assert_string_equal(json_string_value(json_object_get(checked.params, "granularity")), want);
}

static void test_forms(void **state)
{
    (void)state;
    const double none = (double)NAN;
    check_pair("", 0, 0, 1, 0.01); /* nothing given: mergekit's defaults, which drop nothing */
    check_granularity("tensor");
    check_pair("\"density\":0.9", 0.09, 0.01, 0.9, 0.01);
    check_pair("\"density\":0.3,\"gamma\":0.1", 0.6, 0.1, 0.3, 0.1);
    check_pair("\"density\":0.9,\"gamma\":0.25", 0, 0.1, 0.9, 0.25); /* gamma shrinks */
    check_pair("\"density\":0", 0.99, 0.01, 0, 0.01);
    check_pair("\"gamma\":0.2", 0, 0, 1, 0.2);
    check_pair("\"drop_low\":0.85,\"drop_high\":0.01", 0.85, 0.01, none, none);
    check_pair("\"beta\":0.85,\"gamma_paper\":0.99", 0.85, 0.01, none, none);
    check_pair("\"beta\":0.85,\"gamma_paper\":0.9", 0.85, 0.1, none, none); /* not 0.09999999999999998 */
    check_granularity("tensor");
    check_pair("\"top_k_keep\":0.2,\"top_k_remove\":0.1", 0.7, 0.1, none, none);
    check_granularity("row");
    check_pair("\"top_k_keep\":0.2,\"top_k_remove\":0.1,\"granularity\":\"row\"", 0.7, 0.1, none, none);
    check_pair("\"density\":0.5,\"granularity\":\"row\"", 0.49, 0.01, 0.5, 0.01);
    check_granularity("row");
}

/* Each model may have its own way; null takes back what is given for all. */
static void test_each(void **state)
{
    (void)state;
    assert_int_equal(submit("\"density\":0.5,\"gamma\":0.1", "\"density\":0.2"), 0);
    check_value(0, "drop_low", 0.7);
    check_value(1, "drop_low", 0.4);
    assert_int_equal(submit("\"density\":0.5", "\"density\":null,\"drop_low\":0.3,\"drop_high\":0.0"), 0);
    check_value(0, "drop_low", 0.3);
    check_value(0, "density", (double)NAN);
    check_value(1, "drop_low", 0.49);
}

/* What was resolved resolves to itself. */
static void test_again(void **state)
{
    (void)state;
    check_pair("\"density\":0.9,\"gamma\":0.25,\"drop_low\":0.0,\"drop_high\":0.1,\"beta\":null,\"gamma_paper\":null,"
               "\"top_k_keep\":null,\"top_k_remove\":null",
               0, 0.1, 0.9, 0.25);
    check_pair("\"density\":null,\"gamma\":null,\"drop_low\":0.7,\"drop_high\":0.1,\"granularity\":\"row\"", 0.7, 0.1,
               (double)NAN, (double)NAN);
}

static void check_refused(const char *params, const char *one, const char *pointer, const char *reason,
                          const char *part)
{
    assert_true(submit(params, one) < 0);
    assert_int_equal(faults.n, 1);
    const struct am_fault *f = &faults.v[0];
    if (strcmp(f->pointer, pointer) != 0 || !am_streq(f->reason, reason) || !strstr(f->detail, part))
        fail_msg("%s: %s %s %s", params, f->pointer, f->reason ? f->reason : "-", f->detail);
}

static void test_refused(void **state)
{
    (void)state;
    const char *all = "#/params", *first = "#/inputs/models/0/params";
    check_refused("\"drop_low\":0.5", "", all, "parameter-missing", "drop_low goes with drop_high");
    check_refused("\"beta\":0.5", "", all, "parameter-missing", "gamma_paper");
    check_refused("\"density\":0.5,\"beta\":0.5,\"gamma_paper\":0.9", "", all, "parameter-conflict", "density/gamma");
    check_refused("\"density\":0.5,\"drop_low\":0.1,\"drop_high\":0.1", "", all, "parameter-conflict", "drop_low");
    check_refused("\"drop_low\":0.6,\"drop_high\":0.4", "", all, "parameter-range", "below 1");
    check_refused("\"beta\":0.95,\"gamma_paper\":0.9", "", all, "parameter-range", "drop_high = 0.1");
    check_refused("\"top_k_keep\":0.8,\"top_k_remove\":0.4", "", all, "parameter-range", "drop_low = -0.2");
    check_refused("\"top_k_keep\":0.2,\"top_k_remove\":0.1,\"granularity\":\"tensor\"", "", "#/params/granularity",
                  "parameter-conflict", "needs granularity");
    check_refused("", "\"top_k_keep\":0.2,\"top_k_remove\":0.1", "#/params/granularity", "parameter-conflict",
                  "for all");
    check_refused("\"density\":0.5", "\"beta\":0.5", first, "parameter-conflict", "beta");
    check_refused("\"density\":\"a\"", "", "#/params/density", "setting-shape", "a number");
    check_refused("\"density\":1.5", "", "#/params/density", "parameter-range", "[0, 1]");
    check_refused("\"lambda\":null", "", "#/params/lambda", "setting-shape", "null");
    check_refused("\"alpha\":0.3", "", "#/params/alpha", "unknown-parameter", "lambda");
}

/* The form says nothing about the whole: other methods have none. */
static void test_ties(void **state)
{
    (void)state;
    assert_true(json_is_null(json_object_get(am_table_find(&real, "merge", "ties"), "canonical")));
    json_t *schema = am_table_params_schema(am_table_find(&real, "merge", "breadcrumbs"), 1);
    json_t *density = json_object_get(json_object_get(schema, "properties"), "density");
    json_t *one = json_array_get(json_object_get(density, "anyOf"), 0); /* beside the values by tensor */
    assert_string_equal(json_string_value(json_array_get(json_object_get(one, "type"), 1)), "null");
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_each), cmocka_unit_test(test_again),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_ties),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
