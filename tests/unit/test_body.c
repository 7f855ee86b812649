/*
 * test_body.c - the body of POST /v1/jobs: every fault with its pointer, every bound at the bound and just outside,
 * every default.
 */
#include "tests/unit/body_fixture.h"

static void test_merge_defaults(void **state)
{
    (void)state;
    accept("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[\"d/a@v1\",{\"version\":\"d/"
           "b\",\"params\":{\"weight\":2}}]},"
           "\"params\":{\"weight\":1},\"publish\":{\"model\":\"d/out\"}}");
    assert_string_equal(checked.type, "merge");
    assert_string_equal(checked.method, "linear");
    assert_int_equal(checked.inputs, 2);
    assert_int_equal(checked.donor, 0);
    assert_string_equal(checked.input[0].role, "model");
    assert_string_equal(checked.input[0].ref, "d/a@v1");
    assert_string_equal(checked.input[0].pointer, "#/inputs/models/0");
    assert_string_equal(checked.input[1].pointer, "#/inputs/models/1/version");
    json_t *w0 = json_object_get(checked.input[0].params, "weight"),
           *w1 = json_object_get(checked.input[1].params, "weight");
    assert_true(json_is_real(w0) && json_real_value(w0) == 1.0); /* the integer 1 became a real */
    assert_true(json_is_real(w1) && json_real_value(w1) == 2.0);
    assert_null(json_object_get(checked.params, "weight"));
    assert_true(json_is_true(json_object_get(checked.params, "normalize")));
    assert_int_equal(json_object_size(checked.params), 1);
    assert_int_equal(checked.priority, 50);
    assert_string_equal(checked.publish_model, "d/out");
    assert_string_equal(checked.branch, "main");
    assert_string_equal(checked.on_conflict, "append");
    assert_null(checked.message);
    assert_null(checked.if_head);
    assert_int_equal(json_array_size(checked.tags), 0);
    assert_int_equal(json_object_size(checked.metadata), 0);
    json_t *o =
        json_pack("{s:i,s:i,s:n,s:I}", "seed", 0, "threads", 0, "out_dtype", "shard_bytes", (json_int_t)5000000000);
    assert_true(json_equal(o, checked.options));
    json_decref(o);
}

static void test_merge_base(void **state)
{
    (void)state;
    accept(
        "{\"type\":\"merge\",\"method\":\"merge/task_arithmetic\",\"inputs\":{\"models\":[\"d/a\"],\"base\":\"d/a\"},"
        "\"params\":{\"weight\":0.5},\"publish\":{\"model\":\"d/out\",\"branch\":\"dev/"
        "x\",\"message\":\"m\",\"tags\":[\"t1\",\"t2\"],"
        "\"if_head\":\"0123456789012345678901234567890123456789\",\"on_conflict\":\"fail\"},\"priority\":0,"
        "\"metadata\":{\"k\":\"v\"},\"options\":{\"seed\":9223372036854775807,\"out_dtype\":\"bfloat16\"}}");
    assert_int_equal(checked.inputs, 2);
    assert_string_equal(checked.input[0].role, "base");
    assert_null(checked.input[0].params);
    assert_int_equal(checked.donor, 0);
    assert_true(json_is_real(json_object_get(checked.input[1].params, "density"))); /* default 1 -> 1.0 */
    assert_int_equal(json_object_size(checked.input[1].params), 2);
    assert_true(json_real_value(json_object_get(checked.params, "lambda")) == 1.0);
    assert_string_equal(json_string_value(json_object_get(checked.options, "out_dtype")), "BF16");
    assert_true(json_integer_value(json_object_get(checked.options, "seed")) == INT64_MAX);
    assert_string_equal(checked.branch, "dev/x");
    assert_string_equal(checked.on_conflict, "fail");
    assert_string_equal(checked.if_head, "0123456789012345678901234567890123456789");
    assert_int_equal(json_array_size(checked.tags), 2);
    assert_int_equal(checked.priority, 0);
}

