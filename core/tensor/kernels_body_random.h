/*
 * kernels_body_random.h - the counter-based generator Philox4x32-10 (Salmon et al., SC 2011). A part of kernels_body.h,
 * not a header.
 */

#define LANES 16
#define GROUP_WORDS 64 /* sixteen counters side by side give four words each */

/* The keys of the ten rounds. The 64 words of group `group`: element i of it is word i / 16 of counter
   16 * group + i % 16 (merge.md A5). */
#define ROUNDS 10
#define KEY_STEP0 0x9e3779b9u
#define KEY_STEP1 0xbb67ae85u
#define FACTOR0 0xd2511f53u
#define FACTOR1 0xcd9e8d57u
#if defined(__AVX2__) && defined(__F16C__)

struct round_keys {
    __m256i of[ROUNDS][2];
    uint32_t plain[2][2]; /* of the first two rounds */
};

static void make_keys(struct round_keys *k, uint32_t k0, uint32_t k1)
{
    for (uint32_t r = 0; r < ROUNDS; r++, k0 += KEY_STEP0, k1 += KEY_STEP1) {
        k->of[r][0] = _mm256_set1_epi32((int)k0);
        k->of[r][1] = _mm256_set1_epi32((int)k1);
        if (r < 2) {
            k->plain[r][0] = k0;
            k->plain[r][1] = k1;
        }
    }
}

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

static inline struct lanes turn(struct lanes x, const __m256i key[2])
{
    __m256i p, q, low_p, low_q;
    multiply(x.a, _mm256_set1_epi64x(FACTOR0), &p, &low_p);
    multiply(x.c, _mm256_set1_epi64x(FACTOR1), &q, &low_q);
    return (struct lanes){.a = _mm256_xor_si256(_mm256_xor_si256(q, x.b), key[0]),
                          .b = low_q,
                          .c = _mm256_xor_si256(_mm256_xor_si256(p, x.d), key[1]),
                          .d = low_p};
}

/* The first two rounds, in which half of the products are of zeros or the same in all lanes. */
static inline struct lanes turn_twice(__m256i low, uint32_t high, const struct round_keys *k)
{
    __m256i p, q, low_p, low_q;
    uint64_t same = (uint64_t)FACTOR0 * (high ^ k->plain[0][0]);
    multiply(low, _mm256_set1_epi64x(FACTOR0), &p, &low_p);
    multiply(_mm256_xor_si256(p, k->of[0][1]), _mm256_set1_epi64x(FACTOR1), &q, &low_q);
    return (struct lanes){
        .a = _mm256_xor_si256(q, k->of[1][0]),
        .b = low_q,
        .c = _mm256_xor_si256(low_p, _mm256_set1_epi32((int)((uint32_t)(same >> 32) ^ k->plain[1][1]))),
        .d = _mm256_set1_epi32((int)(uint32_t)same),
    };
}

static inline void random_lanes(__m256i word[8], const struct round_keys *k, uint64_t group)
{
    const __m256i step = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    uint64_t first = LANES * group; /* a multiple of 16: the upper half is the same in all of them */
    __m256i low = _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)first), step);
    struct lanes x = turn_twice(low, (uint32_t)(first >> 32), k);
    struct lanes y = turn_twice(_mm256_add_epi32(low, _mm256_set1_epi32(8)), (uint32_t)(first >> 32), k);
    for (int round = 2; round < ROUNDS; round++) {
        x = turn(x, k->of[round]);
        y = turn(y, k->of[round]);
    }
    word[0] = x.a;
    word[1] = y.a;
    word[2] = x.b;
    word[3] = y.b;
    word[4] = x.c;
    word[5] = y.c;
    word[6] = x.d;
    word[7] = y.d;
}

static void random_group(uint32_t *out, const struct round_keys *k, uint64_t group)
{
    __m256i word[8];
    random_lanes(word, k, group);
    for (size_t v = 0; v < 8; v++)
        _mm256_storeu_si256((__m256i_u *)(out + 8 * v), word[v]);
}

/* Bit i: word i of the group is below the limit. */
static void mask_group(uint32_t mask[2], const struct round_keys *k, uint64_t group, uint32_t limit)
{
    const __m256i sign = _mm256_set1_epi32((int)SIGN), less = _mm256_set1_epi32((int)(limit ^ SIGN));
    __m256i word[8];
    uint64_t bits = 0;
    random_lanes(word, k, group);
    for (unsigned v = 0; v < 8; v++) {
        __m256i in = _mm256_cmpgt_epi32(less, _mm256_xor_si256(word[v], sign));
        bits |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(in)) << 8 * v;
    }
    mask[0] = (uint32_t)bits;
    mask[1] = (uint32_t)(bits >> 32);
}

#else

struct round_keys {
    uint32_t of[ROUNDS][2];
};

static void make_keys(struct round_keys *k, uint32_t k0, uint32_t k1)
{
    for (uint32_t r = 0; r < ROUNDS; r++, k0 += KEY_STEP0, k1 += KEY_STEP1) {
        k->of[r][0] = k0;
        k->of[r][1] = k1;
    }
}

