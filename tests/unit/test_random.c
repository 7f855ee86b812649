/*
 * test_random.c - the counter-based generator against the check values of its authors (Random123, kat_vectors:
 * philox4x32 10) and of merge.md A5, in every set of kernels, from any place on.
 */
#include "core/tensor/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const sets[] = {"generic", "avx2", "avx512"};

/* The four words of counter (c0, c1, 0, 0) lie 16 apart in the group of its number. */
static void words_of(uint64_t counter, const uint32_t key[2], uint32_t ret[4])
{
    for (unsigned j = 0; j < 4; j++)
        am_random_words(&ret[j], 1, key, counter / 16 * 64 + counter % 16 + j * 16);
}

/* One counter with all four words set is out of reach of elements; the others of the published ones are not. */
static void plain_philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++, k0 += 0x9e3779b9u, k1 += 0xbb67ae85u) {
        uint64_t p = (uint64_t)0xd2511f53u * c[0], q = (uint64_t)0xcd9e8d57u * c[2];
        uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k0, (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k1, (uint32_t)p};
        memcpy(c, next, sizeof(next));
    }
}

static void published(void **state)
{
    (void)state;
    uint32_t zero[4] = {0}, ones[4] = {~0u, ~0u, ~0u, ~0u}, pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    plain_philox(zero, 0, 0);
    plain_philox(ones, ~0u, ~0u);
    plain_philox(pi, 0xa4093822, 0x299f31d0);
    assert_memory_equal(zero, ((uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}), 16);
    assert_memory_equal(ones, ((uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}), 16);
    assert_memory_equal(pi, ((uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}), 16);
    for (size_t s = 0; s < 3; s++) {
        uint32_t got[4];
        if (!am_kernels_force(sets[s]))
            continue;
        for (uint64_t counter = 0; counter < 1000; counter += 7) {
            uint64_t c = counter << (counter % 40);
            uint32_t want[4] = {(uint32_t)c, (uint32_t)(c >> 32), 0, 0}, key[2] = {0x8c85dc29, (uint32_t)counter};
            plain_philox(want, key[0], key[1]);
            words_of(c, key, got);
            assert_memory_equal(got, want, 16);
        }
    }
}

static void masks(void **state)
{
    (void)state;
    static const char name[] = "model.layers.0.mlp.down_proj.weight";
    uint32_t key[2], word[128];
    assert_int_equal(am_random_key("mask", 42, 0, name, key), 0);
    assert_int_equal(key[0], 0x8c85dc29);
    assert_int_equal(key[1], 0x79de4bc7);
    for (size_t s = 0; s < 3; s++) {
        char text[33] = "";
        size_t kept = 0;
        if (!am_kernels_force(sets[s]))
            continue;
        am_random_words(word, 128, key, 0);
        assert_memory_equal(word, ((uint32_t[]){0xbe9d96e8, 0x0a4ebf49, 0x28cb9bc5, 0x2efe0714}), 16);
        assert_int_equal(word[64], 0x39b3f1af);
        for (size_t i = 0; i < 128; i++) {
            kept += word[i] < 0x80000000u;
            if (i < 32)
                text[i] = word[i] < 0x80000000u ? '1' : '0';
        }
        assert_string_equal(text, "01110110011011000100001011100101");
        assert_int_equal(kept, 67);
    }
    assert_int_equal(am_random_key("mask", 42, 1, name, key), 0);
    assert_int_equal(key[0], 0x686e5510);
    assert_int_equal(key[1], 0x8b8fe473);
}

static void any_place(void **state)
{
    (void)state;
    const uint32_t key[2] = {1, 2};
    static uint32_t all[5000], part[5000];
    for (size_t s = 0; s < 3; s++) {
        if (!am_kernels_force(sets[s]))
            continue;
        am_random_words(all, 5000, key, 1000000007);
        for (size_t at = 0; at < 5000; at += 1 + at % 131) {
            size_t n = 5000 - at < 77 ? 5000 - at : 77;
            am_random_words(part, n, key, 1000000007 + at);
            assert_memory_equal(part, all + at, n * sizeof(*part));
        }
    }
}

/* What stays is what the words say, from any place on, and also in place. */
static void kept(void **state)
{
    (void)state;
    const uint32_t key[2] = {3, 4}, limits[] = {0, 1, 0x20000000, 0x80000000, 0xffffffff};
    static uint32_t word[3000];
    static float x[3000], out[3000];
    uint32_t mask[100];
    for (size_t i = 0; i < 3000; i++)
        x[i] = i % 5 ? (float)i - 1500 : -0.0f;
    for (size_t s = 0; s < 3; s++) {
        if (!am_kernels_force(sets[s]))
            continue;
        for (size_t l = 0; l < 5; l++) {
            for (size_t at = 0; at < 200; at += 1 + at % 7) {
                size_t n = 3000 - 13 * at, count = 0;
                memcpy(out, x, sizeof(out));
                size_t first = at % 3 ? 77 + at : 64 * at;
                am_random_words(word, n, key, first);
                am_random_mask(mask, n, key, first, limits[l]);
                size_t got = am_keep_mask(out, out, n, mask);
                double all = am_block_sum_abs(x, n), some = am_block_sum_abs(out, n);
                struct am_sizes sizes = am_block_sum_abs_mask(x, n, mask);
                assert_memory_equal(&sizes.all, &all, sizeof(all));
                assert_memory_equal(&sizes.kept, &some, sizeof(some));
                assert_true(n % 32 == 0 || mask[n / 32] >> n % 32 == 0);
                for (size_t i = 0; i < n; i++) {
                    float want = word[i] < limits[l] ? x[i] : 0;
                    count += word[i] < limits[l];
                    assert_memory_equal(&out[i], &want, sizeof(want));
                }
                assert_memory_equal(out + n, x + n, (3000 - n) * sizeof(*x));
                assert_int_equal(got, count);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept),
        cmocka_unit_test(published),
        cmocka_unit_test(masks),
        cmocka_unit_test(any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
