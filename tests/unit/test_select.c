/*
 * test_select.c - core/merge/_select.h against a full sort in the total order of merge.md A4, for many kinds of values,
 * sizes and splits into windows and tiles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/merge/_select.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252u;
static uint32_t draw(void)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static float of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

static uint32_t key(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u & 0x7fffffffu;
}

enum kind { SMOOTH, GRID, TWO, EQUAL, ZERO, SUBNORMAL, BITS, SORTED, KINDS };

static float value(enum kind kind, size_t i)
{
    float u = (float)(draw() % 2000001) / 1e6f - 1, v = (float)(draw() % 2000001) / 1e6f - 1;
    switch (kind) {
    case SMOOTH:
        return u * v * v;
    case GRID: { /* a difference of two bf16 */
        uint32_t a = key(u) & 0xffff0000u, b = key(u + 0.01f * v) & 0xffff0000u;
        return of_bits(a) - of_bits(b);
    }
    case TWO:
        return draw() % 3 ? -0.5f : 0.25f;
    case EQUAL:
        return draw() % 2 ? 3.5f : -3.5f;
    case ZERO:
        return draw() % 2 ? 0.0f : -0.0f;
    case SUBNORMAL:
        return of_bits((draw() & 0x80000000u) | draw() % 3000);
    case BITS: /* NaN and infinity too */
        return of_bits(draw());
    default:
        return (float)(i + 1) * 1e-4f;
    }
}

struct entry {
    uint32_t u;
    size_t at;
};
static enum am_equals order;
static int by_rank(const void *a, const void *b)
{
    const struct entry *p = a, *q = b;
    if (p->u != q->u)
        return p->u > q->u ? -1 : 1;
    return (p->at < q->at) == (order == AM_EQUALS_FIRST) ? -1 : 1;
}

/* rank[i]: number of element i from the top, from 0. */
static void ranks(const float *x, size_t n, enum am_equals equals, size_t *rank)
{
    struct entry *e = malloc(n * sizeof(*e));
    for (size_t i = 0; i < n; i++)
        e[i] = (struct entry){key(x[i]), i};
    order = equals;
    qsort(e, n, sizeof(*e), by_rank);
    for (size_t i = 0; i < n; i++)
        rank[e[i].at] = i;
    free(e);
}

struct split {
    size_t window, tile;
    bool backwards;
};

static struct am_window tile_at(const struct split *p, size_t n, size_t window, size_t tile)
{
    size_t at = window * p->window + tile * p->tile, end = (window + 1) * p->window;
    end = end < n ? end : n;
    return (struct am_window){.first = at,
                              .index = window,
                              .tile = (unsigned)tile,
                              .n = at >= end            ? 0
                                   : end - at < p->tile ? end - at
                                                        : p->tile};
}

static bool lists; /* what search() gives its accumulators */

static struct am_selects *accumulator(size_t bytes_behind)
{
    size_t bytes = (sizeof(struct am_selects) + sizeof(struct am_select) + 63) / 64 * 64;
    struct am_selects *acc = malloc(bytes + bytes_behind);
    memset(acc, 0, bytes);
    return acc;
}

#define WINDOW_LIST 131328
static char *scope_list;

static void give_lists(struct am_selects *acc, size_t n, struct am_window w)
{
    w.list = (char *)acc + (sizeof(struct am_selects) + sizeof(struct am_select) + 63) / 64 * 64;
    w.list_bytes = WINDOW_LIST;
    w.scope_list = scope_list;
    am_selects_begin(acc, 1, n, &w);
}

static void look_at(const float *x, size_t n, const struct split *p, size_t index, const struct am_select *sofar,
                    struct am_selects *acc)
{
    for (size_t t = 0; t * p->tile < p->window; t++) {
        struct am_window w = tile_at(p, n, index, t);
        struct am_part part;
        if (!w.n || !am_select_part(sofar, n, &w, &part))
            continue;
        acc->n = 1;
        if (lists)
            give_lists(acc, n, w);
        const struct am_select_round round = {sofar, &acc->rank[0]};
        assert_int_equal(am_select_count(&round, 1, x + w.first + part.first, &part), 0);
    }
}

static unsigned search(const float *x, size_t n, const struct split *p, uint64_t k, enum am_equals equals,
                       struct am_select *s)
{
    size_t windows = (n + p->window - 1) / p->window;
    struct am_selects *scope = accumulator(lists ? am_list_scope(n) : 0), **acc = malloc(windows * sizeof(*acc));
    scope_list = (char *)scope + (sizeof(struct am_selects) + sizeof(struct am_select) + 63) / 64 * 64;
    for (unsigned round = 0;; round++) {
        for (size_t j = 0; j < windows; j++) {
            size_t index = p->backwards ? windows - 1 - j : j;
            acc[index] = accumulator(lists ? WINDOW_LIST : 0);
            look_at(x, n, p, index, round ? &scope->rank[0] : NULL, acc[index]);
        }
        for (size_t j = 0; j < windows; j++) {
            if (acc[j]->n)
                am_selects_merge(scope, acc[j], 0);
            free(acc[j]);
        }
        int again = am_select_next(&scope->rank[0], k, n, equals);
        assert_in_range(again, 0, 1);
        if (!again) {
            *s = scope->rank[0];
            free(scope);
            free(acc);
            return round + 1;
        }
        assert_true(round < 8);
    }
}

