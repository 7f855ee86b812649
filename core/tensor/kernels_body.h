/*
 * kernels_body.h - the loops over elements, written once. Not a header: only kernels_generic.c, kernels_avx2.c and
 * kernels_avx512.c include it, each with other compiler flags, a SET_NAME and a SET_TABLE. Its parts are the files
 * that it includes.
 *
 * Written for the vectoriser of gcc 12: no branches on elements, no early exits, counts in 32 bits per chunk, masks as
 * integer arithmetic. Every written operation is one rounding (-ffp-contract=off), so whatever the compiler's choice
 * the bits are those of the plain reading. Outputs may be an input itself (the same element), never a shifted part.
 */
#include "core/tensor/kernels_set.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>
#endif

#define INF32 0x7f800000u
#define NAN32 0x7fc00000u
#define MAGNITUDE 0x7fffffffu
#define SIGN 0x80000000u
#define CHUNK ((size_t)1 << 20) /* counts within a chunk fit 32 bits */
#define ROWS AM_KERNEL_ARRAYS

/* No iteration touches what another one writes. (clang finds out at run time.) */
#if defined(__clang__)
#define EACH_ELEMENT
#else
#define EACH_ELEMENT _Pragma("GCC ivdep")
#endif

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* All ones when true. With these two a choice cannot become a branch. */
static inline uint32_t mask_of(bool b)
{
    return 0 - (uint32_t)b;
}

static inline float choose(uint32_t mask, float yes, float no)
{
    return float_of((bits_of(yes) & mask) | (bits_of(no) & ~mask));
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

#include "core/tensor/kernels_body_arith.h"

#include "core/tensor/kernels_body_lanes.h"

#include "core/tensor/kernels_body_bf16.h"
#include "core/tensor/kernels_body_convert.h"
#include "core/tensor/kernels_body_elect.h"
#include "core/tensor/kernels_body_frame.h"
#include "core/tensor/kernels_body_kl.h"
#include "core/tensor/kernels_body_random.h"
#include "core/tensor/kernels_body_ranks.h"
#include "core/tensor/kernels_body_select.h"
#include "core/tensor/kernels_body_swap.h"
#include "core/tensor/kernels_body_tasks.h"

const struct am_kernel_set SET_TABLE = {
    .name = SET_NAME,
    .load_f16 = load_f16,
    .load_bf16 = load_bf16,
    .load_f64 = load_f64,
    .store_f16 = store_f16,
    .store_bf16 = store_bf16,
    .store_f32 = store_f32,
    .store_f64 = store_f64,
    .count_nonfinite = count_nonfinite,
    .scale = scale,
    .axpy = axpy,
    .div = divide,
    .sub = sub,
    .add = add,
    .axpy_rows = axpy_rows,
    .axpy_diff = axpy_diff,
    .blend = blend,
    .block_dot = block_dot,
    .block_dots = block_dots,
    .delta_square = delta_square,
    .add_square = add_square,
    .block_sum = block_sum,
    .block_sum_abs = block_sum_abs,
    .most_bf16 = most_bf16,
    .sub_bf16 = sub_bf16,
    .blend_bf16 = blend_bf16,
    .blend_to_bf16 = blend_to_bf16,
    .block_dots_bf16 = block_dots_bf16,
    .delta_square_bf16 = delta_square_bf16,
    .add_square_bf16 = add_square_bf16,
    .frame_bf16 = frame_bf16,
    .count_range = count_range,
    .list_range = list_range,
    .list_delta_bf16 = list_delta_bf16,
    .drop_keys = drop_keys,
    .random_words = random_words,
    .count_equal = count_equal,
    .keep_range = keep_range,
    .random_mask = random_mask,
    .keep_mask = keep_mask,
    .sum_abs_mask = sum_abs_mask,
    .rank_mask = rank_mask,
    .mark_own = mark_own,
    .keep_own = keep_own,
    .unify = unify,
    .widen_range = widen_range,
    .take_sign = take_sign,
    .elect = elect,
    .sort_columns = sort_columns,
    .nearswap = nearswap,
    .ram = ram,
    .ram_count = ram_count,
    .variance = variance,
    .weigh = weigh,
    .block_max = block_max,
    .block_exp = block_exp,
    .block_kl = block_kl,
    .erase = erase,
    .importance = importance,
    .fuse = fuse,
};
