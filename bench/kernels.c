/*
 * kernels.c - how fast the kernels are: ns per element of every kernel, for each set that the processor has, beside a
 * memcpy of 2-byte elements. "cache": one tile of 4096 elements again and again; "stream": 6.3 million elements, tile
 * after tile, each from its own place. Best of 9 rounds; a round runs every kernel in every set once, so that a busy
 * moment of the machine hits all alike; time is the thread's own, not the clock's. --json prints JSON instead of the
 * table.
 */
#include "core/tensor/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TILE = 4096, TILES = 1538, ROUNDS = 9, STEP = TILE + 128, ARRAYS = 9, MODES = 2, BINS = 1 << 15 };

struct tile {
    float *a[ARRAYS]; /* random: 0..1; written: 2..7; 8: zero but for rare elements */
    unsigned char *raw, *bytes;
};

static uint32_t bins[BINS];
static volatile double sink; /* what is summed up is looked at, so that nothing is optimised away */

static void copy2(const struct tile *t)
{
    memcpy(t->bytes, t->raw, 2 * TILE);
}

static void load_bf16(const struct tile *t)
{
    am_load_f32(AM_BF16, t->raw, t->a[2], TILE);
}

static void load_f16(const struct tile *t)
{
    am_load_f32(AM_F16, t->raw, t->a[2], TILE);
}

static void load_f32(const struct tile *t)
{
    am_load_f32(AM_F32, t->a[0], t->a[2], TILE);
}

static void load_f64(const struct tile *t)
{
    am_load_f32(AM_F64, t->a[0], t->a[2], TILE / 2); /* a[0], a[1] as bytes: the values do not matter */
    am_load_f32(AM_F64, t->a[1], t->a[2] + TILE / 2, TILE / 2);
}

static void store_bf16(const struct tile *t)
{
    sink += (double)am_store_f32(AM_BF16, t->a[0], t->bytes, TILE, AM_OVERFLOW_REFUSE, NULL, NULL);
}

static void store_f16(const struct tile *t)
{
    sink += (double)am_store_f32(AM_F16, t->a[0], t->bytes, TILE, AM_OVERFLOW_REFUSE, NULL, NULL);
}

static void store_f32(const struct tile *t)
{
    am_store_f32(AM_F32, t->a[0], t->bytes, TILE, AM_OVERFLOW_REFUSE, NULL, NULL);
}

static void store_f64(const struct tile *t)
{
    am_store_f32(AM_F64, t->a[0], t->bytes, TILE, AM_OVERFLOW_REFUSE, NULL, NULL);
}

static void nonfinite(const struct tile *t)
{
    sink += (double)am_nonfinite_f32(t->a[0], TILE, NULL);
}

static void scale(const struct tile *t)
{
    am_scale_f32(t->a[2], 0.3f, t->a[0], TILE);
}

static void axpy(const struct tile *t)
{
    am_axpy_f32(t->a[3], 1e-3f, t->a[0], TILE);
}

static void divide(const struct tile *t)
{
    am_div_f32(t->a[4], 0.999999f, TILE);
}

static void sub(const struct tile *t)
{
    am_sub_f32(t->a[2], t->a[0], t->a[1], TILE);
}

static void add(const struct tile *t)
{
    am_add_f32(t->a[2], t->a[0], t->a[1], TILE);
}

static void axpy_diff(const struct tile *t)
{
    am_axpy_diff_f32(t->a[3], 1e-3f, t->a[0], t->a[1], TILE);
}

static void blend(const struct tile *t)
{
    am_blend_f32(t->a[2], 0.3f, t->a[0], 0.7f, t->a[1], TILE);
}

/* Two arrays of BF16 as it is stored. */
static const uint16_t *stored(const struct tile *t, size_t k)
{
    return (const uint16_t *)(const void *)t->raw + k * TILE;
}

static void blend_to_bf16(const struct tile *t)
{
    sink += am_blend_to_bf16((uint16_t *)(void *)t->bytes, 0.3f, stored(t, 0), 0.7f, stored(t, 1), TILE);
}

static void frame(const struct tile *t, bool elects)
{
    const struct am_frame_of how = {.inputs = 2,
                                    .weight = {0.6f, 0.4f},
                                    .low = {0x3d000000, 0x3d000000},
                                    .high = {1u << 31, 1u << 31},
                                    .elects = elects,
                                    .normalize = elects,
                                    .lambda = 1};
    const uint16_t *x[] = {stored(t, 1), stored(t, 1)};
    sink += am_frame_bf16(&how, (uint16_t *)(void *)t->bytes, stored(t, 0), x, TILE).out;
}

