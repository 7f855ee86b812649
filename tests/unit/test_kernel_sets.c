/*
 * test_kernel_sets.c - every kernel in every set against plain loops written here in double or integers, and against
 * the generic set bit for bit: ordinary, subnormal, tie-rich, infinite and NaN values, ragged lengths, unaligned
 * places.
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

#include "tests/unit/kernel_cases_convert.h"
#include "tests/unit/kernel_cases_frame.h"
#include "tests/unit/kernel_cases_merge.h"
#include "tests/unit/kernel_cases_vector.h"
#include "tests/unit/kernel_sets.h"

static const struct kernel {
    const char *name;
    void (*run)(const struct in *in, struct out *out);
    void (*want)(const struct in *in, struct out *out);
} kernels[] = {
    {"load 16", run_load16, want_load16},
    {"load wide", run_load_wide, want_load_wide},
    {"store f16", run_store_f16, want_store_f16},
    {"store bf16", run_store_bf16, want_store_bf16},
    {"store f32", run_store_f32, want_store_f32},
    {"store f64", run_store_f64, want_store_f64},
    {"nonfinite", run_nonfinite, want_nonfinite},
    {"scale", run_scale, want_scale},
    {"axpy", run_axpy, want_axpy},
    {"axpy_rows", run_axpy_rows, want_axpy_rows},
    {"sub, add", run_sub_add, want_sub_add},
    {"div, blend", run_div_blend, want_div_blend},
    {"elect", run_elect, want_elect},
    {"squares", run_squares, want_squares},
    {"dot", run_dot, want_dot},
    {"bf16", run_bf16, want_bf16},
    {"blend to bf16", run_blend_to, want_blend_to},
    {"frame", run_frame, want_frame},
    {"list of bf16", run_list_bf16, want_list_bf16},
    {"sums", run_sums, want_sums},
    {"list", run_list, want_list},
    {"drop", run_drop, want_drop},
    {"select", run_select, want_select},
    {"nearswap", run_nearswap, want_nearswap},
    {"ram", run_ram, want_ram},
    {"weigh", run_weigh, want_weigh},
    {"softmax", run_softmax, want_softmax},
    {"own", run_own, want_own},
    {"range", run_range, want_range},
    {"signs", run_signs, want_signs},
};

/* Which NaN comes out of arithmetic is the processor's affair. */
static void same_nan(struct out *out, bool raw)
{
    float *x = (float *)(void *)out->raw;
    for (size_t i = 0; raw && i < 2 * (size_t)ROOM; i++)
        x[i] = isnan(x[i]) ? NAN : x[i];
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < ROOM; i++)
            out->f[k][i] = isnan(out->f[k][i]) ? NAN : out->f[k][i];
    for (int k = 0; k < 4; k++)
        out->sum[k] = isnan(out->sum[k]) ? (double)NAN : out->sum[k];
}

static void check(const struct in *in, const char *set, enum kind kind)
{
    static struct out want, got, generic;
    for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
        memset(&want, 0, sizeof(want));
        memset(&got, 0, sizeof(got));
        memset(&generic, 0, sizeof(generic));
        kernels[k].want(in, &want);
        kernels[k].run(in, &got);
        am_kernels_force("generic");
        kernels[k].run(in, &generic);
        am_kernels_force(set);
        bool exact = kernels[k].run == run_load16 || kernels[k].run == run_load_wide || kernels[k].run == run_select;
        if (exact && memcmp(&got, &generic, sizeof(got)) != 0)
            fail_msg("%s: %s is not generic, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
        bool raw = kernels[k].run == run_bf16;
        same_nan(&want, raw);
        same_nan(&got, raw);
        same_nan(&generic, raw);
        if (memcmp(&got, &generic, sizeof(got)) != 0)
            fail_msg("%s: %s is not generic, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
        if (memcmp(&got, &want, sizeof(got)) != 0)
            fail_msg("%s: %s is wrong, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
    }
}

static void lengths(const char *set, enum kind kind)
{
    static const uint32_t ranges[][2] = {
        {0, 0x80000000u}, {0x3d000000u, 0x3d800000u}, {0x3e800000u, 0x3e800001u}, {0x3f000000u, 0x7f800000u}, {9, 9},
        {9, 3},
    };
    static float x[3 * (ROOM + 1)];
    static unsigned char raw[8 * ROOM];
    for (size_t n = 0; n <= MOST; n = n == 257 ? 4095 : n + 1) {
        size_t odd = n % 2;
        const float *first = x + odd;
        for (size_t i = 0; i < 3 * (ROOM + 1); i++)
            x[i] = draw(kind);
        for (size_t i = 0; i < ROOM; i++) {
            double d = (double)draw(kind) * (1 + (double)random32() * 0x1p-40);
            memcpy(raw + odd + 8 * i - (i == ROOM - 1 ? odd : 0), &d, 8);
        }
        const uint32_t *range = ranges[n % 6];
        struct in in = {.n = n,
                        .x = first,
                        .y = first + ROOM,
                        .z = first + 2 * (size_t)ROOM,
                        .raw = raw + odd,
                        .a = n % 3 ? 0.3f : draw(kind),
                        .b = -0.7f,
                        .low = range[0],
                        .high = range[1]};
        for (size_t i = 0; i < sizeof(raw) && kind == ANY_BITS; i++)
            raw[i] = (unsigned char)random32();
        check(&in, set, kind);
    }
}

/* All values of both 16-bit types in one array, which the vectors of every set take, and back to the same bits. */
static void patterns(const char *set)
{
    static uint16_t all[65536], back[65536];
    static float x[65536];
    const struct {
        enum am_dtype t;
        int exponent_bits, mantissa_bits;
    } types[] = {{AM_F16, 5, 10}, {AM_BF16, 8, 7}};
    for (size_t i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    for (size_t k = 0; k < 2; k++) {
        uint64_t over = 0;
        am_load_f32(types[k].t, all, x, 65536);
        assert_int_equal(am_store_f32(types[k].t, x, back, 65536, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
        for (size_t i = 0; i < 65536; i++) {
            double v = value((uint16_t)i, types[k].exponent_bits, types[k].mantissa_bits);
            if (isnan(v) ? !isnan(x[i]) : bits(x[i]) != bits((float)v))
                fail_msg("%s: %04zx reads as %a, wanted %a", set, i, (double)x[i], v);
            uint16_t want =
                isnan(v) ? round16(NAN, types[k].exponent_bits, types[k].mantissa_bits, false, &over) : (uint16_t)i;
            if (back[i] != want)
                fail_msg("%s: %04zx comes back as %04x", set, i, back[i]);
        }
    }
}

static void test_set(const char *set)
{
    assert_string_equal(am_kernels_name(), set);
    patterns(set);
    for (enum kind kind = 0; kind < KINDS; kind++)
        lengths(set, kind);
}

static const char *chosen; /* under an unknown AMEND_KERNELS, before any other call */

static void test_names(void **state)
{
    (void)state;
    const char *best = "generic";
    for (size_t i = 0; i < 2; i++) {
        const char *set = i ? "avx512" : "avx2";
        best = am_kernels_force(set) ? set : best;
    }
    assert_string_equal(chosen, best);
    assert_true(am_kernels_force("generic"));
    assert_false(am_kernels_force("sse9"));
    assert_false(am_kernels_force(""));
    assert_string_equal(am_kernels_name(), "generic"); /* a refusal changes nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TESTS,
        cmocka_unit_test(test_names),
    };
    setenv("AMEND_KERNELS", "sse9", 1);
    chosen = am_kernels_name();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