static void test_unlearn_and_edit(void **state)
{
    (void)state;
    accept("{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"d/"
           "m@prod\",\"task\":{\"version\":\"d/ft\"}},"
           "\"params\":{\"lambda\":1}}");
    assert_int_equal(checked.inputs, 3);
    assert_string_equal(checked.input[0].role, "input");
    assert_string_equal(checked.input[1].role, "patch");
    assert_string_equal(checked.input[1].pointer, "#/inputs/task/version");
    assert_string_equal(checked.input[2].role, "old_base");
    assert_string_equal(checked.input[2].ref, "d/m@prod");
    assert_string_equal(checked.on_conflict, "detach");
    assert_null(checked.publish_model);
    accept("{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"d/m\",\"task\":{\"version\":\"d/"
           "ft\",\"base\":\"d/b@v2\"}},"
           "\"params\":{\"lambda\":0}}");
    assert_string_equal(checked.input[2].ref, "d/b@v2");
    assert_string_equal(checked.input[2].pointer, "#/inputs/task/base");
    accept("{\"type\":\"unlearn\",\"method\":\"noise\",\"inputs\":{\"model\":\"d/m\"}}");
    accept("{\"type\":\"edit\",\"method\":\"edit/sparsify\",\"inputs\":{\"model\":\"d/"
           "m\"},\"params\":{\"sparsity\":0.5,\"rounds\":3.0}}");
    assert_int_equal(checked.inputs, 1);
    assert_true(json_is_integer(json_object_get(checked.params, "rounds")));
    assert_int_equal(json_object_size(checked.params), 6);
    assert_string_equal(json_string_value(json_object_get(checked.params, "scope")), "tensor");
    assert_true(json_is_real(json_object_get(checked.params, "power")));
}

static void test_seven_faults_at_once(void **state)
{
    (void)state;
    static const struct want want[] = {
        {"invalid-params", "#/priority", "parameter-range", "priority = 101 is outside [0, 100]"},
        {"unknown-member", "#/gates", NULL, "did you mean gate?"},
        {"invalid-params", "#/inputs/models/0", "parameter-missing", "set it at #/inputs/models/0/params/weight"},
        {"unknown-member", "#/inputs/models/1/params/densty", "unknown-parameter", "did you mean density?"},
        {"invalid-params", "#/inputs/models/1/params/weight", "setting-shape", "weight: expected a number, got a text"},
        {"missing-input", "#/inputs/base", "base-required", "task_arithmetic needs base"},
        {"invalid-params", "#/publish/branch", NULL, "\"a..b\""},
        {"dtype-unsupported", "#/options/out_dtype", "dtype", "dtype I8 cannot be stored; use F32, F16 or BF16"},
    };
    refuse("{\"priority\":101,\"gates\":\"default\",\"type\":\"merge\",\"method\":\"task_arithmetic\",\"inputs\":{"
           "\"models\":[\"d/a\","
           "{\"version\":\"d/b\",\"params\":{\"densty\":1,\"weight\":\"1\"}}]},\"publish\":{\"model\":\"d/"
           "out\",\"branch\":\"a..b\"},"
           "\"options\":{\"out_dtype\":\"I8\"}}",
           want, sizeof(want) / sizeof(*want));
    assert_int_equal(am_faults_worst(&faults),
                     -AM_E_INVALID_PARAMS); /* the first of the most severe status, in document order */
}

