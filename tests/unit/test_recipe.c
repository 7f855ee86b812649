/*
 * test_recipe.c - recipes as bodies: every place of an input, what is no recipe, pointers of faults; and inputs that
 * are jobs.
 */
#include "tests/unit/body_fixture.h"

#include "core/table/recipe.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define IN(role, model, more) "{\"role\":\"" role "\",\"model\":\"" model "\",\"commit\":\"" COMMIT "\"" more "}"
#define JOB "{\"job\":\"job_0123456789abcdef0123456789abcdef\"}"

/* The recipe's body, compared with `want`. */
static void is_body(const char *recipe, const char *want)
{
    json_auto_t *r = json_loads(recipe, 0, NULL), *w = json_loads(want, 0, NULL);
    assert_non_null(r);
    assert_non_null(w);
    assert_true(am_recipe_is(r));
    assert_false(am_recipe_is(w));
    struct am_faults f = {0};
    json_auto_t *b = am_recipe_body(r, &f);
    char *text = json_dumps(b, JSON_SORT_KEYS);
    assert_int_equal(f.total, 0);
    if (!json_equal(b, w))
        fail_msg("got %s", text);
    free(text);
}

static void every_place(void **state)
{
    (void)state;
    is_body(
        "{\"type\":\"merge\",\"method\":\"x\",\"inputs\":[" IN("base", "d/base", "") "," IN(
            "model", "d/a",
            ",\"params\":{\"weight\":1,\"density\":null}") "," IN("old_base", "d/old",
                                                                  "") "," IN("model", "d/b",
                                                                             "") "],"
                                                                                 "\"donor\":0,\"params\":{\"n\":null,"
                                                                                 "\"m\":1},\"options\":{\"seed\":3},"
                                                                                 "\"seed\":3,\"program\":\"p\","
                                                                                 "\"kernels\":null,\"blas\":null,"
                                                                                 "\"threads\":2,\"spec_sha256\":\"y\"}",
        "{\"type\":\"merge\",\"method\":\"x\",\"inputs\":{\"base\":\"d/base@" COMMIT
        "\",\"models\":[{\"version\":\"d/a@" COMMIT "\",\"params\":{\"weight\":1},\"base\":\"d/old@" COMMIT
        "\"},{\"version\":\"d/b@" COMMIT "\"}]},\"params\":{\"m\":1},\"options\":{\"seed\":3,\"threads\":2}}");
    is_body(
        "{\"type\":\"unlearn\",\"method\":\"x\",\"inputs\":[" IN("input", "d/m", "") "," IN("patch", "d/t", "") "," IN(
            "old_base", "d/m", "") "],\"options\":{\"threads\":1},\"threads\":9,\"publish\":{\"model\":\"d/o\"}}",
        "{\"type\":\"unlearn\",\"method\":\"x\",\"inputs\":{\"model\":\"d/m@" COMMIT
        "\",\"task\":{\"version\":\"d/t@" COMMIT "\",\"base\":\"d/m@" COMMIT
        "\"}},\"options\":{\"threads\":1},\"publish\":{\"model\":\"d/o\"}}");
    is_body("{\"type\":\"edit\",\"method\":\"x\",\"inputs\":[" IN("input", "d/m", "") "]}",
            "{\"type\":\"edit\",\"method\":\"x\",\"inputs\":{\"model\":\"d/m@" COMMIT "\"},\"options\":{}}");
    is_body("{\"type\":\"edit\",\"method\":\"x\",\"inputs\":[" IN(
                "input", "d/m",
                "") "],\"gate\":{\"gate\":\"g@2\",\"policy\":{},\"old\":{\"predictions\":\"prd_1\"},\"new\":null}}",
            "{\"type\":\"edit\",\"method\":\"x\",\"inputs\":{\"model\":\"d/m@" COMMIT
            "\"},\"options\":{},\"gate\":{\"policy\":\"g@2\",\"old_predictions\":\"prd_1\"}}");
}

