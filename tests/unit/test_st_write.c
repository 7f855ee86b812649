/*
 * test_st_write.c - headers against the 232-byte example and the change blob of safetensors.md, and what the reader
 * says of them.
 */
#include "core/base/hash.h"
#include "core/tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t two_two[] = {2, 2}, none_three[] = {0, 3};

static void test_example(void **state)
{
    (void)state;
    static const char text[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]},"
        "\"e\":{\"dtype\":\"F16\",\"shape\":[0,3],\"data_offsets\":[24,24]}}   ";
    static const unsigned char data[24] = {7, 0, 0, 0,    0, 0, 0,    0,    0, 0, 0x80, 0x3f,
                                           0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40};
    for (int turn = 0; turn < 3; turn++) { /* whatever the order that comes in */
        struct am_st_out v[3];
        v[turn] = (struct am_st_out){"w", two_two, AM_F32, 2, 0, 0};
        v[(turn + 1) % 3] = (struct am_st_out){"e", none_three, AM_F16, 2, 0, 0};
        v[(turn + 2) % 3] = (struct am_st_out){"n", NULL, AM_I64, 0, 0, 0};
        AM_CLEANUP(am_buf_done) struct am_buf b;
        am_buf_init(&b, 1000);
        assert_int_equal(am_st_write_header(v, 3, "format", "pt", &b), 0);
        assert_int_equal(b.len, 208);
        assert_memory_equal(b.data, "\xc8\0\0\0\0\0\0\0", 8);
        assert_string_equal(b.data + 8, text);
        assert_string_equal(v[0].name, "n");
        assert_int_equal(v[1].begin, 216);
        assert_int_equal(v[2].end, 232);
        assert_int_equal(am_buf_put(&b, data, 24), 0);
        char hex[65];
        am_sha256_hex(b.data, b.len, hex);
        assert_string_equal(hex, "fe954afbb77fd9a3849d9ada8259b8162ac74a18193e69ea86f5131501d7b90c");
    }
}

/* The header of the change blob of 8.5: N = 136, 5,304 bytes in all, the weight at 184 and the bias at 144. */
static void test_change_blob(void **state)
{
    (void)state;
    struct am_st_out v[2] = {{"fc3.weight", (const uint64_t[]){10, 128}, AM_F32, 2, 0, 0},
                             {"fc3.bias", (const uint64_t[]){10}, AM_F32, 1, 0, 0}};
    AM_CLEANUP(am_buf_done) struct am_buf b;
    am_buf_init(&b, 1000);
    assert_int_equal(am_st_write_header(v, 2, NULL, NULL, &b), 0);
    assert_int_equal(b.len, 8 + 136);
    assert_string_equal(v[0].name, "fc3.bias");
    assert_int_equal(v[0].begin, 144);
    assert_int_equal(v[0].end, 184);
    assert_int_equal(v[1].begin, 184);
    assert_int_equal(v[1].end, 5304);
}

static int read_buf(void *ctx, void *out, size_t n, uint64_t off)
{
    const struct am_buf *b = ctx;
    assert_true(off <= b->len && n <= b->len - off);
    memcpy(out, b->data + off, n);
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const uint64_t one[] = {2}, three[] = {2, 0, 4}, two[] = {2, 4};
    static const char *const odd[] = {"\"\\/\b\f\n\r\t\x01\x7f", "\xc3\xa9\xf0\x9f\x98\x80", "a", "A.b"};
    struct am_st_out v[AM_DTYPE_COUNT * 3];
    char name[AM_DTYPE_COUNT * 3][64];
    size_t n = 0;
    for (int t = 0; t < AM_DTYPE_COUNT; t++) {
        const uint64_t *shape[3] = {t == AM_F4 ? one : two, three, two};
        const uint8_t rank[3] = {t == AM_F4 ? 1 : 2, 3, 2};
        for (int k = 0; k < 3; k++, n++) {
            snprintf(name[n], 64, "%s%d.%d", odd[(t + k) % 4], k, t);
            v[n] = (struct am_st_out){name[n], shape[k], (uint8_t)t, rank[k], 0, 0};
        }
    }
    AM_CLEANUP(am_buf_done) struct am_buf b;
    am_buf_init(&b, 100000);
    assert_int_equal(am_buf_puts(&b, "before"), 0); /* appended to what is there */
    assert_int_equal(am_st_write_header(v, n, "key \"1\"", "\n", &b), 0);
    memmove(b.data, b.data + 6, b.len - 6);
    b.len -= 6;
    assert_int_equal(b.len % 8, 0);
    struct am_st st;
    struct am_faults f = {0};
    assert_int_equal(am_st_read(&st, read_buf, &b, v[n - 1].end, AM_ST_LIMITS_DEFAULT, "x", &f), 0);
    assert_int_equal(st.n, n);
    assert_string_equal(st.meta[0].key, "key \"1\"");
    assert_string_equal(st.meta[0].value, "\n");
    for (size_t i = 0; i < n; i++) {
        const struct am_st_entry *e = am_st_find(&st, v[i].name);
        assert_non_null(e);
        assert_true(e->dtype == v[i].dtype && e->rank == v[i].rank && e->begin == v[i].begin && e->end == v[i].end);
        assert_memory_equal(e->shape, v[i].shape, e->rank * sizeof(uint64_t));
        assert_true(i == 0 || v[i - 1].dtype > v[i].dtype ||
                    (v[i - 1].dtype == v[i].dtype && strcmp(v[i - 1].name, v[i].name) < 0));
    }
    am_st_done(&st);
}

static void test_refusals(void **state)
{
    (void)state;
    struct am_st_out v = {"a", (const uint64_t[]){3}, AM_F4, 1, 0, 0};
    AM_CLEANUP(am_buf_done) struct am_buf b;
    am_buf_init(&b, 300000000);
    assert_int_equal(am_buf_puts(&b, "kept"), 0);
    assert_int_equal(am_st_write_header(&v, 1, NULL, NULL, &b), -AM_E_INVALID_REQUEST);
    v = (struct am_st_out){"a", (const uint64_t[]){1ull << 60, 2}, AM_U8, 2, 0, 0};
    assert_int_equal(am_st_write_header(&v, 1, NULL, NULL, &b), -AM_E_INVALID_REQUEST);
    v = (struct am_st_out){"a", (const uint64_t[]){1}, AM_U8, 1, 0, 0};
    char *metadata = malloc(100000001);
    memset(metadata, 'm', 100000000);
    metadata[100000000] = '\0';
    assert_int_equal(am_st_write_header(&v, 1, "k", metadata, &b), -AM_E_TOO_LARGE);
    free(metadata);
    assert_string_equal(b.data, "kept");
    assert_int_equal(b.len, 4);
    struct am_buf small;
    am_buf_init(&small, 20);
    assert_int_equal(am_st_write_header(&v, 1, NULL, NULL, &small), -AM_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
    am_buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_example), cmocka_unit_test(test_change_blob),
                                       cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
