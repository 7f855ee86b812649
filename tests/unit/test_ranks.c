/*
 * test_ranks.c - entries kept by the rank of their magnitude against a plain sort, and layers by the names of tensors.
 */
#include "core/merge/_ranks.h"
#include "core/methods/depth.h"
#include "core/tensor/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#define MOST 5000

static uint32_t state32 = 1;
static uint32_t random32(void)
{
    state32 = state32 * 1664525u + 1013904223u;
    return state32 ^ state32 >> 15;
}

struct entry {
    float size;
    size_t index;
};

/* Ascending; of equal ones the higher index is the smaller. */
static int by_size(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->size < y->size || x->size > y->size)
        return x->size < y->size ? -1 : 1;
    return x->index > y->index ? -1 : 1;
}

enum kind { WIDE, GRID, EQUAL, ZEROS, NO_NUMBERS, KINDS };

static float draw(enum kind kind)
{
    float x = (float)(random32() % 2001) - 1000;
    if (kind == WIDE)
        return ldexpf(x, (int)(random32() % 60) - 40);
    if (kind == GRID)
        return (float)((int)(random32() % 9) - 4) * 0.25f;
    if (kind == NO_NUMBERS && random32() % 4 == 0)
        return random32() % 2 ? INFINITY : -INFINITY;
    return kind == EQUAL ? (random32() % 2 ? 0.5f : -0.5f) : random32() % 10 ? 0.0f : x;
}

static void check(size_t n, enum kind kind, double low, double rise)
{
    static float d[MOST];
    static uint32_t word[MOST], memory[AM_RANKS_WORK][MOST], mask[MOST / 32 + 2];
    static struct entry e[MOST];
    uint32_t *work[AM_RANKS_WORK];
    const struct am_rank_line line = {low, rise, n ? n - 1 : 0};
    for (size_t k = 0; k < AM_RANKS_WORK; k++)
        work[k] = memory[k];
    for (size_t i = 0; i < n; i++) {
        d[i] = draw(kind);
        word[i] = random32();
        e[i] = (struct entry){fabsf(d[i]), i};
    }
    qsort(e, n, sizeof(*e), by_size);
    memset(mask, 0x55, sizeof(mask));
    size_t got = am_rank_mask(mask, d, word, n, &line, work), want = 0, words = (n + 31) / 32;
    for (size_t r = 0; r < n; r++) {
        size_t at = e[r].index;
        double p = n > 1 ? low + rise * (double)r / (double)(n - 1) : low;
        bool keep = word[at] < floor(p * 0x1p32 + 0.5);
        want += keep;
        if ((mask[at / 32] >> at % 32 & 1) != keep)
            fail_msg("n %zu, kind %d: rank %zu of entry %zu", n, (int)kind, r, at);
    }
    assert_int_equal(got, want);
    assert_true(n % 32 == 0 || mask[n / 32] >> n % 32 == 0);
    assert_int_equal(mask[words], 0x55555555);
}

static void as_a_plain_sort(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 3, 23, 24, 25, 100, 255, 1023, 1024, 1025, 5000};
    static const char *const sets[] = {"generic", "avx2", "avx512"};
    for (size_t s = 0; s < 3; s++) {
        if (!am_kernels_force(sets[s]))
            continue;
        for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
            for (int kind = 0; kind < KINDS; kind++) {
                check(lengths[l], (enum kind)kind, 0.35, 0.3);
                check(lengths[l], (enum kind)kind, 0.01, 0.98);
                check(lengths[l], (enum kind)kind, 0.5, 0);
                check(lengths[l], (enum kind)kind, 0, 1);
            }
        }
    }
}

static uint64_t limit(double low, double rise, size_t rank, size_t n)
{
    return (uint64_t)floor((low + rise * (double)rank / (double)(n - 1)) * 0x1p32 + 0.5);
}

#define PAIRED 2000

/* Zeros, and then equal pairs that are 2^(1/64) apart, so that every pair is the first of its bin. */
static size_t rank_in_pairs(size_t i, size_t n)
{
    return i < n - PAIRED ? n - PAIRED - 1 - i : i ^ 1;
}

/* Words at the very limit of their entry's rank and of those beside it. n is even. */
static void at_the_limit(size_t n, double low, double rise)
{
    float *d = malloc(n * sizeof(*d));
    uint32_t *all = malloc((AM_RANKS_WORK + 2) * n * sizeof(*all)), *work[AM_RANKS_WORK];
    assert_true(d && all && n % 2 == 0);
    for (size_t k = 0; k < AM_RANKS_WORK; k++)
        work[k] = all + k * n;
    uint32_t *word = all + AM_RANKS_WORK * n, *mask = word + n;
    for (size_t i = 0; i < n; i++) {
        size_t rank = rank_in_pairs(i, n) + random32() % 3;
        uint64_t w = limit(low, rise, rank > 0 ? rank - 1 : 0, n) - random32() % 2;
        d[i] = i < n - PAIRED ? 0 : exp2f((float)((i - (n - PAIRED)) / 2) / 64);
        word[i] = w > UINT32_MAX ? random32() : (uint32_t)w;
    }
    am_rank_mask(mask, d, word, n, &(struct am_rank_line){low, rise, n - 1}, work);
    for (size_t i = 0; i < n; i++)
        if ((mask[i / 32] >> i % 32 & 1) != (word[i] < limit(low, rise, rank_in_pairs(i, n), n)))
            fail_msg("n %zu, low %a: entry %zu, word %u", n, low, i, word[i]);
    free(all);
    free(d);
}

static void words_at_the_limit(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        at_the_limit(94682, 0, 1);
        at_the_limit(524264, 0x1p-20, 1 - 0x1p-19);
        at_the_limit(622574, 0x1p-16, 1 - 0x1p-15);
        at_the_limit(2048, 0.35, 0.3);
    }
}

static struct am_depth depth_of(const char *const *names, size_t n)
{
    struct am_tensor t[8] = {0};
    for (size_t i = 0; i < n; i++)
        t[i].name = names[i];
    return am_depth_of(&(struct am_model){.tensor = t, .tensors = n});
}

static void layers(void **state)
{
    (void)state;
    const char *const llama[] = {"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight",
                                 "model.layers.11.mlp.experts.3.w1.weight"};
    struct am_depth d = depth_of(llama, 4);
    assert_false(d.by_stem);
    assert_int_equal(d.count, 12);
    assert_int_equal(am_depth_layer(&d, llama[3]), 11); /* the first number, not that of the expert */
    assert_true(am_depth_layer(&d, llama[0]) == AM_NO_LAYER);
    const char *const mlp[] = {"fc1.weight", "fc2.bias", "fc3.weight", "norm.weight", "12.weight"};
    d = depth_of(mlp, 5);
    assert_true(d.by_stem);
    assert_int_equal(d.count, 3);
    assert_int_equal(am_depth_layer(&d, "fc1.bias"), 0);
    assert_int_equal(am_depth_layer(&d, "fc3.weight"), 2);
    assert_true(am_depth_layer(&d, "norm.weight") == AM_NO_LAYER);
    assert_true(am_depth_layer(&d, "12.weight") == AM_NO_LAYER);
    const char *const none[] = {"weight", "layers.x.weight", "layers.1234567.weight"};
    d = depth_of(none, 3);
    assert_int_equal(d.count, 0);
    assert_int_equal(depth_of(none, 0).count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_plain_sort),
        cmocka_unit_test(words_at_the_limit),
        cmocka_unit_test(layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