static void test_unknown_members(void **state)
{
    (void)state;
    static const struct want want[] = {
        {"unknown-member", "#/inputs/modles", NULL, "did you mean models?"},
        {"unknown-member", "#/inputs/models/0/param", NULL, "did you mean params?"},
        {"unknown-member", "#/params/normalise", "unknown-parameter",
         "did you mean normalize? It takes: weight, normalize"},
        {"unknown-member", "#/options/thread", NULL, "did you mean threads?"},
        {"unknown-member", "#/publish/tag", NULL, "did you mean tags?"},
        {"unknown-member", "#/colours", NULL, "unknown; known here"},
        {"unknown-member", "#/metdata", NULL, "did you mean metadata?"},
    };
    refuse("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"modles\":[],\"models\":[{\"version\":\"d/"
           "a\",\"param\":{}}]},"
           "\"params\":{\"normalise\":true,\"weight\":1},\"options\":{\"thread\":1},\"publish\":{\"model\":\"d/"
           "o\",\"tag\":[]},"
           "\"colours\":\"x\",\"metdata\":{}}",
           want, sizeof(want) / sizeof(*want));
    refuse1("{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"d/"
            "m\",\"task\":{\"version\":\"d/f\",\"bases\":\"d/x\"}},"
            "\"params\":{\"lambda\":1}}",
            "unknown-member", "#/inputs/task/bases", NULL, "did you mean base?");
    refuse1("{\"type\":\"unlearn\",\"method\":\"noise\",\"inputs\":{\"model\":\"d/m\",\"forget\":{}}}",
            "unknown-member", "#/inputs/forget", NULL, "known here: model, task");
    refuse1("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":\"d/"
            "m\",\"edits\":[]},\"params\":{\"sparsity\":0}}",
            "unknown-member", "#/inputs/edits", NULL, "known here: model");
    refuse1("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[{\"version\":\"d/"
            "a\",\"params\":{\"weight\":1,\"normalize\":true}}]},"
            "\"publish\":{\"model\":\"d/o\"}}",
            "unknown-member", "#/inputs/models/0/params/normalize", "unknown-parameter", "give it in #/params");
}

static void test_type_and_method(void **state)
{
    (void)state;
    refuse1("{\"type\":\"adapt\",\"method\":\"ewc\",\"inputs\":{}}", "unknown-method", "#/type", "unknown-method",
            "this version has no adapt methods; it has: edit, merge, unlearn");
    refuse1("{\"type\":\"adapt\",\"method\":\"x\",\"inputs\":{}}", "unknown-method", "#/type", "unknown-method",
            "no adapt");
    refuse1("{\"type\":\"select\",\"method\":\"x\",\"inputs\":{}}", "unknown-method", "#/type", "unknown-method",
            "no select");
    refuse1("{\"type\":\"mrge\",\"method\":\"x\",\"inputs\":{}}", "unknown-method", "#/type", "unknown-method",
            "did you mean merge?");
    refuse1("{\"type\":\"zzzzzz\",\"method\":\"x\",\"inputs\":{}}", "unknown-method", "#/type", "unknown-method",
            "known: edit, merge, unlearn");
    refuse1("{\"type\":\"edit\",\"method\":\"task-arith\",\"inputs\":{\"model\":\"d/m\"}}", "unknown-method",
            "#/method", "unknown-method", "known: sparsify");
    refuse1("{\"type\":\"merge\",\"method\":\"task-arithmetic\",\"inputs\":{\"models\":[\"d/"
            "m\"]},\"publish\":{\"model\":\"d/o\"}}",
            "unknown-method", "#/method", "unknown-method", "did you mean task_arithmetic?");
    refuse1("{\"type\":\"edit\",\"method\":\"merge/linear\",\"inputs\":{\"model\":\"d/m\"}}", "unknown-method",
            "#/method", "unknown-method", "is of type merge, and type is edit");
    refuse1("{\"method\":\"unlearn/noise\",\"inputs\":{\"model\":\"d/m\"}}", "invalid-request", "#/type", NULL,
            "required");
    /* an unknown method still has its other members checked */
    static const struct want want[] = {
        {"unknown-method", "#/method", "unknown-method", "known: linear, slerp, task_arithmetic"},
        {"invalid-params", "#/inputs/models/0", "ref-syntax", "nothing follows"},
        {"invalid-params", "#/options/threads", "parameter-range", NULL},
        {"invalid-request", "#/publish/model", NULL, "a merge needs publish.model"}};
    refuse("{\"type\":\"merge\",\"method\":\"zzzzzzzz\",\"inputs\":{\"models\":[\"d/"
           "a@\"]},\"params\":{\"x\":1},\"options\":{\"threads\":0}}",
           want, 4);
    static const struct want empty[] = {{"invalid-request", "#/type", NULL, "required"},
                                        {"invalid-request", "#/method", NULL, "required"},
                                        {"invalid-request", "#/inputs", NULL, "required"}};
    refuse("{}", empty, 3);
    refuse1("[]", "invalid-request", "#", NULL, "expected an object, got a list");
    static const struct want kinds[] = {
        {"invalid-request", "#/type", NULL, "got a number"},     {"invalid-request", "#/method", NULL, "got null"},
        {"invalid-request", "#/inputs", NULL, "got a list"},     {"invalid-request", "#/params", NULL, "got a text"},
        {"invalid-request", "#/options", NULL, "got true"},      {"invalid-request", "#/publish", NULL, "got false"},
        {"invalid-request", "#/metadata", NULL, "got a number"}, {"invalid-request", "#/priority", NULL, "got a text"}};
    refuse("{\"type\":1,\"method\":null,\"inputs\":[],\"params\":\"\",\"options\":true,\"publish\":false,\"metadata\":"
           "1,\"priority\":\"1\"}",
           kinds, 8);
}