static void random_group(uint32_t *out, const struct round_keys *k, uint64_t group)
{
    uint32_t a[LANES], b[LANES], c[LANES], d[LANES];
    for (uint32_t j = 0; j < LANES; j++) {
        uint64_t counter = LANES * group + j;
        a[j] = (uint32_t)counter;
        b[j] = (uint32_t)(counter >> 32);
        c[j] = d[j] = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t j = 0; j < LANES; j++) {
            uint64_t p = (uint64_t)FACTOR0 * a[j], q = (uint64_t)FACTOR1 * c[j];
            a[j] = (uint32_t)(q >> 32) ^ b[j] ^ k->of[round][0];
            b[j] = (uint32_t)q;
            c[j] = (uint32_t)(p >> 32) ^ d[j] ^ k->of[round][1];
            d[j] = (uint32_t)p;
        }
    }
    memcpy(out, a, sizeof(a));
    memcpy(out + LANES, b, sizeof(b));
    memcpy(out + 2 * LANES, c, sizeof(c));
    memcpy(out + 3 * LANES, d, sizeof(d));
}

static void mask_group(uint32_t mask[2], const struct round_keys *k, uint64_t group, uint32_t limit)
{
    uint32_t word[GROUP_WORDS];
    random_group(word, k, group);
    mask[0] = mask[1] = 0;
    for (size_t i = 0; i < GROUP_WORDS; i++)
        mask[i / 32] |= (uint32_t)(word[i] < limit) << i % 32;
}

#endif

static void random_words(uint32_t *out, size_t n, uint32_t k0, uint32_t k1, uint64_t first)
{
    uint32_t word[GROUP_WORDS];
    struct round_keys keys;
    make_keys(&keys, k0, k1);
    while (n > 0) {
        size_t skip = (size_t)(first % GROUP_WORDS), m = least(GROUP_WORDS - skip, n);
        random_group(m == GROUP_WORDS ? out : word, &keys, first / GROUP_WORDS);
        if (m < GROUP_WORDS)
            memcpy(out, word + skip, m * sizeof(*out));
        out += m;
        first += m;
        n -= m;
    }
}

/* Groups begin where the mask's words do; else, bit by bit. */
static void random_mask(uint32_t *mask, size_t n, uint32_t k0, uint32_t k1, uint64_t first, uint32_t limit)
{
    uint32_t word[GROUP_WORDS];
    struct round_keys keys;
    size_t i = 0;
    make_keys(&keys, k0, k1);
    for (; first % GROUP_WORDS == 0 && i + GROUP_WORDS <= n; i += GROUP_WORDS)
        mask_group(mask + i / 32, &keys, (first + i) / GROUP_WORDS, limit);
    if (i < n)
        memset(mask + i / 32, 0, (n - i + 31) / 32 * sizeof(*mask));
    while (i < n) {
        size_t skip = (size_t)((first + i) % GROUP_WORDS), m = least(GROUP_WORDS - skip, n - i);
        random_group(word, &keys, (first + i) / GROUP_WORDS);
        for (size_t k = 0; k < m; k++, i++)
            mask[i / 32] |= (uint32_t)(word[skip + k] < limit) << i % 32;
    }
}

/* ---- Bits of a mask ---- */

static inline float where(uint32_t bits, size_t j, float x)
{
    return float_of(bits_of(x) & (0 - (bits >> (uint32_t)j & 1)));
}

static size_t keep_mask(float *out, const float *x, size_t n, const uint32_t *mask)
{
    size_t count = 0, i = 0;
    for (; i + 32 <= n; i += 32) {
        uint32_t bits = mask[i / 32];
        count += (size_t)__builtin_popcount(bits);
        EACH_ELEMENT
        for (size_t j = 0; j < 32; j++)
            out[i + j] = where(bits, j, x[i + j]);
    }
    for (size_t j = 0; i + j < n; j++) {
        out[i + j] = where(mask[i / 32], j, x[i + j]);
        count += mask[i / 32] >> j & 1;
    }
    return count;
}

/* Lanes as in block_sum_abs(). */
static struct am_sizes sum_abs_mask(const float *x, size_t n, const uint32_t *mask)
{
    wide all[V] = {0}, kept[V] = {0};
    double lane[2][16];
    float a[32], b[32];
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        uint32_t bits = mask[i / 32];
        EACH_ELEMENT
        for (size_t j = 0; j < 32; j++) {
            a[j] = float_of(bits_of(x[i + j]) & MAGNITUDE);
            b[j] = where(bits, j, a[j]);
        }
        for (size_t v = 0; v < 2 * V; v++) {
            all[v % V] += widen(a + v * W);
            kept[v % V] += widen(b + v * W);
        }
    }
    memcpy(lane[0], all, sizeof(lane[0]));
    memcpy(lane[1], kept, sizeof(lane[1]));
    for (size_t j = 0; i < n; i++, j++) {
        float size = float_of(bits_of(x[i]) & MAGNITUDE);
        lane[0][j % 16] += (double)size;
        lane[1][j % 16] += (double)where(mask[i / 32], j, size);
    }
    return (struct am_sizes){.all = add_lanes(lane[0]), .kept = add_lanes(lane[1])};
}

#undef ROUNDS
#undef LANES
#undef GROUP_WORDS
