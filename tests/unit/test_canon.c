/*
 * test_canon.c - canonical JSON against the worked examples of RFC 8785 and hashes from sha256sum; faults to and from
 * JSON.
 */
#include "core/table/canon.h"
#include "core/table/fault_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *in, const char *out)
{
    json_t *v = json_loads(in, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(v);
    char *text = am_canon(v);
    assert_non_null(text);
    assert_string_equal(text, out);
    free(text);
    json_decref(v);
}

static void test_rfc_example(void **state)
{
    (void)state;
    /* RFC 8785, 3.2.2 and 3.2.3 */
    expect("{\"numbers\":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"
           "\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\"literals\":[null,true,false]}",
           "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
           "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

static void test_numbers(void **state)
{
    (void)state;
    /* RFC 8785, appendix B */
    expect("[0.0,-0.0,5e-324,1.7976931348623157e308,9007199254740992,295147905179352830000.0,9.999999999999997e22,1e23,"
           "1e21,999999999999999900000.0,9.999999999999997e-7,0.000001,333333333.33333325,1424953923781206.2]",
           "[0,0,5e-324,1.7976931348623157e+308,9007199254740992,295147905179352830000,9.999999999999997e+22,1e+23,"
           "1e+21,999999999999999900000,9.999999999999997e-7,0.000001,333333333.33333325,1424953923781206.2]");
    expect("1.0", "1");
    expect("-17", "-17");
    expect("9223372036854775807", "9223372036854775807"); /* seeds keep their digits */
}

static void test_texts_and_order(void **state)
{
    (void)state;
    expect("\"\\b\\t\\n\\u000b\\f\\r\\u0000\\u001f\\u007f\"", "\"\\b\\t\\n\\u000b\\f\\r\\u0000\\u001f\x7f\"");
    expect("{\"b\":{\"z\":1,\"a\":[]},\"a\":{},\"B\":\"\",\"a_b\":1,\"a1\":2}",
           "{\"B\":\"\",\"a\":{},\"a1\":2,\"a_b\":1,\"b\":{\"a\":[],\"z\":1}}");
}

static void test_depth_has_a_ceiling(void **state)
{
    (void)state;
    json_t *v = json_array();
    for (int i = 0; i < 600; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, v);
        v = outer;
    }
    assert_null(am_canon(v));
    json_decref(v);
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[65];
    json_t *v = json_loads("{ \"b\" : 1.0, \"a\" : [ ] }", 0, NULL);
    assert_int_equal(am_canon_sha256(v, hex), 0);
    /* printf '{"a":[],"b":1}' | sha256sum */
    assert_string_equal(hex, "1c8f8816506a8ccbc55140d8a7bb70214a8942c7030fc0fc2914cec675cd1c15");
    json_decref(v);
}

static void test_faults(void **state)
{
    (void)state;
    struct am_faults f = {0}, back = {0};
    am_fault_add(&f, AM_E_SHAPE_MISMATCH,
                 (struct am_where){.pointer = "#/inputs/models/1", .reason = "shape", .tensor = "w"}, "differs by %d",
                 3);
    am_fault_add(&f, AM_E_UNKNOWN_MEMBER, (struct am_where){0}, "bytes \xff\xfe!");
    json_t *a = am_faults_to_json(&f);
    char *text = am_canon(a);
    assert_string_equal(text,
                        "[{\"code\":\"shape-mismatch\",\"detail\":\"differs by 3\",\"pointer\":\"#/inputs/models/1\","
                        "\"reason\":\"shape\",\"tensor\":\"w\"},"
                        "{\"code\":\"unknown-member\",\"detail\":\"bytes ?!\",\"pointer\":\"\"}]");
    assert_int_equal(am_fault_from_json(&back, json_array_get(a, 0)), 0);
    assert_int_equal(back.n, 1);
    assert_int_equal(back.v[0].code, AM_E_SHAPE_MISMATCH);
    assert_string_equal(back.v[0].tensor, "w");
    assert_string_equal(back.v[0].detail, "differs by 3");
    assert_null(back.v[0].file);
    free(text);
    json_decref(a);
    am_faults_done(&f);
    am_faults_done(&back);
}

static void test_no_faults(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]",
                                      "{}",
                                      "{\"code\":\"shape-mismatch\"}",
                                      "{\"code\":\"no-such-code\",\"detail\":\"x\"}",
                                      "{\"code\":5,\"detail\":\"x\"}",
                                      "{\"code\":\"shape-mismatch\",\"detail\":null}",
                                      "{\"code\":\"shape-mismatch\",\"detail\":\"x\",\"tensor\":5}"};
    struct am_faults f = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        json_t *v = json_loads(bad[i], 0, NULL);
        assert_int_equal(am_fault_from_json(&f, v), -AM_E_INVALID_REQUEST);
        json_decref(v);
    }
    assert_int_equal(f.n, 0);
    assert_int_equal(am_fault_from_json(&f, NULL), -AM_E_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_example),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts_and_order), cmocka_unit_test(test_depth_has_a_ceiling),
        cmocka_unit_test(test_sha256),          cmocka_unit_test(test_faults),
        cmocka_unit_test(test_no_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
