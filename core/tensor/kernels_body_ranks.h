/*
 * kernels_body_ranks.h - entries kept by chance and the rank of their magnitude, by a comparison with another entry. A
 * part of kernels_body.h, not a header.
 */

static inline bool rank_keeps(const struct am_rank_odds *odds, const float *d, uint32_t word, size_t i)
{
    if (word < odds->sure)
        return true;
    if (word - odds->sure >= odds->span)
        return false;
    size_t other = (size_t)((word - odds->sure) * odds->step >> odds->shift);
    other += other >= i;
    uint32_t own = bits_of(d[i]) & MAGNITUDE, its = bits_of(d[other]) & MAGNITUDE;
    return own > its || (own == its && i < other);
}

#if defined(__AVX2__)

/* The upper bits of products with numbers of 32 bits. */
static inline __m256i times(__m256i x, const struct am_rank_odds *odds)
{
    const __m256i step = _mm256_set1_epi64x((int64_t)odds->step);
    const __m128i shift = _mm_cvtsi32_si128((int)odds->shift);
    __m256i even = _mm256_srl_epi64(_mm256_mul_epu32(x, step), shift);
    __m256i odd = _mm256_srl_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), step), shift);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

/* Eight of d. The instruction for it takes twice as long. */
static inline __m256i pick_lanes(const float *d, const uint32_t *at)
{
    return _mm256_castps_si256(
        _mm256_setr_ps(d[at[0]], d[at[1]], d[at[2]], d[at[3]], d[at[4]], d[at[5]], d[at[6]], d[at[7]]));
}

/* The places of eight entries; the next eight are place + 8. */
static inline __m256i places_from(size_t i)
{
    return _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)i), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline uint32_t bits_of_lanes(__m256i x)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(x));
}

#define RANKED 128 /* entries at a time */
struct named {
    uint32_t other[RANKED];
    unsigned char stays[RANKED / 8]; /* a bit each */
};

/* What the words from the i-th on say; odds->span > 0. Who need not ask is named himself: nobody is larger than that.
 */
static void name_others(const struct am_rank_odds *odds, const uint32_t *word, size_t i, struct named *ret)
{
    const __m256i sure = _mm256_set1_epi32((int)(uint32_t)odds->sure),
                  last = _mm256_set1_epi32((int)(uint32_t)(odds->span - 1)), eight = _mm256_set1_epi32(8);
    __m256i place = places_from(i);
    for (size_t v = 0; v < RANKED / 8; v++, place = _mm256_add_epi32(place, eight)) {
        __m256i w = _mm256_loadu_si256((const __m256i_u *)(word + i + 8 * v)), off = _mm256_sub_epi32(w, sure);
        __m256i from = _mm256_cmpeq_epi32(_mm256_max_epu32(w, sure), w);
        __m256i asks = _mm256_and_si256(from, _mm256_cmpeq_epi32(_mm256_min_epu32(off, last), off));
        __m256i at = times(off, odds);
        at = _mm256_sub_epi32(at, _mm256_cmpeq_epi32(_mm256_max_epi32(at, place), at)); /* not itself */
        at = _mm256_blendv_epi8(place, at, asks);
        _mm256_storeu_si256((__m256i_u *)(ret->other + 8 * v), at);
        ret->stays[v] = (unsigned char)~bits_of_lanes(from);
    }
}

/* Entries from the i-th on: those that stay, and those that are larger than the other one. */
static void rank_lanes(const float *d, size_t i, const struct named *by, unsigned char *mask)
{
    const __m256i magnitude = _mm256_set1_epi32((int)MAGNITUDE), eight = _mm256_set1_epi32(8);
    __m256i place = places_from(i);
    for (size_t v = 0; v < RANKED / 8; v++, place = _mm256_add_epi32(place, eight)) {
        __m256i own = _mm256_and_si256(_mm256_loadu_si256((const __m256i_u *)(d + i + 8 * v)), magnitude);
        __m256i its = _mm256_and_si256(pick_lanes(d, by->other + 8 * v), magnitude);
        __m256i other = _mm256_loadu_si256((const __m256i_u *)(by->other + 8 * v));
        its = _mm256_add_epi32(its, _mm256_cmpgt_epi32(other, place)); /* it loses to its equals */
        mask[v] = by->stays[v] | (unsigned char)bits_of_lanes(_mm256_cmpgt_epi32(own, its));
    }
}

#endif

static void rank_mask(uint32_t *mask, const float *d, const uint32_t *word, size_t n, const struct am_rank_odds *odds)
{
    size_t i = 0;
#if defined(__AVX2__)
    struct named by;
    for (; odds->span && i + RANKED <= n; i += RANKED) {
        name_others(odds, word, i, &by);
        rank_lanes(d, i, &by, (unsigned char *)(mask + i / 32));
    }
#endif
    memset(mask + i / 32, 0, (n - i + 31) / 32 * sizeof(*mask));
    for (; i < n; i++)
        mask[i / 32] |= (uint32_t)rank_keeps(odds, d, word[i], i) << i % 32;
}
