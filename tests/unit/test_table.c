/*
 * test_table.c - the described registry: what loads, what is found, and the JSON Schema of parameters.
 */
#include "core/base/err.h"
#include "core/table/table.h"
#include "tests/unit/table_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct am_table t;
    *state = &t;
    return am_table_load(&t, registry, strlen(registry));
}

static int teardown(void **state)
{
    am_table_done(*state);
    return 0;
}

static void test_find(void **state)
{
    const struct am_table *t = *state;
    json_t *linear = am_table_find(t, "merge", "linear");
    assert_non_null(linear);
    assert_string_equal(json_string_value(json_object_get(linear, "id")), "merge/linear");
    assert_ptr_equal(am_table_find(t, "merge", "merge/linear"), linear);
    assert_null(am_table_find(t, "edit", "linear"));
    assert_null(am_table_find(t, "edit", "merge/linear"));
    assert_null(am_table_find(t, "merge", "linea"));
    assert_null(am_table_find(t, "merge", ""));
    assert_null(am_table_find(t, NULL, "linear"));
    assert_int_equal(strlen(t->sha256), 64);
}

static void test_nearest(void **state)
{
    const struct am_table *t = *state;
    assert_string_equal(am_table_nearest(t, "merge", "task-arithmetic"), "task_arithmetic");
    assert_string_equal(am_table_nearest(t, "merge", "merge/liner"), "linear");
    assert_null(am_table_nearest(t, "edit", "liner"));
    assert_null(am_table_nearest(t, "merge", "completely_different"));
}

static void test_load_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"abi\":2,\"methods\":[]}",
        "{\"abi\":1}",
        "{\"abi\":1,\"abi\":1,\"methods\":[]}",
        "{\"abi\":1,\"methods\":[5]}",
        "{\"abi\":1,\"methods\":[{\"type\":\"merge\",\"name\":\"x\",\"params\":[]}]}",
        "{\"abi\":1,\"methods\":[" HEAD("merge", "x") NEEDS("1", "null", "maybe", "none", "0", "0") ",\"params\":[]}]}",
        "{\"abi\":1,\"methods\":[" HEAD("merge", "x")
            NEEDS("1", "null", "none", "none", "0", "0") ",\"params\":["
                                                         "{\"name\":\"a\",\"kind\":\"complex\",\"default\":1}]}]}",
        "{\"abi\":1,\"methods\":[" HEAD("merge", "x")
            NEEDS("1", "null", "none", "none", "0",
                  "0") ",\"params\":["
                       "{\"name\":\"a\",\"kind\":\"real\"}]}]}", /* neither required nor a default */
        "{\"abi\":1,\"methods\":[" HEAD("merge", "x")
            NEEDS("1", "null", "none", "none", "0",
                  "0") ",\"params\":["
                       "{\"name\":\"a\",\"kind\":\"choice\",\"default\":\"x\"}]}]}", /* no choices */
    };
    struct am_table t = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(am_table_load(&t, bad[i], strlen(bad[i])), -AM_E_INVALID_REQUEST);
    assert_null(t.root);
}

static void expect_schema(json_t *row, int per_input, const char *text)
{
    json_t *want = json_loads(text, 0, NULL), *got = am_table_params_schema(row, per_input);
    assert_non_null(want);
    assert_non_null(got);
    char *dump = json_dumps(got, 0);
    if (!json_equal(want, got))
        fail_msg("schema is %s", dump);
    free(dump);
    json_decref(want);
    json_decref(got);
}

#define SCHEMA                                                                                                         \
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/"                                                            \
    "schema\",\"type\":\"object\",\"additionalProperties\":false,"

static void test_schema(void **state)
{
    expect_schema(
        am_table_find(*state, "edit", "sparsify"), 0,
        SCHEMA
        "\"required\":[\"sparsity\"],\"properties\":{"
        "\"sparsity\":{\"type\":\"number\",\"minimum\":0.0,\"exclusiveMaximum\":1.0,\"description\":\"a doc "
        "[fraction]\"},"
        "\"scope\":{\"type\":\"string\",\"enum\":[\"tensor\",\"model\"],\"default\":\"tensor\",\"description\":\"a "
        "doc\"},"
        "\"include\":{\"type\":\"array\",\"maxItems\":1024,\"items\":{\"type\":\"string\",\"maxLength\":4096},"
        "\"default\":[\"*\"],\"description\":\"a doc [glob]\"},"
        "\"note\":{\"type\":\"string\",\"maxLength\":4096,\"default\":\"\",\"description\":\"a doc\"},"
        "\"rounds\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":8,\"default\":2,\"description\":\"a doc "
        "[rounds]\"},"
        "\"power\":{\"type\":\"number\",\"exclusiveMinimum\":0.0,\"default\":1,\"description\":\"a doc [factor]\"}}}");
}

/* One for all tensors, several over the depth, and by parts of names: a list of entries, or one. */
#define MANY(one) "{\"type\":\"array\",\"minItems\":1,\"items\":" one "}"
#define ENTRY(one)                                                                                                     \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"value\"],\"properties\":{\"filter\":{"        \
    "\"type\":\"string\",\"minLength\":1,\"maxLength\":256},\"slice\":{\"type\":\"integer\",\"minimum\":0},"           \
    "\"module\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"minLength\":1,"    \
    "\"maxLength\":256}},\"value\":{\"anyOf\":[" one "," MANY(one) "]}}}"
#define VARIES(one) "\"anyOf\":[" one "," MANY(one) "," MANY(ENTRY(one)) "," ENTRY(one) "]"
#define NUMBER "{\"type\":\"number\",\"minimum\":-1000000.0,\"maximum\":1000000.0}"
#define TRUTH "{\"type\":\"boolean\"}"

static void test_schema_per_input(void **state)
{
    json_t *linear = am_table_find(*state, "merge", "linear");
    static const char weight[] =
        "\"weight\":{" VARIES(NUMBER) ",\"description\":\"a doc [factor]; one value for each model, or one for all in "
                                      "params\"}";
    char text[4096];
    snprintf(text, sizeof(text), SCHEMA "\"required\":[],\"properties\":{%s}}", weight);
    expect_schema(linear, 1, text);
    snprintf(text, sizeof(text),
             SCHEMA "\"required\":[],\"properties\":{%s,\"normalize\":{" VARIES(
                 TRUTH) ",\"default\":true,\"description\":\"a doc\"}}}",
             weight);
    expect_schema(linear, 0, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),   cmocka_unit_test(test_nearest),          cmocka_unit_test(test_load_refuses),
        cmocka_unit_test(test_schema), cmocka_unit_test(test_schema_per_input),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
