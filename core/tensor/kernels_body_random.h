/*
 * kernels_body_random.h - the counter-based generator Philox4x32-10 (Salmon et al., SC 2011). A part of kernels_body.h,
 * not a header.
 */

#define LANES 16
#define GROUP_WORDS 64 /* sixteen counters side by side give four words each */

/* The 64 words of group `group`: element i of it is word i / 16 of counter 16 * group + i % 16 (merge.md A5). */
#if defined(__AVX2__) && defined(__F16C__)

/* Eight counters. The products are of 32 by 32 bits: those of even lanes, and those of odd ones. */
struct lanes {
    __m256i a, b, c, d;
};

static inline void multiply(__m256i x, __m256i by, __m256i *high, __m256i *low)
{
    __m256i even = _mm256_mul_epu32(x, by), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), by);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

static inline struct lanes turn(struct lanes x, __m256i k0, __m256i k1)
{
    __m256i p, q, low_p, low_q;
    multiply(x.a, _mm256_set1_epi64x(0xd2511f53), &p, &low_p);
    multiply(x.c, _mm256_set1_epi64x(0xcd9e8d57), &q, &low_q);
    return (struct lanes){.a = _mm256_xor_si256(_mm256_xor_si256(q, x.b), k0),
                          .b = low_q,
                          .c = _mm256_xor_si256(_mm256_xor_si256(p, x.d), k1),
                          .d = low_p};
}

static void random_group(uint32_t out[GROUP_WORDS], uint32_t k0, uint32_t k1, uint64_t group)
{
    const __m256i step = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    uint64_t first = LANES * group; /* a multiple of 16: the upper half is the same in all of them */
    __m256i low = _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)first), step);
    struct lanes x = {.a = low, .b = _mm256_set1_epi32((int)(uint32_t)(first >> 32))}, y;
    x.c = x.d = _mm256_setzero_si256();
    y = x;
    y.a = _mm256_add_epi32(low, _mm256_set1_epi32(8));
    for (int round = 0; round < 10; round++) {
        __m256i key0 = _mm256_set1_epi32((int)k0), key1 = _mm256_set1_epi32((int)k1);
        x = turn(x, key0, key1);
        y = turn(y, key0, key1);
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    const __m256i words[8] = {x.a, y.a, x.b, y.b, x.c, y.c, x.d, y.d};
    memcpy(out, words, sizeof(words));
}

#else

static void random_group(uint32_t out[GROUP_WORDS], uint32_t k0, uint32_t k1, uint64_t group)
{
    uint32_t a[LANES], b[LANES], c[LANES], d[LANES];
    for (uint32_t j = 0; j < LANES; j++) {
        uint64_t counter = LANES * group + j;
        a[j] = (uint32_t)counter;
        b[j] = (uint32_t)(counter >> 32);
        c[j] = d[j] = 0;
    }
    for (int round = 0; round < 10; round++) {
        for (size_t j = 0; j < LANES; j++) {
            uint64_t p = (uint64_t)0xd2511f53u * a[j], q = (uint64_t)0xcd9e8d57u * c[j];
            a[j] = (uint32_t)(q >> 32) ^ b[j] ^ k0;
            b[j] = (uint32_t)q;
            c[j] = (uint32_t)(p >> 32) ^ d[j] ^ k1;
            d[j] = (uint32_t)p;
        }
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    memcpy(out, a, sizeof(a));
    memcpy(out + LANES, b, sizeof(b));
    memcpy(out + 2 * LANES, c, sizeof(c));
    memcpy(out + 3 * LANES, d, sizeof(d));
}

#endif

static void random_words(uint32_t *out, size_t n, uint32_t k0, uint32_t k1, uint64_t first)
{
    uint32_t word[GROUP_WORDS];
    while (n > 0) {
        size_t skip = (size_t)(first % GROUP_WORDS), m = least(GROUP_WORDS - skip, n);
        random_group(word, k0, k1, first / GROUP_WORDS);
        memcpy(out, word + skip, m * sizeof(*out));
        out += m;
        first += m;
        n -= m;
    }
}

static size_t keep_words(float *out, const float *x, const uint32_t *word, size_t n, uint32_t limit)
{
    uint32_t count = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t in = word[i] < limit;
        out[i] = float_of(bits_of(x[i]) & (0 - in));
        count += in;
    }
    return count;
}

static size_t keep_random(float *out, const float *x, size_t n, uint32_t k0, uint32_t k1, uint64_t first,
                          uint32_t limit)
{
    uint32_t word[GROUP_WORDS];
    size_t count = 0;
    while (n > 0) {
        size_t skip = (size_t)(first % GROUP_WORDS), m = least(GROUP_WORDS - skip, n);
        random_group(word, k0, k1, first / GROUP_WORDS);
        count +=
            m == GROUP_WORDS ? keep_words(out, x, word, GROUP_WORDS, limit) : keep_words(out, x, word + skip, m, limit);
        out += m;
        x += m;
        first += m;
        n -= m;
    }
    return count;
}

#undef LANES
#undef GROUP_WORDS
