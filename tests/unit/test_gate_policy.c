/*
 * test_gate_policy.c - policies as JSON: all faults of one at once, and their long form. What is decided by them is
 * test_gate.c.
 */
#include "core/base/text.h"
#include "core/table/canon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gate_fixture.h"

/* The pointers of all faults, one a line, in the order they are found. */
static char *pointers(const char *policy, int *ret_rc)
{
    static char out[4096];
    struct am_policy p;
    struct am_faults f = {0};
    json_t *json = json_loads(policy, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    *ret_rc = am_policy_read(&p, json, "#/gate", &f);
    out[0] = '\0';
    for (size_t i = 0; i < f.n; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s %s\n", f.v[i].pointer, f.v[i].detail);
    am_faults_done(&f);
    json_decref(json);
    return out;
}

static void faults(void **state)
{
    (void)state;
    int rc;
    const char *seven =
        "{\"min_sampels\":300,\"min_ids_matched\":1.5,\"fnr_max\":0.02,\"rules\":["
        "{\"id\":\"a\",\"value\":\"nfr\",\"bound\":\"uper\",\"op\":\"=<\",\"limit\":0.01},"
        "{\"id\":\"a\",\"finite\":true},{\"id\":\"b\",\"any_of\":[{\"value\":\"nfr\",\"bound\":\"upper\","
        "\"op\":\"<=\"}]}]}";
    const char *got = pointers(seven, &rc);
    assert_string_equal(got, "#/gate/fnr_max no report has a value \"fnr\"; did you mean nfr_max?\n"
                             "#/gate/min_sampels unknown; did you mean min_samples?\n"
                             "#/gate/min_ids_matched min_ids_matched is a number from 0 to 1\n"
                             "#/gate/rules/0/bound bound is lower, upper or point, not \"uper\"\n"
                             "#/gate/rules/0/op op is one of > >= < <=, not \"=<\"\n"
                             "#/gate/rules/2/any_of/0/limit required member is missing; give a number\n"
                             "#/gate/rules/1/id two rules have the id \"a\"; a decision names rules by their ids\n");
    assert_true(rc < 0);
    static const struct {
        const char *policy, *pointer;
    } one[] = {
        {"3", "#/gate "},
        {"{}", "#/gate/rules "},
        {"{\"rules\":3}", "#/gate/rules "},
        {"{\"rules\":[3]}", "#/gate/rules/0 "},
        {"{\"nfr_max\":\"x\"}", "#/gate/nfr_max "},
        {"{\"nfr_max\":1,\"protected\":[{\"key\":\"a\"}]}", "#/gate/protected/0/value "},
        {"{\"rules\":[{\"id\":\"x\",\"finite\":true,\"limit\":1}]}", "#/gate/rules/0/limit "},
        {"{\"rules\":[{\"id\":\"x\",\"finite\":false}]}", "#/gate/rules/0/finite "},
        {"{\"rules\":[{\"finite\":true}]}", "#/gate/rules/0/id "},
        {"{\"rules\":[{\"id\":\"data\",\"finite\":true}]}", "#/gate/rules/0/id "},
        {"{\"rules\":[{\"id\":\"x\",\"any_of\":[]}]}", "#/gate/rules/0/any_of "},
        {"{\"rules\":[{\"id\":\"x\",\"any_of\":[{\"any_of\":[{\"finite\":true}]}]}]}",
         "#/gate/rules/0/any_of/0/any_of "},
        {"{\"rules\":[{\"id\":\"x\",\"value\":\"nfr\",\"between\":[1,0]}]}", "#/gate/rules/0/between "},
        {"{\"rules\":[{\"id\":\"x\",\"regression\":{\"alpha\":0.05}}]}", "#/gate/rules/0/regression "},
        {"{\"rules\":[{\"id\":\"x\",\"slice\":\"region=*\",\"regression\":{\"alpha\":1}}]}",
         "#/gate/rules/0/regression/alpha "},
        {"{\"rules\":[{\"id\":\"x\",\"slice\":\"region\",\"regression\":{\"alpha\":0.1}}]}", "#/gate/rules/0/slice "},
        {"{\"rules\":[{\"id\":\"x\",\"must_pass\":{\"dataset\":\"d\",\"mode\":\"all\"}}]}",
         "#/gate/rules/0/must_pass/mode "},
        {"{\"rules\":[{\"id\":\"x\",\"tasks\":[\"vision\"],\"finite\":true}]}", "#/gate/rules/0/tasks/0 "},
        {"{\"rules\":[{\"id\":\"x\",\"value\":\"nfr\",\"bound\":\"lower\",\"op\":\">\",\"limit\":0,\"noise_factor\":2}]"
         "}",
         "#/gate/rules/0/noise_factor "},
    };
    for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++) {
        got = pointers(one[i].policy, &rc);
        assert_true(rc < 0);
        if (!am_starts(got, one[i].pointer) || strchr(got, '\n') != strrchr(got, '\n'))
            fail_msg("%s gives %s", one[i].policy, got);
    }
}

/* The long form is a fixed point, and the example of the specification is the policy that is built in. */
static void long_form(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"nfr_max\":0.02}",
        "{\"protected\":[{\"key\":\"a\",\"value\":\"b\"}],\"rules\":[{\"id\":\"a\",\"tasks\":[\"generative\"],"
        "\"value\":"
        "\"x\",\"bound\":\"upper\",\"op\":\"<\",\"limit\":1,\"null_passes\":true,\"slice\":\"k=*\",\"regression\":"
        "{\"alpha\":0.05}},{\"id\":\"b\",\"any_of\":[{\"value\":\"y\",\"between\":[0,1]},{\"finite\":true}]},{\"id\":"
        "\"c\",\"must_pass\":{\"dataset\":\"d\",\"mode\":\"correct\"}},{\"id\":\"e\",\"leak_check\":true}]}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct am_policy p = read_good(texts[i]);
        json_t *once = am_policy_json(&p.policy);
        char *text = am_canon(once);
        struct am_policy q = read_good(text);
        json_t *twice = am_policy_json(&q.policy);
        assert_true(json_equal(once, twice));
        free(text);
        json_decref(once);
        json_decref(twice);
        am_policy_done(&p);
        am_policy_done(&q);
    }
    struct am_policy p = read_good("{\"nfr_max\":0.02}");
    json_t *once = am_policy_json(&p.policy);
    char *text = am_canon(once);
    assert_string_equal(text, "{\"description\":\"\",\"min_ids_matched\":0.99,\"min_samples\":300,\"protected\":[],"
                              "\"rules\":[{\"bound\":\"upper\",\"id\":\"nfr_max\",\"limit\":0.02,\"op\":\"<=\","
                              "\"value\":\"nfr\"}]}");
    free(text);
    json_decref(once);
    am_policy_done(&p);
    p = read_good(
        "{\"description\":\"default promotion gate\",\"min_samples\":300,\"min_ids_matched\":0.99,\"protected\":[],"
        "\"rules\":[{\"id\":\"non-inferior\",\"value\":\"accuracy_delta\",\"bound\":\"lower\",\"op\":\">\",\"limit\":"
        "-0.005},{\"id\":\"flips\",\"any_of\":[{\"value\":\"nfr\",\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.01,"
        "\"noise_factor\":1.5},{\"value\":\"relative_nfr\",\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.5}]},"
        "{\"id\":\"slices\",\"value\":\"nfr\",\"slice\":\"protected:*\",\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0."
        "02,"
        "\"regression\":{\"alpha\":0.05}},{\"id\":\"finite\",\"finite\":true},{\"id\":\"leak\",\"leak_check\":true}]}");
    json_t *spec = am_policy_json(&p.policy), *built_in = am_policy_json(&am_gate_default);
    size_t i, k;
    json_t *want, *have;
    json_array_foreach(json_object_get(spec, "rules"), i, want)
    {
        bool found = false;
        json_array_foreach(json_object_get(built_in, "rules"), k, have)
        {
            json_t *bare = json_deep_copy(have);
            json_object_del(bare,
                            "tasks"); /* says what a rule is for, which the example leaves to the text beside it */
            found = found || json_equal(bare, want);
            json_decref(bare);
        }
        if (!found)
            fail_msg("rule %s of the specification is not in the default policy", text_of(want, "id"));
    }
    json_decref(spec);
    json_decref(built_in);
    am_policy_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
        cmocka_unit_test(long_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