static void what_is_none(void **state)
{
    (void)state;
    const struct {
        const char *inputs, *pointer;
    } t[] = {
        {"5", "#/inputs/0"},
        {IN("friend", "d/a", ""), "#/inputs/0/role"},
        {IN("old_base", "d/a", ""), "#/inputs/0/role"}, /* beside no model */
        {IN("model", "d/a", "") "," IN("input", "d/a", ""), "#/inputs/1/role"},
        {"{\"role\":\"model\",\"model\":\"d/a\"}", "#/inputs/0/commit"},
        {"{\"role\":\"model\",\"commit\":\"" COMMIT "\"}", "#/inputs/0/model"},
        {IN("model", "d/a", ",\"weight\":1"), "#/inputs/0/weight"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[600];
        snprintf(text, sizeof text, "{\"type\":\"merge\",\"method\":\"x\",\"inputs\":[%s]}", t[i].inputs);
        json_auto_t *r = json_loads(text, 0, NULL);
        struct am_faults f = {0};
        json_auto_t *b = am_recipe_body(r, &f);
        assert_non_null(b);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.v[0].pointer, t[i].pointer);
        am_faults_done(&f);
    }
}

static void pointers(void **state)
{
    (void)state;
    char role[] = "model";
    struct am_body_input in[] = {{.role = "base", .pointer = "#/inputs/base"},
                                 {.role = role, .pointer = "#/inputs/models/0/version"},
                                 {.role = "old_base", .pointer = "#/inputs/models/0/base"},
                                 {.role = role, .pointer = "#/inputs/models/1/version"}};
    const struct am_body b = {.input = in, .inputs = 4};
    const char *const t[][2] = {{"#/inputs/base", "#/inputs/0"},
                                {"#/inputs/models/0/version", "#/inputs/1/commit"},
                                {"#/inputs/models/0/params/weight", "#/inputs/1/params/weight"},
                                {"#/inputs/models/0/base", "#/inputs/2"},
                                {"#/inputs/models/1/version", "#/inputs/3/commit"},
                                {"#/inputs/models/10/version", "#/inputs/models/10/version"},
                                {"#/params/lambda", "#/params/lambda"},
                                {"", ""}};
    struct am_faults f = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        am_fault_add(&f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = t[i][0]}, "x");
    am_recipe_pointers(&f, &b);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_string_equal(f.v[i].pointer, t[i][1]);
    am_faults_done(&f);
}

static void jobs_as_inputs(void **state)
{
    (void)state;
    accept("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[" JOB ",{\"version\":{\"job\":"
           "\"job_fedcba9876543210fedcba9876543210\"},\"params\":{\"weight\":2}},\"d/c\"]},\"params\":{\"weight\":1},"
           "\"publish\":{\"model\":\"d/out\"}}");
    assert_string_equal(checked.input[0].job, "job_0123456789abcdef0123456789abcdef");
    assert_string_equal(checked.input[0].pointer, "#/inputs/models/0");
    assert_null(checked.input[0].ref);
    assert_string_equal(checked.input[1].job, "job_fedcba9876543210fedcba9876543210");
    assert_string_equal(checked.input[1].pointer, "#/inputs/models/1/version");
    assert_null(checked.input[2].job);
    assert_true(checked.reuse); /* needs no data */
    accept("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":" JOB "},\"params\":{\"sparsity\":0.5},"
           "\"options\":{\"reuse\":false}}");
    assert_string_equal(checked.input[0].job, "job_0123456789abcdef0123456789abcdef");
    assert_false(checked.reuse);
#define EDIT(model)                                                                                                    \
    "{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":" model "},\"params\":{\"sparsity\":0.5}}"
    refuse1(EDIT("{\"job\":\"job_1\"}"), "invalid-params", "#/inputs/model/job", "job", "32 hex digits");
    refuse1(EDIT("{\"job\":7}"), "invalid-request", "#/inputs/model/job", NULL, "expected a text");
    refuse1(EDIT("{}"), "invalid-request", "#/inputs/model/job", NULL, "missing");
    refuse1(MERGE("{\"models\":[" JOB "," JOB "]}", ""), "invalid-params", "#/inputs/models/1", "duplicate-input",
            "listed twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_place), cmocka_unit_test(what_is_none),
                                       cmocka_unit_test(pointers), cmocka_unit_test(jobs_as_inputs)};
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    done();
    return failed;
}
