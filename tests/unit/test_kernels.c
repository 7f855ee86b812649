/*
 * test_kernels.c - conversions against formulas written with ldexp, and the element-wise kernels; sizes of dtypes.
 */
#include "core/tensor/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/kernel_fixture.h"

static void all_patterns(enum am_dtype t, int exponent_bits, int mantissa_bits, uint16_t canonical)
{
    for (uint32_t i = 0; i < 65536; i++) {
        unsigned char odd[3] = {0, (unsigned char)i, (unsigned char)(i >> 8)}; /* unaligned */
        float got;
        am_load_f32(t, odd + 1, &got, 1);
        double want = value((uint16_t)i, exponent_bits, mantissa_bits);
        if (isnan(want) ? !isnan(got) : bits(got) != bits((float)want))
            fail_msg("%04x reads as %a, wanted %a", i, (double)got, want);
        uint16_t back;
        unsigned char out[3];
        size_t first = 99;
        assert_int_equal(am_store_f32(t, &got, out + 1, 1, AM_OVERFLOW_REFUSE, &first, NULL), 0);
        memcpy(&back, out + 1, 2);
        assert_int_equal(back, isnan(want) ? canonical : i);
        assert_int_equal(first, 99);
    }
}

static void test_load(void **state)
{
    (void)state;
    all_patterns(AM_F16, 5, 10, 0x7e00);
    all_patterns(AM_BF16, 8, 7, 0x7fc0);
}

