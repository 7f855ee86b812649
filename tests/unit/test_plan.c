/*
 * test_plan.c - the merge-join over tensor tables: every fault of merge.md B15, and sums worked out by hand.
 */
#include "core/table/plan.h"
#include "core/tensor/dtype.h"
#include "tests/unit/table_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct list {
    const struct am_plan_tensor *t;
    size_t n, at;
    char name[64]; /* the cursor's own: overwritten by each call, as the contract allows */
};

static int next_of(void *cursor, struct am_plan_tensor *ret)
{
    struct list *l = cursor;
    memset(l->name, 'Z', sizeof(l->name) - 1);
    if (l->at == l->n)
        return 0;
    *ret = l->t[l->at++];
    snprintf(l->name, sizeof(l->name), "%s", ret->name);
    ret->name = l->name;
    return 1;
}

static int broken(void *cursor, struct am_plan_tensor *ret)
{
    (void)cursor;
    (void)ret;
    return -AM_E_STORE_DAMAGED;
}

static struct am_table table;
static struct am_faults faults;

static int setup(void **state)
{
    (void)state;
    return am_table_load(&table, registry, strlen(registry));
}

static int teardown(void **state)
{
    (void)state;
    am_table_done(&table);
    am_faults_done(&faults);
    return 0;
}

static const char *const labels[] = {"d/a@v1", "d/b@v1", "d/c@v1"};
static const char *const pointers[] = {"#/inputs/models/0", "#/inputs/models/1", "#/inputs/models/2"};

static int plan_of(const char *method, const char *out_dtype, struct list *l, size_t n, size_t donor,
                   struct am_plan *ret)
{
    struct am_plan_input in[3];
    struct am_body_input roles[3] = {{.role = "model"}, {.role = "model"}, {.role = "model"}};
    struct am_body b = {.row = am_table_find(&table, "merge", method), .input = roles, .inputs = n};
    assert_non_null(b.row);
    b.options = out_dtype ? json_pack("{s:s}", "out_dtype", out_dtype) : json_pack("{s:n}", "out_dtype");
    for (size_t i = 0; i < n; i++)
        in[i] = (struct am_plan_input){.next = next_of, .cursor = &l[i], .label = labels[i], .pointer = pointers[i]};
    am_faults_done(&faults);
    faults = (struct am_faults){0};
    int rc = am_plan_make(ret, &b, in, n, donor, 2, &faults);
    json_decref(b.options);
    return rc;
}

static const struct am_plan_tensor plain[] = {
    {"bias", "F32", "[10]", 40}, {"count", "I64", "[]", 8}, {"weight", "F32", "[10,4]", 160}};
static const struct am_plan_tensor half[] = {
    {"bias", "F16", "[10]", 20}, {"count", "I64", "[]", 8}, {"weight", "BF16", "[10,4]", 80}};

#define LIST(a)                                                                                                        \
    {                                                                                                                  \
        .t = (a), .n = sizeof(a) / sizeof(*(a))                                                                        \
    }

static void test_sums(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), LIST(half)};
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), 0);
    assert_int_equal(p.tensors, 3);
    assert_int_equal(p.read_bytes, 40 + 8 + 160 + 20 + 8 + 80);
    assert_int_equal(p.write_bytes, 40 + 8 + 160);
    /* 24 MiB + 2 threads * (5 windows of 1 MiB + 2 MiB) */
    assert_int_equal(p.peak_memory_bytes, (24 + 2 * 7) * 1048576);
    assert_int_equal(p.disk_bytes, 208 + 1048576);
}

static void test_sums_of_passes_and_dtypes(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), LIST(half)};
    assert_int_equal(plan_of("task_arithmetic", "BF16", l, 2, 1, &p), 0); /* two passes; the counters are read once */
    assert_int_equal(p.read_bytes, 3 * (40 + 160 + 20 + 80) + 2 * 8);
    assert_int_equal(p.write_bytes, 20 + 8 + 80);
    l[0].at = l[1].at = 0;
    assert_int_equal(plan_of("linear", "F32", l, 2, 1, &p), 0); /* a narrow donor stored wide */
    assert_int_equal(p.write_bytes, 40 + 8 + 160);
    assert_int_equal(am_plan_memory(1, 1, 1000), (24 + 4 + 2) * 1048576 + 4 * 1000);
    assert_true(am_plan_memory(1, 64, UINT64_MAX / 2) == UINT64_MAX); /* saturates */
}

static void expect(size_t i, const char *code, const char *pointer, const char *reason, const char *tensor,
                   const char *detail)
{
    assert_true(i < faults.n);
    const struct am_fault *f = &faults.v[i];
    assert_string_equal(am_err_slug(f->code), code);
    assert_string_equal(f->pointer, pointer);
    if (reason)
        assert_string_equal(f->reason, reason);
    if (tensor)
        assert_string_equal(f->tensor, tensor);
    if (!strstr(f->detail, detail))
        fail_msg("detail is: %s", f->detail);
}

