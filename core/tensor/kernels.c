/*
 * kernels.c - the public kernels: which set runs, and the rare parts that need no second form (finding the first
 * offender once a count says that there is one). The loops themselves: kernels_body.h.
 */
#include "core/tensor/kernels.h"

#include "core/tensor/kernels_set.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct am_kernel_set *const sets[] = {&am_kernels_avx512, &am_kernels_avx2, &am_kernels_generic};
#define SETS (sizeof(sets) / sizeof(sets[0]))

static _Atomic(const struct am_kernel_set *) chosen; /* NULL until first use; every thread would choose the same */

#if defined(__x86_64__)
/* Every processor with AVX2 has them, but a virtual machine may hide them. Not all compilers know the names. */
static bool has_f16c_and_fma(void)
{
    unsigned a, b, c = 0, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && (c & bit_FMA);
}
#endif

static bool runs_here(const struct am_kernel_set *s)
{
    if (!s->name)
        return false;
#if defined(__x86_64__)
    if (s != &am_kernels_generic && !has_f16c_and_fma())
        return false;
    if (s == &am_kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (s == &am_kernels_avx2)
        return __builtin_cpu_supports("avx2");
#endif
    return s == &am_kernels_generic;
}

static const struct am_kernel_set *find(const char *name)
{
    for (size_t i = 0; i < SETS; i++)
        if (runs_here(sets[i]) && (!name || strcmp(name, sets[i]->name) == 0))
            return sets[i];
    return NULL;
}

static const struct am_kernel_set *choose(void)
{
    const char *wanted = getenv("AMEND_KERNELS");
    const struct am_kernel_set *s = wanted ? find(wanted) : NULL;
    if (!s)
        s = find(NULL);
    atomic_store_explicit(&chosen, s, memory_order_relaxed);
    return s;
}

static inline const struct am_kernel_set *set(void)
{
    const struct am_kernel_set *s = atomic_load_explicit(&chosen, memory_order_relaxed);
    return s ? s : choose();
}

const char *am_kernels_name(void)
{
    return set()->name;
}

bool am_kernels_force(const char *name)
{
    const struct am_kernel_set *s = find(name);
    if (!s)
        return false;
    atomic_store_explicit(&chosen, s, memory_order_relaxed);
    return true;
}

#define INF32 0x7f800000u

bool am_load_f32(enum am_dtype from, const void *src, float *dst, size_t n)
{
    if (n == 0)
        return true;
    switch (from) {
    case AM_F16:
        return set()->load_f16(src, dst, n) < INF32;
    case AM_BF16:
        return set()->load_bf16(src, dst, n) < INF32;
    case AM_F64:
        return set()->load_f64(src, dst, n) < INF32;
    default: /* F32: the contract admits no other */
        memcpy(dst, src, n * sizeof(*dst));
        return true;
    }
}

static uint32_t magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u & 0x7fffffffu;
}

/* The first index whose magnitude bits are in [low, high), or n. */
static size_t first_within(const float *x, size_t n, uint32_t low, uint32_t high)
{
    size_t i = 0;
    while (i < n && (magnitude(x[i]) < low || magnitude(x[i]) >= high))
        i++;
    return i;
}

size_t am_store_f32(enum am_dtype to, const float *src, void *dst, size_t n, enum am_overflow overflow,
                    size_t *ret_first, bool *ret_finite)
{
    const unsigned clamp = overflow == AM_OVERFLOW_CLAMP;
    uint32_t passes =
        INF32; /* the least magnitude that rounds to infinity: half a step above the largest finite value */
    uint32_t most = 0;
    size_t over = 0;
    switch (to) {
    case AM_F16:
        over = set()->store_f16(src, dst, n, clamp, &most);
        passes = 0x477ff000u; /* 65520 */
        break;
    case AM_BF16:
        over = set()->store_bf16(src, dst, n, clamp, &most);
        passes = 0x7f7f8000u;
        break;
    case AM_F64:
        most = set()->store_f64(src, dst, n);
        break;
    default: /* F32: the contract admits no other */
        most = set()->store_f32(src, dst, n);
        break;
    }
    if (ret_finite)
        *ret_finite = most < INF32;
    if (over && ret_first)
        *ret_first = first_within(src, n, passes, INF32);
    return over;
}