/* The caller goes on with what could be read, to find the faults that only the store knows. */
static void test_inputs_survive_other_faults(void **state)
{
    (void)state;
    assert_true(check("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[\"d/a\",\"d/"
                      "b\"]},\"params\":{\"wieght\":1}}") < 0);
    assert_int_equal(checked.inputs, 2);
    assert_string_equal(checked.input[1].ref, "d/b");
    assert_non_null(checked.row);
}

static void test_inputs(void **state)
{
    (void)state;
    refuse1(MERGE("{}", ""), "invalid-request", "#/inputs/models", NULL, "required");
    refuse1(MERGE("{\"models\":{}}", ""), "invalid-request", "#/inputs/models", NULL, "expected a list");
    refuse1(MERGE("{\"models\":[]}", ""), "invalid-params", "#/inputs/models", "input-count",
            "linear takes at least 1 models, got 0");
    refuse1(MERGE("{\"models\":[5]}", ""), "invalid-request", "#/inputs/models/0", NULL, "got a number");
    refuse1(MERGE("{\"models\":[{}]}", ""), "invalid-request", "#/inputs/models/0/version", NULL, "required");
    refuse1(MERGE("{\"models\":[{\"version\":\"d/a\",\"params\":[]}]}", ""), "invalid-request",
            "#/inputs/models/0/params", NULL, "expected an object");
    refuse1(MERGE("{\"models\":[\"d/a\",\"d/b\",{\"version\":\"d/a@main\"}]}", ""), "invalid-params",
            "#/inputs/models/2/version", "duplicate-input", "also at #/inputs/models/0");
    accept(MERGE("{\"models\":[\"d/a\",\"d/a@v1\",\"d/a@v2\"]}", ""));
    refuse1(MERGE("{\"base\":7,\"models\":[\"d/a\"]}", ""), "invalid-request", "#/inputs/base", NULL, "got a number");
    refuse1("{\"type\":\"merge\",\"method\":\"slerp\",\"inputs\":{\"models\":[\"d/"
            "a\"]},\"params\":{\"t\":0.5},\"publish\":{\"model\":\"d/o\"}}",
            "invalid-params", "#/inputs/models", "input-count", "slerp takes exactly 2 models, got 1");
    refuse1("{\"type\":\"merge\",\"method\":\"slerp\",\"inputs\":{\"base\":\"d/x\",\"models\":[\"d/a\",\"d/"
            "b\"]},\"params\":{\"t\":0.5},"
            "\"publish\":{\"model\":\"d/o\"}}",
            "invalid-params", "#/inputs/base", "base-forbidden", "slerp takes no base");
    refuse1(
        "{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"d/m\"},\"params\":{\"lambda\":1}}",
        "missing-input", "#/inputs/task", NULL, "task_negation needs task");
    refuse1("{\"type\":\"unlearn\",\"method\":\"noise\",\"inputs\":{\"model\":\"d/m\",\"task\":{\"version\":\"d/f\"}}}",
            "invalid-params", "#/inputs/task", NULL, "noise takes no task");
    refuse1("{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"d/"
            "m\",\"task\":{}},\"params\":{\"lambda\":1}}",
            "invalid-request", "#/inputs/task/version", NULL, "required");
    refuse1("{\"type\":\"unlearn\",\"method\":\"task_negation\",\"inputs\":{\"model\":\"bad\",\"task\":{\"version\":"
            "\"d/f\"}},"
            "\"params\":{\"lambda\":1}}",
            "invalid-params", "#/inputs/model", "ref-syntax", NULL); /* told once, though old_base repeats it */
    refuse1("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{},\"params\":{\"sparsity\":0}}", "invalid-request",
            "#/inputs/model", NULL, "required");
}