static void check_kept(const float *x, size_t n, const struct split *p, const struct am_select *s,
                       const struct am_select *top, const size_t *rank, uint64_t from, uint64_t to)
{
    float *out = malloc(n * sizeof(*out));
    uint64_t kept = 0;
    for (size_t index = 0; index * p->window < n; index++) {
        for (size_t t = 0; t * p->tile < p->window; t++) {
            struct am_window w = tile_at(p, n, index, t);
            struct am_edge a = am_select_edge(s, &w), b = top ? am_select_edge(top, &w) : am_edge_none;
            if (w.n)
                kept += am_select_band(out + w.first, x + w.first, w.n, &a, &b);
        }
    }
    assert_int_equal(kept, to - from);
    for (size_t i = 0; i < n; i++) {
        float want = rank[i] >= from && rank[i] < to ? x[i] : 0.0f;
        if (memcmp(&want, &out[i], sizeof(want)) != 0)
            fail_msg("n %zu, kept %llu to %llu, element %zu of rank %zu: %a, not %a", n, (unsigned long long)from,
                     (unsigned long long)to, i, rank[i], (double)out[i], (double)want);
    }
    free(out);
}

static void check_one(const float *x, size_t n, const struct split *p, uint64_t k, enum am_equals equals,
                      const size_t *rank)
{
    static struct am_select s;
    for (int way = 0; way < 2; way++) {
        lists = way;
        search(x, n, p, k, equals, &s);
        check_kept(x, n, p, &s, NULL, rank, 0, k);
        for (size_t i = 0; k > 0 && k < n && i < n; i++) /* the threshold is the k-th largest */
            if (rank[i] == k - 1)
                assert_int_equal(key(am_select_threshold(&s)), key(x[i]));
    }
}

static void check_data(enum kind kind, size_t n, const struct split *split, size_t splits, const uint64_t *k, size_t ks)
{
    float *x = malloc(n * sizeof(*x));
    size_t *rank = malloc(n * sizeof(*rank));
    for (size_t i = 0; i < n; i++)
        x[i] = value(kind, i);
    for (int equals = AM_EQUALS_FIRST; equals <= AM_EQUALS_LAST; equals++) {
        ranks(x, n, (enum am_equals)equals, rank);
        for (size_t a = 0; a < splits; a++)
            for (size_t b = 0; b < ks; b++)
                check_one(x, n, &split[a], k[b] < n ? k[b] : n, (enum am_equals)equals, rank);
    }
    free(rank);
    free(x);
}

static void test_small(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 100; n++) {
        struct split split[] = {{n, n, false}, {7, 3, true}, {64, 16, false}};
        uint64_t k[] = {0, 1, n / 3, n - 1, n};
        for (int kind = 0; kind < KINDS; kind++)
            check_data((enum kind)kind, n, split, 3, k, 5);
    }
}

static void test_tiles(void **state)
{
    (void)state;
    for (size_t n = 4095; n <= 4097; n++) {
        struct split split[] = {{AM_WINDOW, AM_TILE, false}, {AM_TILE, AM_TILE, true}, {192, 64, true}};
        uint64_t k[] = {1, n / 5, n / 2, n - 1};
        for (int kind = 0; kind < KINDS; kind++)
            check_data((enum kind)kind, n, split, 3, k, 4);
    }
}

static void test_sampled(void **state)
{
    (void)state;
    size_t n = 300000;
    struct split split[] = {{AM_WINDOW, AM_TILE, false}, {16384, AM_TILE, true}, {2560, 256, false}};
    uint64_t k[] = {1, n / 100, n / 2, n - n / 5, n - 1};
    assert_true(n > AM_SELECT_SAMPLE_FROM);
    for (int kind = 0; kind < KINDS; kind++)
        check_data((enum kind)kind, n, split, kind < TWO ? 3 : 1, k, 5);
}

/* A sample that misleads: its places hold the largest or smallest values. The result is the same. */
static void test_misled(void **state)
{
    (void)state;
    size_t n = 200000, *rank = malloc(n * sizeof(*rank));
    float *x = malloc(n * sizeof(*x));
    struct split p = {AM_WINDOW, AM_TILE, false};
    for (int large = 0; large < 2; large++) {
        for (size_t i = 0; i < n; i++)
            x[i] = value(SMOOTH, i) + 2;
        size_t sampled = 0;
        for (size_t t = 0; t * AM_TILE < n; t++) {
            struct am_window w = tile_at(&p, n, 0, t);
            struct am_part part;
            if (!am_select_part(NULL, n, &w, &part))
                continue;
            sampled++;
            assert_true(part.sample && part.n < w.n);
            for (size_t i = 0; i < part.n; i++)
                x[w.first + part.first + i] *= large ? 1e6f : 1e-6f;
        }
        assert_true(sampled > 2);
        ranks(x, n, AM_EQUALS_FIRST, rank);
        for (uint64_t k = 20000; k < n; k += 60000)
            check_one(x, n, &p, k, AM_EQUALS_FIRST, rank);
    }
    free(x);
    free(rank);
}