size_t am_nonfinite_f32(const float *x, size_t n, size_t *ret_count)
{
    size_t count = set()->count_nonfinite(x, n);
    if (ret_count)
        *ret_count = count;
    return count ? first_within(x, n, INF32, UINT32_MAX) : n;
}

void am_copy_f32(float *out, const float *x, size_t n)
{
    if (n)
        memmove(out, x, n * sizeof(*out));
}

void am_scale_f32(float *out, float a, const float *x, size_t n)
{
    set()->scale(out, a, x, n);
}

void am_axpy_f32(float *out, float a, const float *x, size_t n)
{
    set()->axpy(out, a, x, n);
}

void am_div_f32(float *out, float a, size_t n)
{
    set()->div(out, a, n);
}

void am_sub_f32(float *out, const float *x, const float *y, size_t n)
{
    set()->sub(out, x, y, n);
}

void am_add_f32(float *out, const float *x, const float *y, size_t n)
{
    set()->add(out, x, y, n);
}

void am_axpy_rows_f32(float *out, const float *a, const float *x, size_t stride, size_t rows, size_t n)
{
    set()->axpy_rows(out, a, x, stride, rows, n);
}

void am_axpy_diff_f32(float *out, float a, const float *x, const float *y, size_t n)
{
    set()->axpy_diff(out, a, x, y, n);
}

void am_blend_f32(float *out, float a, const float *x, float b, const float *y, size_t n)
{
    set()->blend(out, a, x, b, y, n);
}

double am_block_dot(const float *x, const float *y, size_t n)
{
    return set()->block_dot(x, y, n);
}

struct am_dots am_block_dots(const float *x, const float *y, size_t n)
{
    return set()->block_dots(x, y, n);
}

double am_delta_square(float *d, const float *x, const float *y, size_t n)
{
    return set()->delta_square(d, x, y, n);
}

double am_add_square(float *out, float a, const float *x, const float *y, size_t n)
{
    return set()->add_square(out, a, x, y, n);
}

double am_block_sum(const float *x, size_t n)
{
    return set()->block_sum(x, n);
}

double am_block_sum_abs(const float *x, size_t n)
{
    return set()->block_sum_abs(x, n);
}

bool am_finite_bf16(const uint16_t *x, size_t n)
{
    return set()->most_bf16(x, n) < INF32 >> 16;
}

void am_sub_bf16(float *out, const uint16_t *x, const uint16_t *y, size_t n)
{
    set()->sub_bf16(out, x, y, n);
}

void am_blend_bf16(float *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n)
{
    set()->blend_bf16(out, a, x, b, y, n);
}

bool am_blend_to_bf16(uint16_t *out, float a, const uint16_t *x, float b, const uint16_t *y, size_t n)
{
    return set()->blend_to_bf16(out, a, x, b, y, n);
}

struct am_dots am_block_dots_bf16(const uint16_t *x, const uint16_t *y, size_t n)
{
    return set()->block_dots_bf16(x, y, n);
}

double am_delta_square_bf16(float *d, const uint16_t *x, const uint16_t *y, size_t n)
{
    return set()->delta_square_bf16(d, x, y, n);
}

double am_add_square_bf16(float *out, float a, const float *x, const uint16_t *y, size_t n)
{
    return set()->add_square_bf16(out, a, x, y, n);
}

struct am_frame_sums am_frame_bf16(const struct am_frame_of *how, uint16_t *out, const uint16_t *base,
                                   const uint16_t *const *x, size_t n)
{
    return set()->frame_bf16(how, out, base, x, n);
}

void am_random_words(uint32_t *out, size_t n, const uint32_t key[2], uint64_t first)
{
    set()->random_words(out, n, key[0], key[1], first);
}

size_t am_list_range(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *list, uint64_t *above)
{
    return set()->list_range(x, n, r, list, above);
}

size_t am_list_delta_bf16(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r, uint32_t *list,
                          uint64_t *above)
{
    return set()->list_delta_bf16(x, y, n, r, list, above);
}

size_t am_drop_keys(uint32_t *key, size_t n, const uint32_t *drop, uint32_t *counts)
{
    return set()->drop_keys(key, n, drop, counts);
}

uint64_t am_count_range(const float *x, size_t n, uint32_t low, uint32_t high, unsigned shift, uint32_t *bins)
{
    return set()->count_range(x, n, low, high, shift, bins);
}

size_t am_count_equal(const float *x, size_t n, uint32_t key)
{
    return set()->count_equal(x, n, key);
}

