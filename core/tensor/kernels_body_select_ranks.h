/*
 * kernels_body_select_ranks.h - what keeping entries by the rank of their magnitude does with a whole vector
 * (core/merge/ _ranks.h). A part of kernels_body.h, not a header.
 */

static uint32_t rank_keys(const float *d, uint32_t *key, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        key[i] = bits_of(d[i]) & MAGNITUDE;
        most = larger(most, key[i]);
    }
    return most;
}

static inline uint32_t rank_bin(const struct am_rank_split *how, uint32_t key)
{
    int32_t bin = (int32_t)(key >> how->shift) - (int32_t)how->least;
    return (uint32_t)(bin > 0 ? bin : 0);
}

static size_t rank_split(const struct am_rank_split *how, const uint32_t *word, const uint32_t *key, size_t n,
                         uint32_t *bin, uint32_t *open, uint32_t *mask, size_t *ret_sure)
{
    size_t k = 0, sure = 0, i = 0;
    memset(mask, 0, (n + 31) / 32 * sizeof(*mask));
#if defined(__AVX2__) /* as gather_hits() */
    const __m256i low = _mm256_set1_epi32((int)how->sure), high = _mm256_set1_epi32((int)how->last),
                  least_bin = _mm256_set1_epi32((int)how->least), zero = _mm256_setzero_si256();
    const __m128i shift = _mm_cvtsi32_si128((int)how->shift);
    for (; i + 8 <= n; i += 8) {
        __m256i w = _mm256_loadu_si256((const __m256i_u *)(word + i));
        __m256i u = _mm256_loadu_si256((const __m256i_u *)(key + i));
        __m256i b = _mm256_max_epi32(_mm256_sub_epi32(_mm256_srl_epi32(u, shift), least_bin), zero);
        _mm256_storeu_si256((__m256i_u *)(bin + i), b);
        __m256i asks = _mm256_cmpeq_epi32(_mm256_max_epu32(w, low), w);
        __m256i stays = _mm256_cmpeq_epi32(_mm256_min_epu32(w, high), w);
        unsigned ask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(asks));
        unsigned stay = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(stays)), lanes = ask & stay;
        mask[i / 32] |= stay << i % 32;
        sure += 8 - (size_t)__builtin_popcount(ask);
        __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)(lane_order + lanes)));
        _mm256_storeu_si256((__m256i_u *)(open + k), _mm256_add_epi32(order, _mm256_set1_epi32((int)(uint32_t)i)));
        k += (size_t)__builtin_popcount(lanes);
    }
#endif
    for (; i < n; i++) {
        uint32_t ask = word[i] >= how->sure, stay = word[i] <= how->last;
        bin[i] = rank_bin(how, key[i]);
        mask[i / 32] |= stay << i % 32;
        sure += !ask;
        open[k] = (uint32_t)i;
        k += ask & stay;
    }
    *ret_sure = sure;
    return k;
}

/* How many are below a limit. */
static uint32_t count_below(const uint32_t *key, size_t n, uint32_t limit)
{
    uint32_t count = 0;
    size_t i = 0;
#if defined(__AVX2__) /* the compiler does not unroll the sum */
    const __m256i most = _mm256_set1_epi32((int)limit);
    __m256i sum[4] = {0};
    uint32_t lane[8];
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 4; j++) {
            __m256i u = _mm256_loadu_si256((const __m256i_u *)(key + i + 8 * j));
            sum[j] = _mm256_sub_epi32(sum[j], _mm256_cmpgt_epi32(most, u));
        }
    for (; i + 8 <= n; i += 8) {
        __m256i u = _mm256_loadu_si256((const __m256i_u *)(key + i));
        sum[0] = _mm256_sub_epi32(sum[0], _mm256_cmpgt_epi32(most, u));
    }
    sum[0] = _mm256_add_epi32(_mm256_add_epi32(sum[0], sum[1]), _mm256_add_epi32(sum[2], sum[3]));
    _mm256_storeu_si256((__m256i_u *)lane, sum[0]);
    for (size_t j = 0; j < 8; j++)
        count += lane[j];
#endif
    for (; i < n; i++)
        count += (int32_t)key[i] < (int32_t)limit;
    return count;
}

/* Of equal keys the later one is the smaller. No key is the largest number there is. */
static size_t rank_of(const uint32_t *key, size_t n, size_t i)
{
    return count_below(key, i, key[i]) + count_below(key + i + 1, n - i - 1, key[i] + 1);
}