static void test_every_fault(void **state)
{
    (void)state;
    static const struct am_plan_tensor donor[] = {{"a", "F32", "[2]", 8},  {"b", "F32", "[2]", 8},
                                                  {"c", "I64", "[2]", 16}, {"d", "F32", "[2]", 8},
                                                  {"e", "F32", "[2]", 8},  {"f", "I32", "[2]", 8}};
    static const struct am_plan_tensor other[] = {
        {"b", "F32", "[3]", 12}, {"bb", "F32", "[2]", 8}, {"c", "I32", "[2]", 8},        {"d", "F8_E4M3", "[2]", 2},
        {"e", "I32", "[2]", 8},  {"f", "F32", "[2]", 8},  {"g.qweight", "I32", "[1]", 4}};
    struct am_plan p = {.tensors = 77};
    struct list l[] = {LIST(donor), LIST(other), LIST(donor)};
    assert_int_equal(plan_of("linear", NULL, l, 3, 0, &p), -AM_E_SHAPE_MISMATCH);
    assert_int_equal(p.tensors, 77); /* untouched */
    assert_int_equal(faults.n, 9);
    const char *at = "#/inputs/models/1";
    expect(0, "shape-mismatch", at, "tensor-missing", "a", "tensor a is in d/a@v1 but not in d/b@v1");
    expect(1, "shape-mismatch", at, "shape", "b", "tensor b: d/b@v1 has [3], d/a@v1 has [2]");
    expect(2, "shape-mismatch", at, "tensor-extra", "bb", "tensor bb is in d/b@v1 but not in d/a@v1");
    expect(3, "dtype-unsupported", at, "dtype", "c", "d/b@v1 has I32, d/a@v1 has I64");
    expect(4, "dtype-unsupported", at, "quantised-tensor", "d", "d in d/b@v1 is F8_E4M3");
    expect(5, "dtype-unsupported", at, "dtype", "e", "d/b@v1 has I32, d/a@v1 has F32");
    expect(6, "dtype-unsupported", at, "dtype", "f", "d/b@v1 has F32, d/a@v1 has I32");
    expect(7, "dtype-unsupported", at, "quantised-tensor", "g.qweight", "dequantise it first");
    expect(8, "shape-mismatch", at, "tensor-extra", "g.qweight", "not in d/a@v1");
}

static void test_empty_inputs(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), {0}, LIST(plain)};
    assert_int_equal(plan_of("linear", NULL, l, 3, 0, &p), -AM_E_UNSUPPORTED_FORMAT);
    assert_int_equal(faults.n, 1);
    expect(0, "unsupported-format", "#/inputs/models/1", NULL, NULL, "d/b@v1 has no tensors");
    l[0].at = l[2].at = 0;
    assert_int_equal(plan_of("linear", NULL, l, 3, 1, &p),
                     -AM_E_UNSUPPORTED_FORMAT); /* nothing is extra against an empty donor */
    assert_int_equal(faults.n, 1);
}

static void test_many_tensors(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct am_plan_tensor many[N];
    static char names[N][16];
    struct am_plan p;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "t%04d", i);
        many[i] = (struct am_plan_tensor){names[i], "F32", "[1]", 4};
    }
    static const struct am_plan_tensor one[] = {{"zz", "F32", "[1]", 4}};
    struct list l[] = {LIST(many), LIST(one)};
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), -AM_E_SHAPE_MISMATCH);
    assert_int_equal(faults.n, 21);
    expect(19, "shape-mismatch", "#/inputs/models/1", "tensor-missing", "t0019", "not in d/b@v1");
    expect(20, "shape-mismatch", "#/inputs/models/1", "more-tensors", NULL, "and 981 more tensors of d/b@v1");
}

static void test_damaged_tables(void **state)
{
    (void)state;
    static const struct am_plan_tensor unsorted[] = {{"b", "F32", "[1]", 4}, {"a", "F32", "[1]", 4}};
    static const struct am_plan_tensor twice[] = {{"a", "F32", "[1]", 4}, {"a", "F32", "[1]", 4}};
    struct am_plan p;
    struct list l[] = {LIST(unsorted)}, k[] = {LIST(twice)};
    assert_int_equal(plan_of("linear", NULL, l, 1, 0, &p), -AM_E_STORE_DAMAGED);
    assert_int_equal(plan_of("linear", NULL, k, 1, 0, &p), -AM_E_STORE_DAMAGED);
    struct am_body b = {.row = am_table_find(&table, "merge", "linear")};
    struct am_plan_input in = {.next = broken, .label = "x", .pointer = "#"};
    assert_int_equal(am_plan_make(&p, &b, &in, 1, 0, 1, &faults), -AM_E_STORE_DAMAGED);
}

static void test_out_dtype(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain)};
    assert_int_equal(plan_of("linear", "I8", l, 1, 0, &p), -AM_E_DTYPE_UNSUPPORTED);
    expect(0, "dtype-unsupported", "#/options/out_dtype", "dtype", NULL, "I8");
}

/* plan.c knows dtypes by name only; core/tensor must say the same of every one. */
static void test_dtypes_agree_with_core_tensor(void **state)
{
    (void)state;
    for (int t = 0; t < AM_DTYPE_COUNT; t++) {
        const char *name = am_dtype_name((enum am_dtype)t);
        const struct am_plan_tensor x[] = {
            {"x", name, "[8]", am_dtype_bits((enum am_dtype)t)}}; /* 8 elements: `bits` bytes */
        struct am_plan p;
        struct list l[] = {LIST(x)};
        int rc = plan_of("linear", "F32", l, 1, 0, &p);
        assert_int_equal(rc, am_dtype_quantised((enum am_dtype)t) ? -AM_E_DTYPE_UNSUPPORTED : 0);
        if (rc == 0)
            assert_int_equal(p.write_bytes, am_dtype_computed((enum am_dtype)t) ? 32 : am_dtype_bits((enum am_dtype)t));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),         cmocka_unit_test(test_sums_of_passes_and_dtypes),
        cmocka_unit_test(test_every_fault),  cmocka_unit_test(test_empty_inputs),
        cmocka_unit_test(test_many_tensors), cmocka_unit_test(test_damaged_tables),
        cmocka_unit_test(test_out_dtype),    cmocka_unit_test(test_dtypes_agree_with_core_tensor),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