/* Between two neighbours: below the middle down, above it up, on it to the even one. */
static void rounding(enum am_dtype t, int exponent_bits, int mantissa_bits)
{
    uint32_t last = (((1u << exponent_bits) - 1) << mantissa_bits) - 2; /* its neighbour above is the largest finite */
    for (uint32_t i = 0; i <= last; i++) {
        double a = value((uint16_t)i, exponent_bits, mantissa_bits),
               b = value((uint16_t)(i + 1), exponent_bits, mantissa_bits);
        float middle = (float)((a + b) / 2);
        if ((double)middle > (a + b) / 2 || (double)middle < (a + b) / 2)
            continue; /* below the subnormals of f32 */
        float x[6] = {middle,  nextafterf(middle, 0),  nextafterf(middle, INFINITY),
                      -middle, -nextafterf(middle, 0), -nextafterf(middle, INFINITY)};
        uint16_t even = (uint16_t)(i % 2 ? i + 1 : i), got[6];
        uint16_t want[6] = {even, (uint16_t)i, (uint16_t)(i + 1), even, (uint16_t)i, (uint16_t)(i + 1)};
        for (int k = 3; k < 6; k++)
            want[k] |= 0x8000;
        assert_int_equal(am_store_f32(t, x, got, 6, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
        if (memcmp(got, want, sizeof(got)) != 0)
            fail_msg("between %04x and %04x", i, i + 1);
    }
}

static void test_rounding(void **state)
{
    (void)state;
    rounding(AM_F16, 5, 10);
    rounding(AM_BF16, 8, 7);
}

static void overflow(enum am_dtype t, float fits, float passes, uint16_t largest, uint16_t infinite)
{
    float x[6] = {1, fits, passes, -passes, INFINITY, NAN};
    uint16_t got[6];
    size_t first = 99;
    assert_int_equal(am_store_f32(t, x, got, 6, AM_OVERFLOW_REFUSE, &first, NULL), 2);
    assert_int_equal(first, 2);
    assert_int_equal(got[1], largest);
    assert_int_equal(am_store_f32(t, x, got, 6, AM_OVERFLOW_CLAMP, &first, NULL), 2);
    assert_int_equal(got[2], largest);
    assert_int_equal(got[3], largest | 0x8000);
    assert_int_equal(got[4], infinite); /* what was infinite stays so */
    assert_int_equal(am_store_f32(t, x, got, 6, AM_OVERFLOW_INF, NULL, NULL), 2);
    assert_int_equal(got[2], infinite);
    assert_int_equal(got[3], infinite | 0x8000);
}

static void test_overflow(void **state)
{
    (void)state;
    overflow(AM_F16, 65519.996f, 65520.0f, 0x7bff, 0x7c00);
    overflow(AM_BF16, 0x1.feffp127f, 0x1.ffp127f, 0x7f7f, 0x7f80);
    float huge = 0x1.fffffep127f;
    float smallest = 0x1p-149f;
    uint16_t h[2];
    assert_int_equal(am_store_f32(AM_BF16, &huge, h, 1, AM_OVERFLOW_REFUSE, NULL, NULL), 1);
    assert_int_equal(am_store_f32(AM_BF16, &smallest, h, 1, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
    assert_int_equal(h[0], 0);
}

static void test_wide(void **state)
{
    (void)state;
    float x[3] = {0x1p-149f, -1.5f, 0};
    uint32_t signalling = 0xff800001u;
    memcpy(&x[2], &signalling, 4);
    unsigned char f64[25], f32[13];
    assert_int_equal(am_store_f32(AM_F64, x, f64 + 1, 3, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
    assert_int_equal(am_store_f32(AM_F32, x, f32 + 1, 3, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
    double d[3];
    uint32_t u[3];
    uint64_t nan64;
    memcpy(d, f64 + 1, 24);
    memcpy(&nan64, f64 + 17, 8);
    memcpy(u, f32 + 1, 12);
    assert_true(d[0] >= 0x1p-149 && d[0] <= 0x1p-149 && d[1] <= -1.5 && d[1] >= -1.5);
    assert_true(nan64 == 0x7ff8000000000000u);
    assert_int_equal(u[0], 1);
    assert_int_equal(u[1], 0xbfc00000u);
    assert_int_equal(u[2], 0x7fc00000u);
    double tie[4] = {1 + 0x1p-24, 1 + 0x1.8p-23, 1e300, 0x1p-150};
    float y[4];
    am_load_f32(AM_F64, tie, y, 4);
    assert_int_equal(bits(y[0]), 0x3f800000u);
    assert_int_equal(bits(y[1]), 0x3f800002u);
    assert_true(isinf(y[2]));
    assert_int_equal(bits(y[3]), 0);
}

static void test_elementwise(void **state)
{
    (void)state;
    /* (1+2^-12)^2 = 1 + 2^-11 + 2^-24: rounded before the sum, the last bit is lost; fused, it would be kept. */
    float a = 1 + 0x1p-12f, x[3] = {a, 3, -0.0f}, y[3] = {1, 1, 1}, out[3] = {-(1 + 0x1p-11f), 1, 0};
    am_axpy_f32(out, a, x, 1);
    assert_int_equal(bits(out[0]), 0);
    am_scale_f32(out, 0.1f, x, 3);
    assert_int_equal(bits(out[1]), 0x3e99999au); /* 0.30000000447 lies nearest to 0.3000000119 */
    assert_int_equal(bits(out[2]), 0x80000000u);
    am_copy_f32(out, x, 3);
    assert_memory_equal(out, x, 12);
    am_div_f32(out, 3, 3);
    assert_int_equal(bits(out[1]), bits(1));
    am_sub_f32(out, x, y, 3);
    assert_int_equal(bits(out[0]), bits(0x1p-12f));
    am_add_f32(out, x, y, 3);
    assert_int_equal(bits(out[1]), bits(4));
    out[1] = 10;
    am_axpy_diff_f32(out, 0.5f, x, y, 3);
    assert_int_equal(bits(out[1]), bits(11));
    float z[5] = {1, -INFINITY, 0x1p-149f, NAN, 2};
    size_t count = 7;
    assert_int_equal(am_nonfinite_f32(z, 5, &count), 1);
    assert_int_equal(count, 2);
    assert_int_equal(am_nonfinite_f32(z, 1, NULL), 1);
    assert_int_equal(am_nonfinite_f32(z, 0, &count), 0);
    assert_int_equal(count, 0);
}

static void test_dtypes(void **state)
{
    (void)state;
    static const char *const names[] = {"BOOL",    "F4",      "F6_E2M3", "F6_E3M2",     "U8",          "I8",
                                        "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",
                                        "U16",     "F16",     "BF16",    "I32",         "U32",         "F32",
                                        "C64",     "F64",     "I64",     "U64"};
    static const unsigned sizes[] = {8, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 16, 16, 16, 16, 32, 32, 32, 64, 64, 64, 64};
    assert_int_equal(AM_DTYPE_COUNT, 22);
    for (int t = 0; t < AM_DTYPE_COUNT; t++) {
        assert_string_equal(am_dtype_name((enum am_dtype)t), names[t]);
        assert_int_equal(am_dtype_parse(names[t], strlen(names[t])), t);
        assert_int_equal(am_dtype_bits((enum am_dtype)t), sizes[t]);
        assert_int_equal(am_dtype_computed((enum am_dtype)t),
                         t == AM_F16 || t == AM_BF16 || t == AM_F32 || t == AM_F64);
        assert_int_equal(am_dtype_quantised((enum am_dtype)t), names[t][0] == 'F' && sizes[t] <= 8);
    }
    assert_true(am_dtype_parse("F3", 2) < 0 && am_dtype_parse("F322", 4) < 0 && am_dtype_parse("", 0) < 0 &&
                am_dtype_parse("f32", 3) < 0);
    uint64_t n = 0, b = 0;
    assert_int_equal(am_dtype_bytes(AM_F32, (uint64_t[]){3, 5}, 2, &n, &b), 0);
    assert_int_equal(n, 15);
    assert_int_equal(b, 60);
    assert_int_equal(am_dtype_bytes(AM_I64, NULL, 0, &n, &b), 0);
    assert_int_equal(b, 8);
    assert_int_equal(am_dtype_bytes(AM_F64, (uint64_t[]){2, 0, 4}, 3, &n, &b), 0);
    assert_int_equal(b, 0);
    assert_int_equal(am_dtype_bytes(AM_F6_E2M3, (uint64_t[]){4}, 1, &n, &b), 0);
    assert_int_equal(b, 3);
    assert_int_equal(am_dtype_bytes(AM_F4, (uint64_t[]){3}, 1, &n, &b), -2);
    assert_int_equal(am_dtype_bytes(AM_U8, (uint64_t[]){1ull << 32, 1ull << 32}, 2, &n, &b), -1);
    assert_int_equal(am_dtype_bytes(AM_U8, (uint64_t[]){1ull << 61}, 1, &n, &b), -1); /* 2^64 bits */
    assert_int_equal(b, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load), cmocka_unit_test(test_rounding),    cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_wide), cmocka_unit_test(test_elementwise), cmocka_unit_test(test_dtypes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