/* How many rounds the runner pays for. */
static void test_rounds(void **state)
{
    (void)state;
    size_t n = 1000000;
    static struct am_select s;
    float *x = malloc(n * sizeof(*x));
    struct split p = {AM_WINDOW, AM_TILE, false};
    for (size_t i = 0; i < n; i++)
        x[i] = value(SMOOTH, i);
    lists = false;
    assert_true(search(x, n, &p, n / 2, AM_EQUALS_FIRST, &s) <= 4); /* sample, bracket, threshold, equals */
    assert_true(search(x, 50000, &p, 100, AM_EQUALS_FIRST, &s) <= 4);
    lists = true;
    assert_int_equal(search(x, n, &p, n / 2, AM_EQUALS_FIRST, &s), 2); /* sample, bracket */
    assert_int_equal(search(x, n, &p, n / 100, AM_EQUALS_FIRST, &s), 2);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int)(value(SMOOTH, i) * 16) / 16; /* a handful of magnitudes */
    assert_int_equal(search(x, n, &p, n / 3, AM_EQUALS_LAST, &s), 2);
    free(x);
}

/* The middle between two ranks, as breadcrumbs has it. */
static void test_band(void **state)
{
    (void)state;
    static struct am_select bottom, top;
    size_t n = 5000, *rank = malloc(n * sizeof(*rank));
    float *x = malloc(n * sizeof(*x));
    struct split split[] = {{AM_WINDOW, AM_TILE, false}, {640, 64, true}};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < n; i++)
            x[i] = value((enum kind)kind, i);
        ranks(x, n, AM_EQUALS_FIRST, rank);
        for (size_t a = 0; a < 2; a++) {
            search(x, n, &split[a], 4000, AM_EQUALS_FIRST, &bottom);
            search(x, n, &split[a], 70, AM_EQUALS_FIRST, &top);
            check_kept(x, n, &split[a], &bottom, &top, rank, 70, 4000);
        }
    }
    free(x);
    free(rank);
}

static void test_row(void **state)
{
    (void)state;
    float x[600], out[600];
    size_t rank[600];
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t n = 1; n <= 600; n = n < 40 ? n + 1 : n + 187) {
            for (size_t i = 0; i < n; i++)
                x[i] = value((enum kind)kind, i);
            ranks(x, n, AM_EQUALS_FIRST, rank);
            for (size_t k = 0; k <= n; k += 1 + n / 25) {
                struct am_edge e = am_select_row(x, n, k);
                assert_int_equal(am_select_band(out, x, n, &e, NULL), k);
                for (size_t i = 0; i < n; i++) {
                    float want = rank[i] < k ? x[i] : 0.0f;
                    assert_memory_equal(&want, &out[i], sizeof(want));
                }
            }
        }
    }
}

/* A scope with fewer entries than announced is a broken caller: an error, no endless search. */
static void test_too_few(void **state)
{
    (void)state;
    static struct am_select s;
    assert_int_equal(am_select_next(&s, 3, 10, AM_EQUALS_FIRST), -AM_E_INTERNAL);
}

static void test_share(void **state)
{
    (void)state;
    assert_int_equal(am_select_share(0.29, 100), 29); /* 28.999999999999996 in f64 */
    assert_int_equal(am_select_share(0.57, 100), 57);
    assert_int_equal(am_select_share(0.5, 7), 3);
    assert_int_equal(am_select_share(1, 123456789), 123456789);
    assert_int_equal(am_select_share(0, 10), 0);
    assert_int_equal(am_select_share(1e-9, 100), 0);
    assert_int_equal(am_select_share(0.85, 200704), 170598);
}

/* The first round of a large tensor reads its sample and nothing beside it. */
static void test_look_is_small(void **state)
{
    (void)state;
    const uint64_t elements = 1 << 22;
    uint64_t looked = 0, tiles = 0;
    for (uint64_t at = 0; at < elements; at += AM_TILE) {
        struct am_window w = {
            .first = at, .n = AM_TILE, .index = at / AM_WINDOW, .tile = (unsigned)(at % AM_WINDOW / AM_TILE)};
        size_t first = 0, n = am_selects_look(NULL, elements, &w, &first);
        assert_true(first + n <= AM_TILE);
        looked += n;
        tiles += n > 0;
    }
    assert_true(tiles > 0 && tiles <= elements / AM_TILE / 8);
    assert_true(looked > 0 && looked <= elements / 64);
}

int main(void)
{
    mallopt(M_MMAP_THRESHOLD,
            32 << 20); /* accumulators come and go by the thousand: keep their pages, as a worker does */
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),         cmocka_unit_test(test_tiles),   cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_misled),        cmocka_unit_test(test_rounds),  cmocka_unit_test(test_band),
        cmocka_unit_test(test_row),           cmocka_unit_test(test_too_few), cmocka_unit_test(test_share),
        cmocka_unit_test(test_look_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
