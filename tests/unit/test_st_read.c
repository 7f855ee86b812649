/*
 * test_st_read.c - the reader of safetensors headers against malformed files (safetensors.md 6), odd but good ones, and
 * a big one.
 */
#include "core/base/clock.h"
#include "core/tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct bytes {
    const unsigned char *data;
    size_t n, largest_read;
};

static int read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
    struct bytes *b = ctx;
    if (off > b->n || n > b->n - off)
        return -AM_E_STORE_DAMAGED;
    memcpy(buf, b->data + off, n);
    if (n > b->largest_read)
        b->largest_read = n;
    return 0;
}

/* A file: the length word (of `text`, unless `word` is not -1), the text, `data` zero bytes. */
static struct bytes make(const char *text, size_t n, int64_t word, size_t data)
{
    unsigned char *p = calloc(1, 8 + n + data + 1);
    uint64_t len = word < 0 ? n : (uint64_t)word;
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(len >> (8 * i));
    memcpy(p + 8, text, n);
    return (struct bytes){p, 8 + n + data, 0};
}

static int run(struct bytes *b, struct am_st *st, struct am_faults *f)
{
    return am_st_read(st, read_bytes, b, b->n, AM_ST_LIMITS_DEFAULT, "x.safetensors", f);
}

static void print_faults(const struct am_faults *f)
{
    for (size_t i = 0; i < f->n; i++)
        print_message("   %s %s: %s\n", f->v[i].reason, f->v[i].tensor ? f->v[i].tensor : "-", f->v[i].detail);
}

/* Refused, with exactly the rules of the comma-separated list, in order. */
static void refuse_file(const char *name, struct bytes b, const char *rules)
{
    struct am_st st;
    memset(&st, 0x5a, sizeof(st));
    struct am_st before = st;
    struct am_faults f = {0};
    char got[600] = "";
    clock_t start = clock(); /* of the processor: a busy machine is not our fault */
    int rc = run(&b, &st, &f);
    assert_true(clock() - start < CLOCKS_PER_SEC / 20);
    for (size_t i = 0; i < f.n; i++) {
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? "," : "", f.v[i].reason);
        assert_int_equal(f.v[i].code, AM_E_MALFORMED);
        assert_string_equal(f.v[i].file, "x.safetensors");
        assert_string_equal(f.v[i].pointer, "");
        assert_true(strlen(f.v[i].detail) > 10);
    }
    if (rc != -AM_E_MALFORMED || strcmp(got, rules) != 0) {
        print_faults(&f);
        fail_msg("%s: rc %d, rules \"%s\", wanted \"%s\"", name, rc, got, rules);
    }
    assert_memory_equal(&st, &before, sizeof(st)); /* outputs are touched only on success */
    am_faults_done(&f);
    free((void *)(uintptr_t)b.data);
}

static void refuse(const char *text, size_t data, const char *rules)
{
    refuse_file(text, make(text, strlen(text), -1, data), rules);
}

static struct am_st accept_file(const char *name, struct bytes b)
{
    struct am_st st;
    struct am_faults f = {0};
    int rc = run(&b, &st, &f);
    if (rc != 0) {
        print_faults(&f);
        fail_msg("%s: rc %d", name, rc);
    }
    assert_int_equal(f.total, 0);
    free((void *)(uintptr_t)b.data);
    return st;
}

static struct am_st accept(const char *text, size_t data)
{
    return accept_file(text, make(text, strlen(text), -1, data));
}

#define T(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define I(shape, offsets) "{\"dtype\":\"I32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define A "\"a\":"
#define B ",\"b\":"

