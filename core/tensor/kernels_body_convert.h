/*
 * kernels_body_convert.h - loads to f32 and stores from it. A part of kernels_body.h, not a header.
 */

/* ---- Loads: return the greatest magnitude, as bits ---- */

static inline uint32_t larger(uint32_t a, uint32_t b)
{
    return (int32_t)a > (int32_t)b ? a : b; /* magnitudes: no sign bit, and signed comparisons are the cheaper ones */
}

/* Subnormals: 2^-14 is added with the mantissa in place and subtracted again, which is exact. NaN is made quiet. */
static inline float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, u = (uint32_t)(h & 0x7fffu) << 13;
    int32_t place = (int32_t)u;         /* signed comparisons are the cheaper ones */
    uint32_t normal = u + (112u << 23); /* the difference of the biases */
    uint32_t special = (u + (224u << 23)) | (mask_of(place > 0x0f800000) & 1u << 22);
    uint32_t small = bits_of(float_of(u + (113u << 23)) - float_of(113u << 23));
    uint32_t r = place < 1 << 23 ? small : normal;
    return float_of((place >= 0x0f800000 ? special : r) | sign);
}

static uint32_t load_f16(const unsigned char *restrict src, float *restrict dst, size_t n)
{
    uint32_t most = 0;
    size_t i = 0;
#if defined(__F16C__) /* one instruction with the bits of from_f16; the compiler does not find it */
    __m256i top = _mm256_setzero_si256(), magnitude = _mm256_set1_epi32((int)MAGNITUDE);
    uint32_t tops[8];
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(src + 2 * i)));
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(x), magnitude));
        _mm256_storeu_ps(dst + i, x);
    }
    memcpy(tops, &top, sizeof(tops));
    for (size_t j = 0; j < 8; j++)
        most = larger(most, tops[j]);
#endif
    EACH_ELEMENT
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        dst[i] = from_f16(h);
        most = larger(most, bits_of(dst[i]) & MAGNITUDE);
    }
    return most;
}

static uint32_t load_bf16(const unsigned char *restrict src, float *restrict dst, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        uint32_t u = (uint32_t)h << 16;
        dst[i] = float_of(u);
        most = larger(most, u & MAGNITUDE);
    }
    return most;
}

static uint32_t load_f64(const unsigned char *restrict src, float *restrict dst, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, src + 8 * i, 8);
        float x = (float)d;
        dst[i] = x;
        most = larger(most, bits_of(x) & MAGNITUDE);
    }
    return most;
}

/* ---- Stores ---- */

/*
 * To 16 bits, a block at a time: first as if no element rounded to infinity, with the greatest magnitude taken along.
 * When one did (or is a NaN), which is rare, the block is stored again with care.
 */
#define F16_PASSES 0x477ff000u  /* 65520 and 2^128 - 2^119: the least magnitudes that round to infinity, */
#define BF16_PASSES 0x7f7f8000u /* half a step above the largest finite value */
#define BLOCK 4096

/* Below 2^-14 the addition of 1/2 rounds at the place of the last subnormal bit. Right for magnitudes below 65536. */
static inline uint32_t finite_to_f16(uint32_t u)
{
    uint32_t sign = u >> 16 & 0x8000u, a = u & MAGNITUDE;
    uint32_t normal = (a - (112u << 23) + 0xfffu + (a >> 13 & 1u)) >> 13;
    uint32_t small = bits_of(float_of(a) + 0.5f) - bits_of(0.5f);
    return ((int32_t)a < (int32_t)(113u << 23) ? small : normal) | sign;
}

static inline uint32_t finite_to_bf16(uint32_t u)
{
    return (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
}

static uint32_t store_f16_fast(const float *restrict src, unsigned char *restrict dst, size_t n)
{
    uint32_t most = 0;
    size_t i = 0;
#if defined(__F16C__) /* the bits of finite_to_f16 */
    __m256i top = _mm256_setzero_si256(), magnitude = _mm256_set1_epi32((int)MAGNITUDE);
    uint32_t tops[8];
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(src + i);
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(x), magnitude));
        _mm_storeu_si128((__m128i_u *)(dst + 2 * i), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    memcpy(tops, &top, sizeof(tops));
    for (size_t j = 0; j < 8; j++)
        most = larger(most, tops[j]);
#endif
    EACH_ELEMENT
    for (; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        uint16_t h = (uint16_t)finite_to_f16(u);
        memcpy(dst + 2 * i, &h, 2);
        most = larger(most, u & MAGNITUDE);
    }
    return most;
}

static uint32_t store_bf16_fast(const float *restrict src, unsigned char *restrict dst, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        uint16_t h = (uint16_t)finite_to_bf16(u);
        memcpy(dst + 2 * i, &h, 2);
        most = larger(most, u & MAGNITUDE);
    }
    return most;
}

/* The block again, where what is finite and what fits is right already. Returns how many finite values did not fit. */
static size_t store_special(const float *src, unsigned char *dst, size_t n, uint32_t passes, uint16_t infinite,
                            unsigned clamp)
{
    size_t over = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]), a = u & MAGNITUDE;
        if (a < passes)
            continue;
        uint16_t h = (uint16_t)(infinite | (u >> 16 & 0x8000u));
        if (a > INF32)
            h = infinite == 0x7c00 ? 0x7e00 : 0x7fc0;
        else if (a < INF32) {
            h = (uint16_t)(h - clamp); /* the largest finite value is the pattern below infinity */
            over++;
        }
        memcpy(dst + 2 * i, &h, 2);
    }
    return over;
}

static size_t store_f16(const float *src, unsigned char *dst, size_t n, unsigned clamp, uint32_t *most)
{
    size_t over = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = least(BLOCK, n - i);
        uint32_t top = store_f16_fast(src + i, dst + 2 * i, m);
        if (top >= F16_PASSES)
            over += store_special(src + i, dst + 2 * i, m, F16_PASSES, 0x7c00, clamp);
        *most = larger(*most, top);
    }
    return over;
}

static size_t store_bf16(const float *src, unsigned char *dst, size_t n, unsigned clamp, uint32_t *most)
{
    size_t over = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = least(BLOCK, n - i);
        uint32_t top = store_bf16_fast(src + i, dst + 2 * i, m);
        if (top >= BF16_PASSES)
            over += store_special(src + i, dst + 2 * i, m, BF16_PASSES, 0x7f80, clamp);
        *most = larger(*most, top);
    }
    return over;
}

static uint32_t store_f32(const float *restrict src, unsigned char *restrict dst, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        most = larger(most, u & MAGNITUDE);
        u = (u & MAGNITUDE) > INF32 ? NAN32 : u;
        memcpy(dst + 4 * i, &u, 4);
    }
    return most;
}

static uint32_t store_f64(const float *restrict src, unsigned char *restrict dst, size_t n)
{
    uint32_t most = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        most = larger(most, u & MAGNITUDE);
        double d = float_of((u & MAGNITUDE) > INF32 ? NAN32 : u); /* widening keeps the canonical NaN */
        memcpy(dst + 8 * i, &d, 8);
    }
    return most;
}