size_t am_keep_range(float *out, const float *x, size_t n, uint32_t low, uint32_t high)
{
    return set()->keep_range(out, x, n, low, high);
}

void am_random_mask(uint32_t *mask, size_t n, const uint32_t key[2], uint64_t first, uint32_t limit)
{
    set()->random_mask(mask, n, key[0], key[1], first, limit);
}

size_t am_keep_mask(float *out, const float *x, size_t n, const uint32_t *mask)
{
    return set()->keep_mask(out, x, n, mask);
}

struct am_sizes am_block_sum_abs_mask(const float *x, size_t n, const uint32_t *mask)
{
    return set()->sum_abs_mask(x, n, mask);
}

struct am_rank_odds am_rank_odds_of(double low, double rise, size_t n)
{
    uint64_t sure = (uint64_t)(low * 0x1p32 + 0.5), end = (uint64_t)((low + rise) * 0x1p32 + 0.5);
    uint64_t span = n > 1 && end > sure ? end - sure : 0;
    struct am_rank_odds odds = {.sure = sure, .span = span};
    if (span == 0)
        return odds;
    uint64_t rest = (n - 1) % span;
    for (odds.step = (n - 1) / span; odds.step < UINT64_C(1) << 31; odds.shift++) { /* one bit more */
        rest *= 2;
        odds.step = 2 * odds.step + (rest >= span);
        rest -= rest >= span ? span : 0;
    }
    return odds;
}

void am_rank_mask(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_odds *odds)
{
    set()->rank_mask(mask, d, word, n, odds);
}

size_t am_mark_own(float *own, const float *d, const float *sum, float limit, size_t n)
{
    return set()->mark_own(own, d, sum, limit, n);
}

size_t am_keep_own(float *out, float a, const float *x, const float *y, const float *own, float k, size_t n)
{
    return set()->keep_own(out, a, x, y, own, k, n);
}

void am_unify(float *out, const float *sum, const float *high, const float *low, size_t n)
{
    set()->unify(out, sum, high, low, n);
}

void am_widen_range(float *high, float *low, const float *x, size_t n)
{
    set()->widen_range(high, low, x, n);
}

void am_take_sign(float *out, const float *d, const float *x, size_t n)
{
    set()->take_sign(out, d, x, n);
}

size_t am_elect(const struct am_election *how, float *out, const float *const *d, size_t n, size_t *ret_thin)
{
    size_t thin = 0, conflicts = set()->elect(how, out, d, n, &thin);
    if (ret_thin)
        *ret_thin = thin;
    return conflicts;
}

void am_sort_columns(float *const *x, size_t m, size_t n)
{
    set()->sort_columns(x, m, n);
}

size_t am_nearswap_f32(float *out, float t, const float *x, const float *base, size_t n)
{
    return set()->nearswap(out, t, x, base, n);
}

void am_ram_f32(const struct am_ram *how, float *out, const float *base, const float *const *x, size_t n,
                struct am_ram_count *ret)
{
    set()->ram(how, out, base, x, n, ret);
}

void am_ram_count(const struct am_ram *how, const float *base, const float *const *x, size_t n, uint64_t *kept,
                  uint64_t *unique)
{
    set()->ram_count(how, base, x, n, kept, unique);
}

void am_variance_f32(float *out, const float *const *d, size_t inputs, size_t n)
{
    set()->variance(out, d, inputs, n);
}

size_t am_weigh_f32(const float *q, size_t inputs, float *out, const float *base, const float *const *d, size_t n)
{
    return set()->weigh(q, inputs, out, base, d, n);
}

float am_max_f32(const float *x, size_t n)
{
    return set()->block_max(x, n);
}

double am_block_exp(const float *x, double max, size_t n, float *high, float *low)
{
    return set()->block_exp(x, max, n, high, low);
}

double am_block_kl(const struct am_softmax *x, const struct am_softmax *s, size_t at, size_t n)
{
    return set()->block_kl(x, s, at, n);
}

void am_erase_f32(float *d, const float *v, size_t n)
{
    set()->erase(d, v, n);
}

void am_importance_f32(float *out, float kl, const float *x, const float *base, size_t n)
{
    set()->importance(out, kl, x, base, n);
}

size_t am_fuse_f32(float *out, float kl, float threshold, const float *x, const float *base, size_t n)
{
    return set()->fuse(out, kl, threshold, x, base, n);
}
