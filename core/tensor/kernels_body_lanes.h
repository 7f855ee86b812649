/*
 * kernels_body_lanes.h - a whole vector of floats at a time, and choices lane by lane. A part of kernels_body.h, not a
 * header.
 */

typedef float full __attribute__((vector_size(W * 8)));
typedef int32_t whole __attribute__((vector_size(W * 8))); /* comparisons give all ones for true */
typedef uint32_t words __attribute__((vector_size(W * 8)));
#define FULL ((size_t)(2 * W))
#define HIGH_HALF 0xffff0000u /* of a word */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* n < FULL at the end of arrays only: zeros follow. */
static ALWAYS_INLINE full take(const float *x, size_t n)
{
    full v = {0};
    memcpy(&v, x, n * sizeof(float));
    return v;
}

static ALWAYS_INLINE full size_of(full x)
{
    return (full)((whole)x & (int32_t)MAGNITUDE);
}

static ALWAYS_INLINE full pick(whole mask, full yes, full no)
{
    return (full)(((whole)yes & mask) | ((whole)no & ~mask));
}

static ALWAYS_INLINE full all_of(float a)
{
    const full zero = {0};
    return a - zero;
}

/* A word holds two BF16, which a shift and a mask widen: the even one (part 0) and the odd one. */
static ALWAYS_INLINE words words_of(const uint16_t *x)
{
    words v;
    memcpy(&v, x, sizeof(v));
    return v;
}

static ALWAYS_INLINE full part_of(words x, size_t part)
{
    return (full)(part ? x & HIGH_HALF : x << 16);
}

/* The way back: as finite_to_bf16(). NaN of arithmetic stay NaN. */
static ALWAYS_INLINE words rounded(full x) /* in the upper halves */
{
    words u = (words)x;
    return u + 0x7fff + (u >> 16 & 1);
}

static ALWAYS_INLINE words narrowed(full even, full odd)
{
    return rounded(even) >> 16 | (rounded(odd) & HIGH_HALF);
}

/* All ones for the BF16 of words that are infinite or NaN. */
typedef uint16_t halves __attribute__((vector_size(W * 8)));

static ALWAYS_INLINE halves not_finite(words x)
{
    return (halves)(((halves)x & 0x7f80) == 0x7f80);
}

static ALWAYS_INLINE bool none_of(const halves *found)
{
    unsigned any = 0;
    for (size_t j = 0; j < 4 * W; j++)
        any |= (*found)[j];
    return any == 0;
}

/* Of a sum of comparisons, which is 0 - how many in each lane. */
static ALWAYS_INLINE size_t add_counts(const whole *lanes)
{
    size_t count = 0;
    for (size_t j = 0; j < FULL; j++)
        count += 0 - (uint32_t)(*lanes)[j];
    return count;
}

/*
 * What a comparison says, for choices and counts. AVX-512 has registers of their own for it, which the compiler fills
 * and does not use.
 */
#if defined(__AVX512F__)

typedef __mmask16 choice;
typedef size_t tally;

static ALWAYS_INLINE choice none(void)
{
    return 0;
}

static ALWAYS_INLINE choice greater(whole a, whole b)
{
    return _mm512_cmpgt_epi32_mask((__m512i)a, (__m512i)b);
}

static ALWAYS_INLINE choice equal(whole a, whole b)
{
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}

static ALWAYS_INLINE choice plus_or_nan(full x)
{
    return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NLE_UQ);
}

static ALWAYS_INLINE choice minus(full x)
{
    return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_LT_OQ);
}

static ALWAYS_INLINE choice minus_or_nan(full x)
{
    return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NGE_UQ);
}

static ALWAYS_INLINE full chosen(choice c, full x) /* else +0 */
{
    return (full)_mm512_maskz_mov_ps(c, (__m512)x);
}

static ALWAYS_INLINE full plus_where(full x, choice c, full y) /* x, which is not -0, or x + y */
{
    return (full)_mm512_mask_add_ps((__m512)x, c, (__m512)x, (__m512)y);
}

static ALWAYS_INLINE full over_where(choice c, full x, full y) /* x / y, else x */
{
    return (full)_mm512_mask_div_ps((__m512)x, c, (__m512)x, (__m512)y);
}

static ALWAYS_INLINE void count(tally *t, choice c)
{
    *t += (size_t)__builtin_popcount(c);
}