static void models(size_t n, char *out, size_t cap)
{
    size_t k = (size_t)snprintf(out, cap, "{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[");
    for (size_t i = 0; i < n; i++)
        k += (size_t)snprintf(out + k, cap - k, "%s\"d/m%zu\"", i ? "," : "", i);
    snprintf(out + k, cap - k, "]},\"params\":{\"weight\":1},\"publish\":{\"model\":\"d/o\"}}");
}

static void test_a_hundred_models(void **state)
{
    (void)state;
    static char text[8192];
    models(100, text, sizeof(text));
    accept(text);
    assert_int_equal(checked.inputs, 100);
    models(101, text, sizeof(text));
    refuse1(text, "invalid-params", "#/inputs/models", "input-count", "at most 100 models, got 101");
}

static void edit_param(const char *param, const char *value, const char *code, const char *pointer, const char *reason)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":\"d/m\"},\"params\":{%s\"%s\":%s}}",
             strcmp(param, "sparsity") ? "\"sparsity\":0.5," : "", param, value);
    if (code)
        refuse1(text, code, pointer, reason, NULL);
    else
        accept(text);
}

static void test_param_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *param, *good[4], *range[5], *shape[5];
    } t[] = {
        {"sparsity",
         {"0", "0.999999999", "-0.0"},
         {"1", "1.0", "-1e-300", "2"},
         {"\"0.5\"", "true", "null", "[0.5]", "{}"}},
        {"power", {"1e-300", "3.4028234663852886e38", "5"}, {"0", "-1", "3.5e38", "1e308"}, {"\"1\"", "false"}},
        {"rounds", {"1", "8", "2.0"}, {"0", "9", "1.5", "1e300", "-1"}, {"\"2\"", "null", "[1]"}},
        {"scope", {"\"tensor\"", "\"model\""}, {"\"Tensor\"", "\"\""}, {"1", "null", "[\"tensor\"]"}},
        {"note", {"\"\"", "\"x\""}, {NULL}, {"5", "null", "[]"}},
        {"include", {"[]", "[\"a\",\"*\"]"}, {NULL}, {"\"*\"", "{}", "null"}},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
        char at[64];
        snprintf(at, sizeof(at), "#/params/%s", t[i].param);
        for (size_t k = 0; k < 4 && t[i].good[k]; k++)
            edit_param(t[i].param, t[i].good[k], NULL, NULL, NULL);
        for (size_t k = 0; k < 5 && t[i].range[k]; k++)
            edit_param(t[i].param, t[i].range[k], "invalid-params", at, "parameter-range");
        for (size_t k = 0; k < 5 && t[i].shape[k]; k++)
            edit_param(t[i].param, t[i].shape[k], "invalid-params", at, "setting-shape");
    }
    edit_param("include", "[\"a\",5]", "invalid-params", "#/params/include/1", "setting-shape");
    refuse1("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":\"d/m\"}}", "invalid-params",
            "#/params/sparsity", "parameter-missing", "sparsify needs sparsity; set it at #/params/sparsity");
    refuse1("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":\"d/m\"},\"params\":{\"sparsity\":1}}",
            "invalid-params", "#/params/sparsity", "parameter-range", "sparsity = 1 is outside [0, 1)");
    refuse1("{\"type\":\"edit\",\"method\":\"sparsify\",\"inputs\":{\"model\":\"d/"
            "m\"},\"params\":{\"sparsity\":0,\"scope\":\"modell\"}}",
            "invalid-params", "#/params/scope", "parameter-range", "none of: tensor, model");
}

