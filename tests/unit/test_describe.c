/*
 * test_describe.c - what the registry says of itself, and that every kind of broken declaration is noticed.
 */
#include "core/methods/describe.h"
#include "core/methods/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *method(json_t *root, const char *id)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(root, "methods"), i,
                       m) if (strcmp(json_string_value(json_object_get(m, "id")), id) == 0) return m;
    fail_msg("%s is not described", id);
    return NULL;
}

static json_t *param(json_t *m, const char *name)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(m, "params"), i,
                       p) if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0) return p;
    fail_msg("%s is not described", name);
    return NULL;
}

static void check_json(json_t *got, const char *want)
{
    json_t *w = json_loads(want, JSON_DECODE_ANY, NULL);
    assert_non_null(w);
    assert_true(json_equal(got, w));
    json_decref(w);
}

static void says_what_methods_declare(void **state)
{
    (void)state;
    json_t *root = am_describe(am_methods);
    assert_int_equal(json_integer_value(json_object_get(root, "abi")), AM_METHOD_ABI);
    json_t *linear = method(root, "merge/linear"), *negation = method(root, "unlearn/task_negation");
    check_json(
        json_object_get(linear, "needs"),
        "{\"min_inputs\":1,\"max_inputs\":null,\"base\":\"donor\",\"task\":\"none\",\"data\":\"none\",\"engine\":"
        "false,"
        "\"unit\":\"window\",\"selects\":\"all\",\"passes\":0,\"scope\":\"tensor\",\"random\":false,\"symmetric\":true,"
        "\"acc_bytes\":[0,0,0],\"lists\":[0,0,0],\"tally\":[0,0,0],\"masks\":false,\"bf16\":false,\"scratch\":["
        "0,0,0],\"local_bytes\":408,\"rows\":null,\"unchanged_at\":null,\"rows_when\":null,"
        "\"row_doubles\":0,\"columns_when\":null,\"column_bytes\":0,\"report\":[0,0,"
        "0],\"matrix\":null,\"adapter\":false,"
        "\"deterministic\":\"any threads, any kernels\"}");
    check_json(json_object_get(linear, "rules"), "[{\"kind\":\"sum_not_zero\",\"a\":\"weight\",\"b\":\"normalize\"}]");
    json_t *weight = param(linear, "weight");
    assert_null(json_object_get(weight, "default"));
    assert_true(json_is_true(json_object_get(weight, "required")));
    assert_true(json_is_true(json_object_get(weight, "per_input")));
    check_json(json_object_get(weight, "max"), "1000000.0");
    check_json(json_object_get(param(linear, "normalize"), "default"), "true");
    check_json(json_object_get(param(linear, "overflow"), "choices"), "[\"refuse\",\"clamp\",\"inf\"]");
    check_json(json_object_get(json_object_get(negation, "needs"), "task"), "\"required\"");
    check_json(json_object_get(json_object_get(method(root, "edit/sparsify"), "needs"), "scope"), "\"param\"");
    check_json(json_object_get(json_object_get(method(root, "edit/sparsify"), "needs"), "selects"), "\"patterns\"");
    json_decref(root);
}

static void twice_the_same(void **state)
{
    (void)state;
    json_t *a = am_describe(am_methods), *b = am_describe(am_methods);
    char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
    assert_string_equal(x, y);
    free(x);
    free(y);
    json_decref(a);
    json_decref(b);
}

static int lines(const struct am_method *m, char *text, size_t cap)
{
    const struct am_method *const list[] = {m, NULL};
    return am_describe_check(list, text, cap);
}