static void frame_sum(const struct tile *t)
{
    frame(t, false);
}

static void frame_elect(const struct tile *t)
{
    frame(t, true);
}

static void list_differences(const struct tile *t)
{
    static uint32_t list[TILE];
    const struct am_key_ranges ranges = {.n = 1, .low = {0x3d000000}, .high = {0x3d010000}};
    uint64_t above[AM_KEY_RANGES] = {0};
    sink += (double)am_list_delta_bf16(stored(t, 1), stored(t, 0), TILE, &ranges, list, above);
}

static void dot(const struct tile *t)
{
    sink += am_block_dot(t->a[0], t->a[1], TILE);
}

static void delta_square(const struct tile *t)
{
    sink += am_delta_square(t->a[2], t->a[0], t->a[1], TILE);
}

static void add_square(const struct tile *t)
{
    sink += am_add_square(t->a[2], 0.9f, t->a[0], t->a[1], TILE);
}

static void sum(const struct tile *t)
{
    sink += am_block_sum(t->a[0], TILE);
}

static void sum_abs(const struct tile *t)
{
    sink += am_block_sum_abs(t->a[0], TILE);
}

static void count_all(const struct tile *t)
{
    sink += (double)am_count_range(t->a[0], TILE, 0, 1u << 31, 16, bins);
}

static void count_tenth(const struct tile *t)
{
    sink += (double)am_count_range(t->a[0], TILE, 0x3d000000, 0x3d100000, 8, bins);
}

static void count_rare(const struct tile *t)
{
    sink += (double)am_count_range(t->a[0], TILE, 0x3d000000, 0x3d010000, 1, bins);
}

static void count_equal(const struct tile *t)
{
    sink += (double)am_count_equal(t->a[0], TILE, 0x3d000000);
}

static void keep_range(const struct tile *t)
{
    sink += (double)am_keep_range(t->a[2], t->a[0], TILE, 0x3d000000, 1u << 31);
}

static const float votes[] = {0.6f, 0.4f, 0.5f, 0.3f, 0.7f};

static void elect(const struct tile *t, size_t inputs, bool by_count)
{
    const struct am_election how = {.weight = votes, .inputs = inputs, .by_count = by_count, .normalize = true};
    const float *const d[] = {t->a[0], t->a[1], t->a[5], t->a[7], t->a[8]};
    sink += (double)am_elect(&how, t->a[2], d, TILE, NULL);
}

static void elect2(const struct tile *t)
{
    elect(t, 2, false);
}

static void elect3(const struct tile *t)
{
    elect(t, 3, false);
}

static void elect5(const struct tile *t)
{
    elect(t, 5, false);
}

static void elect3_count(const struct tile *t)
{
    elect(t, 3, true);
}

/* Sorting sorts what is already sorted from the second time on; the network does the same work for any values. */
static void sort3(const struct tile *t)
{
    am_sort_columns(t->a + 2, 3, TILE);
}

static void sort6(const struct tile *t)
{
    am_sort_columns(t->a + 2, 6, TILE);
}

static const struct kernel {
    const char *name;
    void (*run)(const struct tile *t);
} kernels[] = {
    {"memcpy 2 bytes", copy2},
    {"load bf16", load_bf16},
    {"load f16", load_f16},
    {"load f32", load_f32},
    {"load f64", load_f64},
    {"store bf16", store_bf16},
    {"store f16", store_f16},
    {"store f32", store_f32},
    {"store f64", store_f64},
    {"nonfinite", nonfinite},
    {"scale", scale},
    {"axpy", axpy},
    {"div", divide},
    {"sub", sub},
    {"add", add},
    {"axpy diff", axpy_diff},
    {"blend", blend},
    {"blend bf16 to bf16", blend_to_bf16},
    {"frame of 2, bf16", frame_sum},
    {"the same, elects", frame_elect},
    {"list of differences", list_differences},
    {"block dot", dot},
    {"delta, squares", delta_square},
    {"add, squares", add_square},
    {"block sum", sum},
    {"block sum abs", sum_abs},
    {"count range, all hit", count_all},
    {"count range, 1 of 16", count_tenth},
    {"count range, 1 of 300", count_rare},
    {"count equal", count_equal},
    {"keep range", keep_range},
    {"elect, 2 inputs", elect2},
    {"elect, 3 inputs", elect3},
    {"elect, 5 inputs", elect5},
    {"elect, 3 by count", elect3_count},
    {"sort 3 columns", sort3},
    {"sort 6 columns", sort6},
};
enum { KERNELS = sizeof(kernels) / sizeof(kernels[0]) };
static const char *const set_names[] = {"generic", "avx2", "avx512"}, *const mode_names[MODES] = {"cache", "stream"};
enum { SETS = 3 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(const struct kernel *k, const struct tile *tiles, bool stream)
{
    k->run(tiles);
    double start = now();
    for (size_t i = 0; i < TILES; i++)
        k->run(tiles + (stream ? i : 0));
    return (now() - start) / ((double)TILES * TILE);
}

/* Near to a bell around 0, as weights are: the sum of four uniform numbers. */
static float weight(uint64_t *state)
{
    float sum_of = -2;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum_of += (float)(*state >> 40) * 0x1p-24f;
    }
    return sum_of * 0.05f;
}