static void test_per_input(void **state)
{
    (void)state;
    /* a wrong value for all is told once, not again for each model */
    refuse1("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[\"d/a\",\"d/"
            "b\"]},\"params\":{\"weight\":1000001},"
            "\"publish\":{\"model\":\"d/o\"}}",
            "invalid-params", "#/params/weight", "parameter-range", "[-1000000, 1000000]");
    refuse1("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[{\"version\":\"d/"
            "a\",\"params\":{\"weight\":[]}},"
            "{\"version\":\"d/b\",\"params\":{\"weight\":1}}]},\"publish\":{\"model\":\"d/o\"}}",
            "invalid-params", "#/inputs/models/0/params/weight", "setting-shape",
            "weight: expected a number, a list of numbers, or a list of {\"filter\", \"value\"}");
    refuse1("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[{\"version\":\"d/"
            "a\",\"params\":{\"weight\":1}},\"d/b@v2\"]},"
            "\"publish\":{\"model\":\"d/o\"}}",
            "invalid-params", "#/inputs/models/1", "parameter-missing", "linear needs weight for d/b@v2");
}

#define WEIGHTS(a, b, normalize)                                                                                       \
    "{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[{\"version\":\"d/a\",\"params\":{\"weight\":" a \
    "}},{\"version\":\"d/b\",\"params\":{\"weight\":" b "}}]},\"params\":{\"normalize\":" normalize                    \
    "},\"publish\":{\"model\":\"d/o\"}}"

static void test_sum_not_zero(void **state)
{
    (void)state;
    refuse1(WEIGHTS("1", "-1", "true"), "invalid-params", "#/inputs/models", "weights-sum-zero",
            "set normalize to false");
    refuse1(WEIGHTS("0.5", "-0.499999995", "true"), "invalid-params", "#/inputs/models", "weights-sum-zero",
            NULL);                                 /* 5e-9 */
    accept(WEIGHTS("0.5", "-0.49999998", "true")); /* 2e-8 */
    accept(WEIGHTS("1", "-1", "false"));
}

static void option(const char *member, const char *code, const char *pointer)
{
    char text[512];
    snprintf(text, sizeof(text), MERGE("{\"models\":[\"d/a\"]}", ",\"options\":{%s}"), member);
    if (!code) {
        accept(text);
        return;
    }
    assert_true(check(text) < 0);
    assert_int_equal(faults.n, 1);
    assert_string_equal(am_err_slug(faults.v[0].code), code);
    assert_string_equal(faults.v[0].pointer, pointer);
}

static void test_options(void **state)
{
    (void)state;
    static const char *const good[] = {"\"threads\":1",
                                       "\"threads\":64",
                                       "\"seed\":0",
                                       "\"shard_bytes\":0",
                                       "\"shard_bytes\":50000000000",
                                       "\"out_dtype\":null",
                                       "\"out_dtype\":\"F32\"",
                                       "\"out_dtype\":\"float16\""};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        option(good[i], NULL, NULL);
    assert_string_equal(json_string_value(json_object_get(checked.options, "out_dtype")), "F16");
    option("\"max_attempts\":10,\"time_limit_seconds\":1,\"not_before\":\"1970-01-01T01:00:02+01:00\"", NULL, NULL);
    assert_int_equal(checked.max_attempts, 10);
    assert_int_equal(checked.time_limit_seconds, 1);
    assert_int_equal(checked.not_before, 2000);
    /* they change no byte of the result, so the recipe does not name them */
    assert_null(json_object_get(checked.options, "max_attempts"));
    assert_null(json_object_get(checked.options, "time_limit_seconds"));
    assert_null(json_object_get(checked.options, "not_before"));
    option("\"seed\":1", NULL, NULL);
    assert_int_equal(checked.max_attempts + checked.time_limit_seconds + checked.not_before, 0);
    option("\"max_attempts\":0", "invalid-params", "#/options/max_attempts");
    option("\"max_attempts\":11", "invalid-params", "#/options/max_attempts");
    option("\"time_limit_seconds\":0", "invalid-params", "#/options/time_limit_seconds");
    option("\"time_limit_seconds\":1e9", "invalid-params", "#/options/time_limit_seconds");
    option("\"not_before\":\"2026-11-23\"", "invalid-params", "#/options/not_before");
    option("\"not_before\":1795398490", "invalid-request", "#/options/not_before");
    option("\"threads\":0", "invalid-params", "#/options/threads");
    option("\"threads\":65", "invalid-params", "#/options/threads");
    option("\"threads\":null", "invalid-request", "#/options/threads");
    option("\"seed\":-1", "invalid-params", "#/options/seed");
    option("\"seed\":0.5", "invalid-params", "#/options/seed");
    option("\"shard_bytes\":-1", "invalid-params", "#/options/shard_bytes");
    option("\"shard_bytes\":50000000001", "invalid-params", "#/options/shard_bytes");
    option("\"out_dtype\":\"f32\"", "dtype-unsupported", "#/options/out_dtype");
    option("\"out_dtype\":\"F64\"", "dtype-unsupported", "#/options/out_dtype");
    option("\"out_dtype\":32", "invalid-request", "#/options/out_dtype");
}