static void test_lengths(void **state)
{
    (void)state;
    refuse_file("empty file", (struct bytes){calloc(1, 1), 0, 0}, "too_short");
    refuse_file("seven bytes", (struct bytes){calloc(1, 8), 7, 0}, "too_short");
    refuse_file("top bytes", make("{}", 2, INT64_MAX, 0), "header_too_large");
    refuse_file("100,000,001", make("{}", 2, 100000001, 0), "header_too_large");
    refuse_file("past the end", make("{}", 2, 3, 0), "header_length");
    refuse_file("10 million tensors", make("{}", 2, 700000000, 0), "header_too_large");
    char *big = malloc(25000001);
    memset(big, ' ', 25000001);
    refuse_file("header_limit", make(big, 25000001, -1, 0), "header_limit");
    big[0] = '{';
    big[1] = '}';
    struct am_st st = accept_file("at the limit", make(big, 25000000, -1, 0));
    assert_int_equal(st.header_bytes, 25000000);
    am_st_done(&st);
    free(big);
}

static void test_grammar(void **state)
{
    (void)state;
    refuse("", 0, "header_json");
    refuse("\xff", 0, "header_utf8");
    refuse("{", 0, "header_json");
    refuse("[]", 0, "header_json");
    refuse("{}x", 0, "header_json");
    refuse("{} {}", 0, "header_json");
    refuse("{5:{}}", 0, "header_json");
    refuse("{\"abc", 0, "header_json");
    refuse("{\"abc\\", 0, "header_json");
    refuse("{" A "5}", 0, "header_json");
    refuse("{" A "null}", 0, "header_json");
    refuse("{" A "{}}", 0, "header_json");
    refuse("{" A T("[4]", "[0,16]") ",}", 16, "header_json");
    refuse("{" A "{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],}}", 16, "header_json");
    refuse("{" A "{\"dtype\":\"F32\" \"shape\":[4],\"data_offsets\":[0,16]}}", 16, "header_json");
    refuse("{" A T("[4,]", "[0,16]") "}", 16, "header_json");
    refuse("{" A T("[4]", "[0]") "}", 16, "header_json");
    refuse("{" A T("[4]", "[0,16,16]") "}", 16, "header_json");
    refuse("{" A T("[4]", "[]") "}", 16, "header_json");
    refuse("{" A T("4", "[0,16]") "}", 16, "header_json");
    refuse("{" A T("[[2],2]", "[0,16]") "}", 16, "header_json");
    refuse("{" A T("[\"4\"]", "[0,16]") "}", 16, "header_json");
    refuse("{" A "{\"dtype\":7,\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "header_json");
    refuse("{" A "{\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "header_json");
    refuse("{" A "{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", 16, "header_json");
    refuse("{" A "{\"dtype\":\"F32\",\"shape\":[4]}}", 16, "header_json");
    refuse("{" A "{\"dtype\":\"F32\",\"shape\":[1", 4, "header_json");
    refuse("{\"a\tb\":" T("[4]", "[0,16]") "}", 16, "header_json");
    refuse("{\"a\\x\":" T("[4]", "[0,16]") "}", 16, "header_json");
    refuse("{\"a\\u00g0\":" T("[4]", "[0,16]") "}", 16, "header_json");
    char nested[6100] = "{" A "{\"dtype\":\"F32\",\"shape\":";
    memset(nested + strlen(nested), '[', 3000);
    refuse(nested, 0, "header_json");
}

static void test_numbers(void **state)
{
    (void)state;
    refuse("{" A T("[4.0]", "[0,16]") "}", 16, "number");
    refuse("{" A T("[4e0]", "[0,16]") "}", 16, "number");
    refuse("{" A T("[4]", "[-0,16]") "}", 16, "number");
    refuse("{" A T("[1]", "[-4,0]") "}", 0, "number");
    refuse("{" A T("[+4]", "[0,16]") "}", 16, "number");
    refuse("{" A T("[04]", "[0,16]") "}", 16, "number");
    refuse("{" A T("[00]", "[0,0]") "}", 0, "number");
    refuse("{" A T("[18446744073709551616]", "[0,16]") "}", 16, "number");
    refuse("{" A T("[1]", "[9223372036854775808,9223372036854775812]") "}", 16, "number");
    refuse("{" A T("[1]", "[0,99999999999999999999999999]") "}", 16, "number");
    refuse("{" A T("[18446744073709551615]", "[0,16]") "}", 16, "overflow");
    refuse("{" A T("[1]", "[9223372036854775803,9223372036854775807]") "}", 16, "offsets,file_size");
}

static void test_strings(void **state)
{
    (void)state;
    refuse("\xef\xbb\xbf{}", 0, "header_json");
    refuse("{\"\xc0\xaf\":1}", 0, "header_utf8");
    refuse("{\"\xe2\x82\":1}", 0, "header_utf8");
    refuse("{\"\xed\xa0\x80\":1}", 0, "header_utf8");
    refuse("{\"\xf4\x90\x80\x80\":1}", 0, "header_utf8");
    refuse("{\"\xf0\x8f\xbf\xbf\":1}", 0, "header_utf8");
    refuse("{\"\x80\":1}", 0, "header_utf8");
    refuse("{\"\\ud800\":1}", 0, "header_json");
    refuse("{\"\\ud800\\n\":1}", 0, "header_json");
    refuse("{\"\\ud800\\u0041\":1}", 0, "header_json");
    refuse("{\"\\udc00\":1}", 0, "header_json");
    refuse("{\"a\\u0000b\":" T("[4]", "[0,16]") "}", 16, "name");
    refuse("{\"\":" T("[4]", "[0,16]") "}", 16, "name");
    char *text = malloc(1100000);
    static const size_t lengths[] = {2049, 1000000};
    for (size_t i = 0; i < 2; i++) {
        memcpy(text, "{\"", 2);
        memset(text + 2, 'n', lengths[i]);
        memcpy(text + 2 + lengths[i], "\":" T("[4]", "[0,16]") "}", sizeof("\":" T("[4]", "[0,16]") "}"));
        refuse(text, 16, "name");
    }
    memset(text + 2, 'n', 2048);
    memcpy(text + 2 + 2048, "\":" T("[4]", "[0,16]") "}", sizeof("\":" T("[4]", "[0,16]") "}"));
    struct am_st st = accept(text, 16);
    assert_int_equal(strlen(st.v[0].name), 2048);
    am_st_done(&st);
    free(text);
    st = accept("{\"\\ud83d\\ude00\\n\\t\\b\\f\\r\\\"\\\\\\/\\u00e9\\u20AC\xc3\xa9\":" T("[]", "[0,4]") "}", 4);
    assert_string_equal(st.v[0].name, "\xf0\x9f\x98\x80\n\t\b\f\r\"\\/\xc3\xa9\xe2\x82\xac\xc3\xa9");
    am_st_done(&st);
}

static void test_offsets(void **state)
{
    (void)state;
    refuse("{" A T("[4]", "[0,16]") B T("[4]", "[0,16]") "}", 16, "offsets");
    refuse("{" A T("[1]", "[0,4]") B T("[1]", "[8,12]") "}", 12, "offsets");
    refuse("{" A T("[2]", "[0,8]") B T("[2]", "[4,12]") "}", 12, "offsets");
    refuse("{" A T("[2]", "[8,16]") "}", 16, "offsets");
    refuse("{" A T("[4]", "[0,16]") B T("[2]", "[16,8]") "}", 16, "offsets");
    refuse("{" A I("[2,2]", "[0,4]") "}", 4, "size");
    refuse("{" A T("[2]", "[0,16]") "}", 16, "size");
    refuse("{" A T("[0]", "[0,16]") "}", 16, "size");
    refuse("{" A I("[2,18446744073709551614]", "[0,16]") "}", 16, "overflow");
    refuse("{" A I("[2,9223372036854775807]", "[0,16]") "}", 16, "overflow");
    refuse("{" A T("[4294967296,4294967296]", "[0,0]") "}", 0, "overflow");
    refuse("{" A "{\"dtype\":\"F4\",\"shape\":[1,3],\"data_offsets\":[0,1]}}", 1, "sub_byte");
    refuse("{" A T("[4]", "[0,16]") "}", 21, "file_size");
    refuse("{" A T("[4]", "[0,16]") "}", 14, "file_size");
    refuse("{" A T("[4]", "[0,16]") "}", 15, "file_size");
    refuse("{}", 1, "file_size");
}

static void test_stricter(void **state)
{
    (void)state;
    refuse("{" A T("[1]", "[0,4]") ",\"a\":" T("[1]", "[4,8]") "}", 8, "duplicate");
    refuse("{" A T("[1]", "[0,4]") ",\"\\u0061\":" T("[1]", "[4,8]") "}", 8, "duplicate");
    refuse("{" A "{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "duplicate");
    refuse("{" A "{\"dtype\":\"F32\",\"shape\":[4],\"sh\\u0061pe\":[4],\"data_offsets\":[0,16]}}", 16, "duplicate");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate");
    refuse("{\"__metadata__\":{\"k\":\"1\",\"j\":\"\",\"k\":\"2\"}}", 0, "duplicate");
    refuse("{" A "{\"dtype\":\"F7\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "unknown_dtype");
    refuse("{" A "{\"dtype\":\"f32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "unknown_dtype");
    refuse("{" A "{\"dtype\":\"\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16, "unknown_dtype");
    refuse("{" A "{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"strides\":[1]}}", 16, "unknown_key");
    refuse("{\"__metadata__\":" T("[4]", "[0,16]") "}", 16, "metadata_type");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "metadata_type");
    refuse("{\"__metadata__\":{\"a\":{}}}", 0, "metadata_type");
    refuse("{\"__metadata__\":[]}", 0, "metadata_type");
    refuse("{\"__metadata__\":null}", 0, "metadata_type");
    char shape[512] = "{" A "{\"dtype\":\"F32\",\"shape\":[1";
    for (int i = 1; i < 64; i++)
        memcpy(shape + strlen(shape), ",1", 3);
    size_t at = strlen(shape);
    memcpy(shape + at, "],\"data_offsets\":[0,4]}}", 25);
    struct am_st st = accept(shape, 4);
    assert_int_equal(st.v[0].rank, 64);
    am_st_done(&st);
    memcpy(shape + at, ",1],\"data_offsets\":[0,4]}}", 27);
    refuse(shape, 4, "rank");
}

static void test_accepted(void **state)
{
    (void)state;
    struct am_st st = accept("{}", 0);
    assert_int_equal(st.n, 0);
    assert_int_equal(st.file_bytes, 10);
    assert_null(am_st_find(&st, "a"));
    am_st_done(&st);
    st = accept(" \n\t\r{ \"a\" : " T("[2,0]", "[0,0]") "} \t\r\n", 0);
    assert_int_equal(st.v[0].shape[0], 2);
    assert_int_equal(st.v[0].shape[1], 0);
    am_st_done(&st);
    st =
        accept("{\"b\":" T("[1]", "[4,8]") ",\"a\":" T("[]", "[0,4]") ",\"__metadata__\":{\"z\":\"1\",\"y\":\"\"}}", 8);
    assert_int_equal(st.n, 2);
    assert_string_equal(st.v[0].name, "a");
    assert_int_equal(st.v[0].rank, 0);
    assert_int_equal(st.v[0].begin, 8 + st.header_bytes);
    assert_string_equal(st.v[1].name, "b");
    assert_int_equal(st.v[1].begin, 8 + st.header_bytes + 4);
    assert_int_equal(st.v[1].end, st.file_bytes);
    assert_ptr_equal(am_st_find(&st, "b"), &st.v[1]);
    assert_null(am_st_find(&st, "c"));
    assert_int_equal(st.meta_n, 2);
    assert_string_equal(st.meta[0].key, "z");
    assert_string_equal(st.meta[1].value, "");
    am_st_done(&st);
    st = accept("{" A T("[0]", "[0,0]") B T("[0]", "[0,0]") "}", 0);
    am_st_done(&st);
    st = accept("{" A T("[1]", "[0,4]") B T("[0,5]", "[4,4]") ",\"c\":" T("[1]", "[4,8]") "}", 8);
    am_st_done(&st);
    st = accept("{" A "{\"data_offsets\":[0,2],\"shape\":[1,4],\"d\\u0074ype\":\"F\\u0034\"}}", 2);
    assert_int_equal(st.v[0].dtype, AM_F4);
    am_st_done(&st);
}

/* All faults of a file, at most 20, in the order of the data; with numbers a person can use. */
static void test_all_faults(void **state)
{
    (void)state;
    refuse("{" A T("[2,2]", "[4,44]") B "{\"dtype\":\"Q8\",\"shape\":[4],\"data_offsets\":[0,4]},\"c\":" T(
               "[1]", "[48,52]") ",\"b\":" T("[1]", "[52,56]") "}",
           60, "unknown_dtype,size,offsets,duplicate,file_size");
    const char *text = "{\"fc1.weight\":" T("[2,2]", "[0,40]") "}";
    struct bytes b = make(text, strlen(text), -1, 40);
    struct am_st st;
    struct am_faults f = {0};
    assert_int_equal(run(&b, &st, &f), -AM_E_MALFORMED);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.v[0].tensor, "fc1.weight");
    assert_string_equal(f.v[0].detail, "\"fc1.weight\" holds 40 bytes at [0, 40), its shape [2, 2] of F32 needs 16");
    am_faults_done(&f);
    free((void *)(uintptr_t)b.data);
}

static char *many(size_t tensors, bool one_span, size_t *ret)
{
    char *text = malloc(tensors * 150 + 16);
    size_t n = 0;
    text[n++] = '{';
    for (size_t i = 0; i < tensors; i++) {
        size_t at = one_span ? 0 : i * 4;
        n += (size_t)snprintf(text + n, 150,
                              "%s\"model.layers.%zu.self_attn.q_proj.weight.%05zx\":{\"dtype\":\"F32\",\"shape\":[1,1],"
                              "\"data_offsets\":[%zu,%zu]}",
                              i ? "," : "", i % 77, i * 2654435761u % 1048573, at, at + 4);
    }
    text[n++] = '}';
    *ret = n;
    return text;
}

static void test_span_attack(void **state)
{
    (void)state;
    size_t n;
    char *text = many(100000, true, &n);
    struct bytes b = make(text, n, -1, 4);
    struct am_st st;
    struct am_faults f = {0};
    assert_int_equal(run(&b, &st, &f), -AM_E_MALFORMED);
    assert_int_equal(f.n, 20);
    assert_int_equal(f.total, 99999);
    assert_string_equal(f.v[0].reason, "offsets");
    am_faults_done(&f);
    free((void *)(uintptr_t)b.data);
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    const char *text = "{" A T("[1]", "[0,4]") B T("[1]", "[4,8]") "}";
    struct bytes b = make(text, strlen(text), -1, 8);
    struct am_st st;
    struct am_faults f = {0};
    assert_int_equal(am_st_read(&st, read_bytes, &b, b.n, (struct am_st_limits){1000, 1}, NULL, &f), -AM_E_MALFORMED);
    assert_string_equal(f.v[0].reason, "tensor_limit");
    am_faults_done(&f);
    assert_int_equal(am_st_read(&st, read_bytes, &b, b.n, (struct am_st_limits){1000, 2}, NULL, &f), 0);
    am_st_done(&st);
    /* The error of the caller's read comes back as it is, without a fault. */
    struct bytes cut = {b.data, 40, 0};
    assert_int_equal(am_st_read(&st, read_bytes, &cut, b.n, AM_ST_LIMITS_DEFAULT, NULL, &f), -AM_E_STORE_DAMAGED);
    assert_int_equal(f.total, 0);
    free((void *)(uintptr_t)b.data);
}

/* The base of the MNIST task vectors: 568 bytes of header in a file of 941,152 (safetensors.md 8.5). */
static void test_real_header(void **state)
{
    (void)state;
    static const char text[] =
        "{\"__metadata__\":{\"model\":\"base\",\"arch\":\"mlp 784-256-128-10 relu\",\"input\":\"uint8 pixel / 255, "
        "row-major 28x28\"},"
        "\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[256,784],\"data_offsets\":[0,802816]},"
        "\"fc1.bias\":{\"dtype\":\"F32\",\"shape\":[256],\"data_offsets\":[802816,803840]},"
        "\"fc2.weight\":{\"dtype\":\"F32\",\"shape\":[128,256],\"data_offsets\":[803840,934912]},"
        "\"fc2.bias\":{\"dtype\":\"F32\",\"shape\":[128],\"data_offsets\":[934912,935424]},"
        "\"fc3.weight\":{\"dtype\":\"F32\",\"shape\":[10,128],\"data_offsets\":[935424,940544]},"
        "\"fc3.bias\":{\"dtype\":\"F32\",\"shape\":[10],\"data_offsets\":[940544,940584]}}      ";
    struct am_st st = accept_file("base", make(text, sizeof(text) - 1, -1, 940584));
    assert_int_equal(st.header_bytes, 560);
    assert_int_equal(st.file_bytes, 941152);
    assert_int_equal(st.n, 6);
    const struct am_st_entry *e = am_st_find(&st, "fc3.weight");
    assert_int_equal(e->begin, 568 + 935424);
    assert_int_equal(e->end - e->begin, 5120);
    e = am_st_find(&st, "fc3.bias");
    assert_int_equal(e->end, 941152);
    assert_string_equal(st.meta[1].value, "mlp 784-256-128-10 relu");
    am_st_done(&st);
}

/* Long strings and windows: values that cross the 64 KiB windows and one that fills most of the header. */
static void test_long_values(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 4000, 5000, 65535, 65536, 65537, 300000, 5, 3000000, 7};
    size_t count = sizeof(lengths) / sizeof(lengths[0]), n = 0;
    char *text = malloc(4000000);
    n += (size_t)snprintf(text, 150, "{\"__metadata__\":{");
    for (size_t i = 0; i < count; i++) {
        n += (size_t)snprintf(text + n, 150, "%s\"k%zu\":\"", i ? "," : "", i);
        for (size_t k = 0; k < lengths[i]; k++)
            text[n++] = (char)('a' + (i + k) % 26);
        text[n++] = '"';
    }
    n += (size_t)snprintf(text + n, 150, "}}");
    struct bytes b = make(text, n, -1, 0);
    struct am_st st;
    struct am_faults f = {0};
    assert_int_equal(run(&b, &st, &f), 0);
    assert_true(b.largest_read <= 65536);
    assert_int_equal(st.meta_n, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strlen(st.meta[i].value), lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            if (st.meta[i].value[k] != (char)('a' + (i + k) % 26))
                fail_msg("value %zu differs at %zu", i, k);
    }
    am_st_done(&st);
    free((void *)(uintptr_t)b.data);
    free(text);
}

/* Names in random order: sorted, all there, each with its own place. The time is printed; bench/ holds it to its floor.
 */
static void test_big(void **state)
{
    (void)state;
    size_t n, tensors = 190000;
    char *text = many(tensors, false, &n);
    assert_true(n > 20000000 && n < 25000000);
    struct bytes b = make(text, n, -1, 4 * tensors);
    struct am_st st;
    struct am_faults f = {0};
    int64_t start = am_mono_ms();
    int rc = run(&b, &st, &f);
    int64_t ms = am_mono_ms() - start;
    if (rc < 0)
        print_faults(&f);
    assert_int_equal(rc, 0);
    print_message("header of %zu bytes, %zu tensors: %lld ms\n", n, tensors, (long long)ms);
    assert_true(b.largest_read <= 65536);
    assert_int_equal(st.n, tensors);
    for (size_t i = 0; i < tensors; i++) {
        assert_int_equal(st.v[i].end - st.v[i].begin, 4);
        if (i && strcmp(st.v[i - 1].name, st.v[i].name) >= 0)
            fail_msg("not sorted at %zu", i);
    }
    assert_int_equal(am_st_find(&st, "model.layers.1.self_attn.q_proj.weight.7975a")->begin,
                     8 + n + 4); /* the second */
    am_st_done(&st);
    free((void *)(uintptr_t)b.data);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_grammar),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),  cmocka_unit_test(test_offsets),     cmocka_unit_test(test_stricter),
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_all_faults),  cmocka_unit_test(test_span_attack),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_real_header), cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