static bool make_tiles(struct tile *tiles)
{
    uint64_t state = 1;
    for (size_t i = 0; i < TILES; i++) {
        struct tile *t = tiles + i;
        float *block = aligned_alloc(64, sizeof(float) * STEP * (ARRAYS + 3));
        if (!block)
            return false;
        for (size_t k = 0; k < ARRAYS; k++)
            t->a[k] = block + k * STEP;
        t->raw = (unsigned char *)(block + ARRAYS * STEP);
        t->bytes = t->raw + sizeof(float) * STEP;
        for (size_t j = 0; j < STEP * ARRAYS; j++)
            block[j] = weight(&state);
        for (size_t k = 0; k < 2; k++)
            am_store_f32(AM_BF16, t->a[k], t->raw + 2 * TILE * k, TILE, AM_OVERFLOW_REFUSE, NULL, NULL);
        memset(t->bytes, 0, sizeof(double) * TILE);
        for (size_t j = 0; j < TILE; j++) {
            t->a[4][j] = 1;
            t->a[6][j] = 0.999999f;
        }
    }
    return true;
}

static void print_table(double best[SETS][KERNELS][MODES], const bool *have)
{
    printf("ns per element, best of %d; %d elements a tile, %d tiles in a stream\n%-22s", ROUNDS, TILE, TILES, "");
    for (size_t s = 0; s < SETS; s++)
        for (size_t m = 0; have[s] && m < MODES; m++)
            printf(" %8s %-6s", set_names[s], mode_names[m]);
    printf("\n");
    for (size_t k = 0; k < KERNELS; k++) {
        printf("%-22s", kernels[k].name);
        for (size_t s = 0; s < SETS; s++)
            for (size_t m = 0; have[s] && m < MODES; m++)
                printf(" %15.3f", best[s][k][m]);
        printf("\n");
    }
}

static void print_json(double best[SETS][KERNELS][MODES], const bool *have)
{
    const char *between = "";
    printf("{\"unit\": \"ns/element\", \"rounds\": %d, \"tile\": %d, \"tiles\": %d, \"results\": [", ROUNDS, TILE,
           TILES);
    for (size_t s = 0; s < SETS; s++)
        for (size_t k = 0; have[s] && k < KERNELS; k++, between = ",")
            printf("%s\n {\"set\": \"%s\", \"kernel\": \"%s\", \"cache\": %.4f, \"stream\": %.4f}", between,
                   set_names[s], kernels[k].name, best[s][k][0], best[s][k][1]);
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    static struct tile tiles[TILES];
    static double best[SETS][KERNELS][MODES];
    bool have[SETS], json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json) {
        fprintf(stderr, "usage: kernels [--json]\n");
        return 2;
    }
    if (!make_tiles(tiles)) {
        fprintf(stderr, "kernels: no memory for %d tiles (about 310 MB)\n", TILES);
        return 1;
    }
    for (size_t s = 0; s < SETS; s++)
        have[s] = am_kernels_force(set_names[s]);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t k = 0; k < KERNELS; k++)
            for (size_t s = 0; s < SETS; s++)
                for (size_t m = 0; m < MODES && am_kernels_force(set_names[s]); m++) {
                    double ns = measure(kernels + k, tiles, m);
                    best[s][k][m] = round == 0 || ns < best[s][k][m] ? ns : best[s][k][m];
                }
    (json ? print_json : print_table)(best, have);
    return 0;
}