static ALWAYS_INLINE size_t counted(const tally *t)
{
    return *t;
}

/* Those chosen, one after the other; what lies behind them, up to to[FULL - 1], is overwritten: who goes through an
   array never writes beyond what was read. Returns how many. */
static ALWAYS_INLINE size_t put(choice c, words x, uint32_t *to)
{
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(c, (__m512i)x));
    return (size_t)__builtin_popcount(c);
}

#else

typedef whole choice;
typedef whole tally; /* lane by lane; a row of 2^32 elements and more would not fit memory */

static ALWAYS_INLINE choice none(void)
{
    return (choice){0};
}

static ALWAYS_INLINE choice greater(whole a, whole b)
{
    return a > b;
}

static ALWAYS_INLINE choice equal(whole a, whole b)
{
    return a == b;
}

static ALWAYS_INLINE choice plus_or_nan(full x)
{
    const full zero = {0};
    return ~(x <= zero);
}

static ALWAYS_INLINE choice minus(full x)
{
    const full zero = {0};
    return x < zero;
}

static ALWAYS_INLINE choice minus_or_nan(full x)
{
    const full zero = {0};
    return ~(x >= zero);
}

static ALWAYS_INLINE full chosen(choice c, full x)
{
    return (full)((whole)x & c);
}

static ALWAYS_INLINE full plus_where(full x, choice c, full y)
{
    return x + (full)((whole)y & c);
}

static ALWAYS_INLINE full over_where(choice c, full x, full y)
{
    return x / (full)(((whole)y & c) | ((whole)all_of(1) & ~c));
}

static ALWAYS_INLINE void count(tally *t, choice c)
{
    *t += c;
}

static ALWAYS_INLINE size_t counted(const tally *t)
{
    return add_counts(t);
}

#if defined(__AVX2__)

/* For each set of lanes b, the lanes themselves in order, one a byte. */
#define BELOW(b, j) ((b) & ((1 << (j)) - 1))
#define COUNT4(b) (((b)&1) + ((b) >> 1 & 1) + ((b) >> 2 & 1) + ((b) >> 3 & 1))
#define COUNT8(b) (COUNT4(b) + COUNT4((b) >> 4))
#define LANE(b, j) ((uint64_t)((b) >> (j)&1) * (j) << 8 * COUNT8(BELOW(b, j)))
#define ORDER(b) (LANE(b, 1) | LANE(b, 2) | LANE(b, 3) | LANE(b, 4) | LANE(b, 5) | LANE(b, 6) | LANE(b, 7))
#define ORDER4(b) ORDER(b), ORDER((b) + 1), ORDER((b) + 2), ORDER((b) + 3)
#define ORDER16(b) ORDER4(b), ORDER4((b) + 4), ORDER4((b) + 8), ORDER4((b) + 12)
#define ORDER64(b) ORDER16(b), ORDER16((b) + 16), ORDER16((b) + 32), ORDER16((b) + 48)
static const uint64_t lane_order[256] = {ORDER64(0), ORDER64(64), ORDER64(128), ORDER64(192)};

static ALWAYS_INLINE size_t put(choice c, words x, uint32_t *to)
{
    unsigned lanes = (unsigned)_mm256_movemask_ps((__m256)c);
    __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)(lane_order + lanes)));
    _mm256_storeu_si256((__m256i_u *)to, _mm256_permutevar8x32_epi32((__m256i)x, order));
    return (size_t)__builtin_popcount(lanes);
}

#else

static ALWAYS_INLINE size_t put(choice c, words x, uint32_t *to)
{
    uint64_t pair[FULL / 2], any = 0;
    size_t k = 0;
    memcpy(pair, &c, sizeof(pair));
    for (size_t j = 0; j < FULL / 2; j++)
        any |= pair[j];
    for (size_t j = 0; any && j < FULL; j++) {
        to[k] = x[j];
        k += (size_t)(c[j] & 1);
    }
    return k;
}

#endif
#endif

/* Keys have 31 bits, so that signs are no matter. */
static ALWAYS_INLINE choice within(whole key, uint32_t low, uint32_t high)
{
    const whole zero = {0};
    return greater(key, zero + (int32_t)(low - 1)) & ~greater(key, zero + (int32_t)(high - 1));
}
