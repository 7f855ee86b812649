/*
 * test_old_base.c - the body of a merge whose models come with their own old base (merge/port), and of merges that take
 * none, against the described declarations of the methods themselves.
 */
#include "core/methods/describe.h"
#include "core/methods/method.h"
#include "tests/unit/body_fixture.h"

extern const struct am_method am_method_merge_port, am_method_merge_slerp;

static int load(void **state)
{
    static const struct am_method *const methods[] = {&am_method_merge_port, &am_method_merge_slerp, NULL};
    char why[1000];
    if (setup(state) < 0)
        return -1;
    am_table_done(&table);
    if (am_describe_check(methods, why, sizeof why))
        fail_msg("%s", why);
    json_t *root = am_describe(methods);
    char *text = json_dumps(root, JSON_COMPACT);
    int rc = text ? am_table_load(&table, text, strlen(text)) : -1;
    free(text);
    json_decref(root);
    return rc;
}

static char *job(char *out, size_t cap, const char *method, const char *inputs, const char *params)
{
    snprintf(out, cap,
             "{\"type\":\"merge\",\"method\":\"%s\",\"inputs\":{%s},\"params\":{%s},\"publish\":{\"model\":"
             "\"d/o\"}}",
             method, inputs, params);
    return out;
}

#define JOB(method, inputs, params) job((char[1000]){0}, 1000, method, inputs, params)
#define PORT(inputs) JOB("port", inputs, "")
#define SLERP(inputs) JOB("slerp", inputs, "\"t\":0.5")

static void is(size_t i, const char *role, const char *ref, const char *pointer)
{
    assert_string_equal(checked.input[i].role, role);
    assert_string_equal(checked.input[i].ref, ref);
    assert_string_equal(checked.input[i].pointer, pointer);
}

static void test_port(void **state)
{
    (void)state;
    accept(PORT("\"base\":\"d/new@v5\",\"models\":[{\"version\":\"d/ft@v2\",\"base\":\"d/new@v4\"}]"));
    assert_int_equal(checked.inputs, 3);
    assert_int_equal(checked.donor, 0);
    is(0, "base", "d/new@v5", "#/inputs/base");
    is(1, "model", "d/ft@v2", "#/inputs/models/0/version");
    is(2, "old_base", "d/new@v4", "#/inputs/models/0/base");
    assert_true(json_is_object(checked.input[1].params));
    assert_null(checked.input[0].params);
    assert_null(checked.input[2].params);
    assert_true(json_real_value(json_object_get(checked.params, "scale")) == 1);
    assert_int_equal(json_array_size(json_object_get(checked.params, "include")), 1);
    accept(JOB("port", "\"base\":\"d/b\",\"models\":[{\"version\":\"d/ft\",\"base\":\"d/b\"}]", "\"scale\":-2"));
}

static void test_port_refused(void **state)
{
    (void)state;
    refuse1(PORT("\"base\":\"d/b\",\"models\":[\"d/ft@v2\"]"), "missing-input", "#/inputs/models/0", "base-required",
            "port needs the base that this model was tuned from, beside it: {\"version\": \"d/ft@v2\", \"base\": ");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/ft\"}]"), "missing-input", "#/inputs/models/0",
            "base-required", "\"d/ft\"");
    refuse1(PORT("\"models\":[{\"version\":\"d/ft\",\"base\":\"d/b\"}]"), "missing-input", "#/inputs/base",
            "base-required", "port needs base: the new base");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/ft\",\"base\":7}]"), "invalid-request",
            "#/inputs/models/0/base", NULL, "expected a text");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/ft\",\"base\":\"/srv/old\"}]"), "invalid-params",
            "#/inputs/models/0/base", "ref-not-a-model", "it is a path");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"base\":\"d/old\"}]"), "invalid-request", "#/inputs/models/0/version",
            NULL, NULL);
    refuse1(PORT("\"base\":\"d/b\",\"models\":[7]"), "invalid-request", "#/inputs/models/0", NULL,
            "expected {\"version\", \"base\", \"params\"}");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/ft\",\"bass\":\"d/o\",\"base\":\"d/o\"}]"),
            "unknown-member", "#/inputs/models/0/bass", NULL, "did you mean base?");
    refuse1(PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/x\",\"base\":\"d/o\"},{\"version\":\"d/y\",\"base\":"
                 "\"d/o\"}]"),
            "invalid-params", "#/inputs/models", "input-count", "port takes exactly 1 models, got 2");
}

/* Two fine-tunes of one old base are no duplicates; the same fine-tune twice is one. */
static void test_twice(void **state)
{
    (void)state;
    static const struct want want[] = {
        {"invalid-params", "#/inputs/models", "input-count", NULL},
        {"invalid-params", "#/inputs/models/1/version", "duplicate-input", "also at #/inputs/models/0/version"},
    };
    refuse(
        PORT("\"base\":\"d/b\",\"models\":[{\"version\":\"d/x\",\"base\":\"d/o\"},{\"version\":\"d/x@main\",\"base\":"
             "\"d/o\"}]"),
        want, 2);
}

static void test_slerp(void **state)
{
    (void)state;
    accept(SLERP("\"base\":\"d/a\",\"models\":[\"d/b\"]"));
    assert_int_equal(checked.inputs, 2);
    assert_true(json_real_value(json_object_get(checked.params, "dot_threshold")) == 0.9995);
    refuse1(SLERP("\"base\":\"d/a\",\"models\":[{\"version\":\"d/b\",\"base\":\"d/o\"}]"), "invalid-params",
            "#/inputs/models/0/base", "base-forbidden", "slerp takes no base beside a model; leave it out, all models");
    refuse1(SLERP("\"models\":[\"d/b\"]"), "missing-input", "#/inputs/base", "base-required",
            "slerp needs base: the version that the model is merged with");
    refuse1(SLERP("\"base\":\"d/a\",\"models\":[\"d/b\",\"d/c\"]"), "invalid-params", "#/inputs/models", "input-count",
            "slerp takes exactly 1 models, got 2");
    refuse1(JOB("slerp", "\"base\":\"d/a\",\"models\":[\"d/b\"]", ""), "invalid-params", "#/params/t",
            "parameter-missing", "slerp needs t");
    refuse1(JOB("slerp", "\"base\":\"d/a\",\"models\":[\"d/b\"]", "\"t\":1,\"dot_threshold\":1.5"), "invalid-params",
            "#/params/dot_threshold", "parameter-range", NULL);
}

/* As many entries as a body can have. */
static void test_most(void **state)
{
    (void)state;
    char text[8000], *at = text;
    at += snprintf(at, 100, "{\"type\":\"merge\",\"method\":\"port\",\"inputs\":{\"base\":\"d/b\",\"models\":[");
    for (int i = 0; i < 101; i++)
        at += snprintf(at, 100, "%s{\"version\":\"d/m%d\",\"base\":\"d/o\"}", i ? "," : "", i);
    snprintf(at, 100, "]},\"publish\":{\"model\":\"d/o\"}}");
    refuse1(text, "invalid-params", "#/inputs/models", "input-count", "got 101");
    assert_int_equal(checked.inputs, 201);
}

static int unload(void **state)
{
    done();
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port),  cmocka_unit_test(test_port_refused), cmocka_unit_test(test_twice),
        cmocka_unit_test(test_slerp), cmocka_unit_test(test_most),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
