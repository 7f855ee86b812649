/*
 * test_ranks.c - entries kept by the rank of their magnitude against a plain sort, and layers by the names of tensors.
 */
#include "core/merge/_ranks.h"
#include "core/methods/depth.h"

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

enum kind { WIDE, GRID, EQUAL, ZEROS, KINDS };

static float draw(enum kind kind)
{
    float x = (float)(random32() % 2001) - 1000;
    if (kind == WIDE)
        return ldexpf(x, (int)(random32() % 60) - 40);
    if (kind == GRID)
        return (float)((int)(random32() % 9) - 4) * 0.25f;
    return kind == EQUAL ? (random32() % 2 ? 0.5f : -0.5f) : random32() % 10 ? 0.0f : x;
}

static void check(size_t n, size_t stride, enum kind kind, double low, double rise)
{
    static float d[3 * MOST], was[3 * MOST];
    static uint32_t word[3 * MOST], memory[AM_RANKS_WORK][MOST];
    static struct entry e[MOST];
    uint32_t *work[AM_RANKS_WORK];
    const struct am_rank_line line = {low, rise, n ? n - 1 : 0};
    for (size_t k = 0; k < AM_RANKS_WORK; k++)
        work[k] = memory[k];
    for (size_t i = 0; i < n * stride; i++) {
        was[i] = d[i] = draw(kind);
        word[i] = random32();
    }
    for (size_t i = 0; i < n; i++)
        e[i] = (struct entry){fabsf(d[i * stride]), i};
    qsort(e, n, sizeof(*e), by_size);
    size_t got = am_keep_ranked(d, word, n, stride, &line, work), want = 0;
    for (size_t r = 0; r < n; r++) {
        size_t at = e[r].index * stride;
        double p = n > 1 ? low + rise * (double)r / (double)(n - 1) : low;
        bool keep = word[at] < floor(p * 0x1p32 + 0.5);
        float left = keep ? was[at] : 0;
        want += keep;
        if (memcmp(&d[at], &left, sizeof(left)) != 0)
            fail_msg("n %zu, kind %d: rank %zu of entry %zu", n, (int)kind, r, e[r].index);
        was[at] = left;
    }
    assert_int_equal(got, want);
    assert_memory_equal(d, was, n * stride * sizeof(*d)); /* nothing between the entries */
}

static void as_a_plain_sort(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 3, 23, 24, 25, 100, 255, 1023, 1024, 1025, 5000};
    for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
        for (int kind = 0; kind < KINDS; kind++) {
            check(lengths[l], 1, (enum kind)kind, 0.35, 0.3);
            check(lengths[l], 3, (enum kind)kind, 0.01, 0.98);
            check(lengths[l], 1, (enum kind)kind, 0.5, 0);
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
        cmocka_unit_test(as_a_plain_sort),
        cmocka_unit_test(layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
