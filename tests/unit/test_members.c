/*
 * test_members.c - known members, typed members, pointers of strange names, order of faults.
 */
#include "core/table/json_util.h"
#include "core/table/members.h"
#include "core/table/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *load(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    return v;
}

static void expect_fault(const struct am_faults *f, size_t i, int code, const char *pointer, const char *detail)
{
    assert_true(i < f->n);
    assert_int_equal(f->v[i].code, code);
    assert_string_equal(f->v[i].pointer, pointer);
    assert_string_equal(f->v[i].detail, detail);
}

static void test_known(void **state)
{
    (void)state;
    static const char *const known[] = {"threads", "seed", NULL};
    struct am_faults f = {0};
    json_t *o = load("{\"seed\":1,\"thread\":2,\"zzz\":3,\"a/b~c d\":4}");
    am_members_known(o, "#/options", known, &f);
    assert_int_equal(f.n, 3);
    expect_fault(&f, 0, AM_E_UNKNOWN_MEMBER, "#/options/thread", "unknown; did you mean threads?");
    expect_fault(&f, 1, AM_E_UNKNOWN_MEMBER, "#/options/zzz", "unknown; known here: threads, seed");
    expect_fault(&f, 2, AM_E_UNKNOWN_MEMBER, "#/options/a~1b~0c%20d", "unknown; known here: threads, seed");
    am_members_known(NULL, "#", known, &f);
    assert_int_equal(f.n, 3);
    am_faults_done(&f);
    json_decref(o);
}

static void test_long_name_is_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const known[] = {"seed", NULL};
    struct am_faults f = {0};
    char name[400], at[AM_POINTER], shown[AM_SHOWN];
    for (int i = 0; i < 133; i++)
        memcpy(name + 3 * i, "\xe2\x82\xac", 3);
    name[399] = 0;
    json_t *o = json_object();
    json_object_set_new(o, name, json_null());
    am_members_known(o, "#", known, &f);
    assert_int_equal(f.n, 1);
    assert_string_equal(am_pointer(at, "#", name), f.v[0].pointer);
    assert_int_equal(strlen(at), 2 + 33 * 9); /* 99 of 100 bytes: the 34th character would be cut in two */
    assert_int_equal(strlen(am_shown(shown, name)), 99 + 3);
    am_faults_done(&f);
    json_decref(o);
}

static void test_ints(void **state)
{
    (void)state;
    struct am_faults f = {0};
    json_t *o =
        load("{\"a\":1,\"b\":64,\"c\":0,\"d\":65,\"e\":2.0,\"f\":2.5,\"g\":\"2\",\"h\":null,\"i\":1e300,\"j\":true}");
    assert_int_equal(am_member_int(o, "#", "a", 1, 64, 9, &f), 1);
    assert_int_equal(am_member_int(o, "#", "b", 1, 64, 9, &f), 64);
    assert_int_equal(am_member_int(o, "#", "e", 1, 64, 9, &f), 2);
    assert_int_equal(am_member_int(o, "#", "none", 1, 64, 9, &f), 9);
    assert_int_equal(f.n, 0);
    const char *bad[] = {"c", "d", "f", "g", "h", "i", "j"};
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(am_member_int(o, "#", bad[i], 1, 64, 9, &f), 9);
    assert_int_equal(f.n, 7);
    expect_fault(&f, 0, AM_E_INVALID_PARAMS, "#/c", "c = 0 is outside [1, 64]");
    expect_fault(&f, 1, AM_E_INVALID_PARAMS, "#/d", "d = 65 is outside [1, 64]");
    expect_fault(&f, 2, AM_E_INVALID_PARAMS, "#/f", "f must be a whole number");
    expect_fault(&f, 3, AM_E_INVALID_REQUEST, "#/g", "expected a whole number, got a text");
    expect_fault(&f, 4, AM_E_INVALID_REQUEST, "#/h", "expected a whole number, got null");
    expect_fault(&f, 5, AM_E_INVALID_PARAMS, "#/i", "i must be a whole number");
    expect_fault(&f, 6, AM_E_INVALID_REQUEST, "#/j", "expected a whole number, got true");
    am_faults_done(&f);
    json_decref(o);
}

static void test_other_kinds(void **state)
{
    (void)state;
    struct am_faults f = {0};
    json_t *o = load("{\"t\":\"x\",\"n\":5,\"o\":{},\"a\":[],\"y\":true}");
    assert_string_equal(am_member_text(o, "#", "t", true, NULL, &f), "x");
    assert_string_equal(am_member_text(o, "#", "none", false, "d", &f), "d");
    assert_true(am_member_bool(o, "#", "y", false, &f));
    assert_true(am_member_bool(o, "#", "none", true, &f));
    assert_non_null(am_member_object(o, "#", "o", true, &f));
    assert_null(am_member_object(o, "#", "none", false, &f));
    assert_non_null(am_member_array(o, "#", "a", true, &f));
    assert_int_equal(f.n, 0);
    assert_null(am_member_text(o, "#", "none", true, NULL, &f));
    assert_null(am_member_text(o, "#", "n", false, NULL, &f));
    assert_false(am_member_bool(o, "#", "n", false, &f));
    assert_null(am_member_object(o, "#", "a", false, &f));
    assert_null(am_member_array(o, "#", "o", false, &f));
    assert_null(am_member_array(o, "#", "none", true, &f));
    assert_int_equal(f.n, 6);
    expect_fault(&f, 0, AM_E_INVALID_REQUEST, "#/none", "required member is missing; give a text");
    expect_fault(&f, 1, AM_E_INVALID_REQUEST, "#/n", "expected a text, got a number");
    expect_fault(&f, 2, AM_E_INVALID_REQUEST, "#/n", "expected true or false, got a number");
    expect_fault(&f, 3, AM_E_INVALID_REQUEST, "#/a", "expected an object, got a list");
    expect_fault(&f, 4, AM_E_INVALID_REQUEST, "#/o", "expected a list, got an object");
    expect_fault(&f, 5, AM_E_INVALID_REQUEST, "#/none", "required member is missing; give a list");
    am_faults_done(&f);
    json_decref(o);
}

static void test_order(void **state)
{
    (void)state;
    static const char *const in[] = {"#/z", "#/b/1/x~1y", "#/a/10", "#/a/9", "#/missing", "#/b", "#/a/9/k", "#/b/0"};
    static const char *const out[] = {"#/b", "#/b/0", "#/b/1/x~1y", "#/a/9", "#/a/9/k", "#/a/10", "#/z", "#/missing"};
    struct am_faults f = {0};
    json_t *doc = load("{\"b\":[0,{\"x/y\":1}],\"a\":[0,1,2,3,4,5,6,7,8,{\"k\":1},10],\"z\":0}");
    am_fault_add(&f, AM_E_CONFLICT, (struct am_where){.pointer = "#/z"}, "stays first");
    for (size_t i = 0; i < 8; i++)
        am_fault_add(&f, AM_E_CONFLICT, (struct am_where){.pointer = in[i]}, "x");
    am_faults_order(&f, 1, doc);
    assert_string_equal(f.v[0].detail, "stays first");
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(f.v[1 + i].pointer, out[i]);
    am_faults_done(&f);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known), cmocka_unit_test(test_long_name_is_cut_at_a_character),
        cmocka_unit_test(test_ints),  cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