/* A job that makes a version names the sides beside the policy; refs move when it says so. */
static void test_gate(void **state)
{
    (void)state;
#define PRD(c) "prd_0123456789abcdef0123456789abcde" c
    accept(MERGE("{\"models\":[\"d/a\"]}",
                 ",\"gate\":{\"nfr_max\":0.1,\"against\":\"d/o@prod\",\"old_predictions\":\"" PRD(
                     "0") "\",\"new_predictions\":\"" PRD("1") "\"}"));
    assert_string_equal(checked.gate_against, "d/o@prod");
    assert_string_equal(checked.gate_set[0], PRD("0"));
    assert_string_equal(checked.gate_set[1], PRD("1"));
    assert_string_equal(checked.gate_at, "#/gate");
    assert_int_equal(json_object_size(checked.gate_policy), 1); /* the sides are none of the policy's */
    accept(MERGE("{\"models\":[\"d/a\"]}", ",\"gate\":{\"policy\":{\"nfr_max\":0.1}}"));
    assert_string_equal(checked.gate_at, "#/gate/policy");
    accept(MERGE("{\"models\":[\"d/a\"]}", ",\"gate\":null"));
    assert_null(checked.gate_policy);
    assert_int_equal(json_array_size(checked.move), 0);
    refuse1(MERGE("{\"models\":[\"d/a\"]}", ",\"gate\":{\"policy\":\"x\",\"old_predictions\":\"p\"}"), "invalid-params",
            "#/gate/old_predictions", NULL, "prd_");
    refuse1(MERGE("{\"models\":[\"d/a\"]}", ",\"gate\":{\"policy\":\"x\",\"against\":\"d\"}"), "invalid-params",
            "#/gate/against", NULL, NULL);
    refuse1(MERGE("{\"models\":[\"d/a\"]}", ",\"gate\":{\"policy\":\"x\",\"nfr_max\":1}"), "unknown-member",
            "#/gate/nfr_max", NULL, NULL);
    refuse1("{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[\"d/a\"]},\"params\":{\"weight\":1},"
            "\"gate\":\"x\",\"publish\":{\"model\":\"d/o\",\"tags\":[\"t\"],\"move\":[{\"ref\":\"t\"}]}}",
            "invalid-params", "#/publish/move/0/ref", NULL, "a tag that the job makes");
}

static void test_many_faults_are_counted(void **state)
{
    (void)state;
    static char text[16384];
    size_t n = (size_t)snprintf(
        text, sizeof(text), "{\"type\":\"unlearn\",\"method\":\"noise\",\"inputs\":{\"model\":\"d/m\"},\"params\":{");
    for (int i = 0; i < 250; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"p%d\":0", i ? "," : "", i);
    snprintf(text + n, sizeof(text) - n, "}}");
    assert_int_equal(check(text), -AM_E_UNKNOWN_MEMBER);
    assert_int_equal(faults.n, AM_FAULTS_MAX);
    assert_int_equal(faults.total, 250);
}

static void test_last(void **state)
{
    (void)state;
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_defaults),
        cmocka_unit_test(test_merge_base),
        cmocka_unit_test(test_unlearn_and_edit),
        cmocka_unit_test(test_seven_faults_at_once),
        cmocka_unit_test(test_unknown_members),
        cmocka_unit_test(test_type_and_method),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_inputs_survive_other_faults),
        cmocka_unit_test(test_a_hundred_models),
        cmocka_unit_test(test_param_bounds),
        cmocka_unit_test(test_per_input),
        cmocka_unit_test(test_sum_not_zero),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_many_faults_are_counted),
        cmocka_unit_test(test_last),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