static void the_real_ones_are_sound(void **state)
{
    (void)state;
    char text[4096];
    int n = am_describe_check(am_methods, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(n, 0);
}

static void expect(const struct am_method *m, const char *part)
{
    char text[4096];
    int n = lines(m, text, sizeof(text));
    if (n < 1 || !strstr(text, part))
        fail_msg("wanted \"%s\" in \"%s\"", part, text);
}

static void broken_methods_are_found(void **state)
{
    (void)state;
    const struct am_method sound = *am_method_find("merge", "linear");
    const struct am_method patch = *am_method_find("merge", "extract_patch");
    struct am_method m = sound;
    m.abi = 99;
    expect(&m, "abi 99");
    m = sound;
    m.summary = "";
    expect(&m, "summary");
    m = sound;
    m.name = "Linear";
    expect(&m, "name");
    m = sound;
    m.needs.passes = 1;
    expect(&m, "stat, merge and between");
    expect(&m, "acc must be above 0");
    m = sound;
    m.prepare = NULL;
    expect(&m, "prepare must be there");
    m = sound;
    m.needs.by_row = true;
    expect(&m, "granularity");
    m.needs.by_slab = true;
    expect(&m, "rows or slabs");
    m = sound;
    m.rules = (const struct am_rule[]){{AM_RULE_MARGIN, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};
    expect(&m, "rule margin");
    m = sound;
    m.rules = (const struct am_rule[]){{AM_RULE_INPUTS_4A_3, "weight", ""}, {AM_RULE_END, NULL, NULL}};
    expect(&m, "integer");
    m = sound;
    m.needs.passes = 3;
    expect(&m, "at most 2");
    m = sound;
    m.needs.scope = AM_SCOPE_BY_PARAM;
    expect(&m, "scope");
    m = sound;
    m.apply = NULL;
    expect(&m, "apply is missing");
    m = *am_method_find("merge", "ties");
    m.needs.bf16 = false;
    expect(&m, "apply_bf16 needs bf16");
    m = patch;
    m.needs.adapter = false;
    expect(&m, "needs.adapter and factors must be there together");
    m = patch;
    m.needs.base = AM_OPTIONAL;
    expect(&m, "a method with factors() has one model and a base");
    m = patch;
    m.params = sound.params;
    expect(&m, "factors() needs the parameter max_rank");
    m = sound;
    m.needs.min_inputs = 3;
    m.needs.max_inputs = 2;
    expect(&m, "make no sense");
    m = sound;
    m.params = NULL;
    expect(&m, "sum_not_zero");
    m = sound;
    m.type = AM_EDIT;
    m.needs.task = AM_YES;
    expect(&m, "take no task");
}

static void broken_params_are_found(void **state)
{
    (void)state;
    static const struct {
        struct am_param p;
        const char *part;
    } cases[] = {
        {{.name = "A", .kind = AM_BOOL, .def = "true", .unit = "none", .doc = "d"}, "must match"},
        {{.name = "a", .kind = AM_BOOL, .def = "true", .unit = "none"}, "needs a doc"},
        {{.name = "a", .kind = AM_BOOL, .def = "true", .unit = "none", .doc = "two\nlines"}, "needs a doc"},
        {{.name = "a", .kind = AM_BOOL, .def = "true", .doc = "d"}, "needs a unit"},
        {{.name = "a", .kind = AM_BOOL, .unit = "none", .doc = "d"}, "must have a default"},
        {{.name = "a", .kind = AM_BOOL, .def = "true", .flags = AM_REQUIRED, .unit = "none", .doc = "d"},
         "must have a default"},
        {{.name = "a", .kind = AM_BOOL, .def = "1", .unit = "none", .doc = "d"}, "has the default 1"},
        {{.name = "a", .kind = AM_REAL, .def = "1", .unit = "none", .doc = "d"}, "has the default 1"},
        {{.name = "a", .kind = AM_REAL, .min = 0, .max = 1, .def = "1.5", .unit = "none", .doc = "d"},
         "has the default 1.5"},
        {{.name = "a",
          .kind = AM_REAL,
          .min = 0,
          .max = 1,
          .flags = AM_OPEN_MAX,
          .def = "1.0",
          .unit = "none",
          .doc = "d"},
         "has the default 1.0"},
        {{.name = "a", .kind = AM_INT, .min = 2, .max = 1, .def = "1", .unit = "none", .doc = "d"}, "no sound bounds"},
        {{.name = "a", .kind = AM_LIST, .def = "[1]", .unit = "none", .doc = "d"}, "has the default [1]"},
        {{.name = "a", .kind = AM_CHOICE, .def = "\"x\"", .unit = "none", .doc = "d"}, "choices"},
        {{.name = "a", .kind = AM_INT, .def = "1", .flags = AM_PER_INPUT, .unit = "none", .doc = "d"}, "AM_PER_INPUT"},
        {{.name = "overflow", .kind = AM_INT, .def = "1", .unit = "none", .doc = "d"}, "declared 2 times"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct am_param list[] = {cases[i].p, {0}};
        struct am_method m = *am_method_find("merge", "linear");
        m.params = list;
        m.rules = NULL;
        expect(&m, cases[i].part);
    }
}

static void lines_are_cut_not_overrun(void **state)
{
    (void)state;
    char text[20] = "";
    struct am_method m = {.name = "x"};
    assert_true(lines(&m, text, 10) > 3);
    assert_int_equal(strlen(text), 9);
    assert_int_equal(text[10], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_methods_declare), cmocka_unit_test(twice_the_same),
        cmocka_unit_test(the_real_ones_are_sound),   cmocka_unit_test(broken_methods_are_found),
        cmocka_unit_test(broken_params_are_found),   cmocka_unit_test(lines_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
