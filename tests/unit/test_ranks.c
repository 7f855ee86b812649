/*
 * test_ranks.c - entries kept by chance and the rank of their magnitude, and layers by the names of tensors.
 */
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

#define WORDS 16384 /* of each entry, all over the range */

/* How often an entry stays, against the line through its rank. */
static void check(size_t n, enum kind kind, double low, double rise)
{
    static float d[MOST];
    static uint32_t word[MOST], mask[MOST / 32 + 2], times[MOST];
    static struct entry e[MOST];
    const struct am_rank_odds odds = am_rank_odds_of(low, rise, n);
    size_t words = (n + 31) / 32;
    for (size_t i = 0; i < n; i++) {
        d[i] = draw(kind);
        e[i] = (struct entry){fabsf(d[i]), i};
        times[i] = 0;
    }
    qsort(e, n, sizeof(*e), by_size);
    for (size_t k = 0; k < WORDS; k++) {
        memset(mask, 0x55, sizeof(mask));
        for (size_t i = 0; i < n; i++)
            word[i] = (uint32_t)((k + i) % WORDS * ((UINT64_C(1) << 32) / WORDS));
        am_rank_mask(mask, d, word, n, &odds);
        for (size_t i = 0; i < n; i++)
            times[i] += mask[i / 32] >> i % 32 & 1;
        assert_true(n % 32 == 0 || mask[n / 32] >> n % 32 == 0);
        assert_int_equal(mask[words], 0x55555555);
    }
    for (size_t r = 0; r < n; r++) {
        double p = n > 1 ? low + rise * (double)r / (double)(n - 1) : low, found = times[e[r].index] / (double)WORDS;
        if (fabs(found - p) > (double)(n + 2) / WORDS) /* a word more or less for each other entry */
            fail_msg("n %zu, kind %d: rank %zu stays with %g, not %g", n, (int)kind, r, found, p);
    }
}

static void as_likely_as_by_a_plain_sort(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 3, 9, 33, 127, 150};
    static const char *const sets[] = {"generic", "avx2", "avx512"};
    for (size_t s = 0; s < 3; s++) {
        if (!am_kernels_force(sets[s]))
            continue;
        for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
            for (int kind = 0; kind < KINDS; kind++) {
                check(lengths[l], (enum kind)kind, 0.35, 0.3);
                check(lengths[l], (enum kind)kind, 0.5, 0);
                check(lengths[l], (enum kind)kind, 0, 1);
            }
        }
    }
}

/* Word by word as the header says it. */
static bool stays(const float *d, size_t n, size_t i, uint32_t word, double low, double rise)
{
    double sure = floor(low * 0x1p32 + 0.5), end = floor((low + rise) * 0x1p32 + 0.5);
    if (word < sure || word >= end || n < 2)
        return word < sure;
    int bits = 0;
    double step = (double)(n - 1) / (end - sure);
    for (; step * 2 < 0x1p32; bits++)
        step *= 2;
    size_t j = (size_t)((uint64_t)(word - sure) * (uint64_t)step >> bits);
    assert_true(j < n - 1);
    j += j >= i;
    return fabsf(d[i]) > fabsf(d[j]) || (fabsf(d[i]) == fabsf(d[j]) && i < j);
}

static void check_words(size_t n, enum kind kind, double low, double rise)
{
    static float d[MOST];
    static uint32_t word[MOST], mask[MOST / 32 + 2];
    const struct am_rank_odds odds = am_rank_odds_of(low, rise, n);
    const uint32_t edges[] = {0,
                              UINT32_MAX,
                              (uint32_t)odds.sure - 1,
                              (uint32_t)odds.sure,
                              (uint32_t)(odds.sure + odds.span - 1),
                              (uint32_t)(odds.sure + odds.span)};
    for (size_t i = 0; i < n; i++) {
        d[i] = draw(kind);
        word[i] = random32() % 4 ? random32() : edges[random32() % 6];
    }
    am_rank_mask(mask, d, word, n, &odds);
    for (size_t i = 0; i < n; i++)
        if ((mask[i / 32] >> i % 32 & 1) != stays(d, n, i, word[i], low, rise))
            fail_msg("n %zu, kind %d, low %a: entry %zu, word %u", n, (int)kind, low, i, word[i]);
}

static void every_word_in_every_set(void **state)
{
    (void)state;
    static const char *const sets[] = {"generic", "avx2", "avx512"};
    for (size_t s = 0; s < 3; s++) {
        if (!am_kernels_force(sets[s]))
            continue;
        for (size_t k = 0; k < 300; k++) {
            size_t n = k < 150 ? k : random32() % MOST;
            check_words(n, (enum kind)(k % KINDS), 0.35, 0.3);
            check_words(n, (enum kind)(k % KINDS), 0, 1);
            check_words(n, (enum kind)(k % KINDS), 0x1p-20, 1 - 0x1p-19);
            check_words(n, (enum kind)(k % KINDS), 0.5, 0x1p-25); /* fewer words than entries */
            check_words(n, (enum kind)(k % KINDS), 1 - 0x1p-40, 0);
        }
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
        cmocka_unit_test(as_likely_as_by_a_plain_sort),
        cmocka_unit_test(every_word_in_every_set),
        cmocka_unit_test(layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
