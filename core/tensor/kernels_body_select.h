/*
 * kernels_body_select.h - selection by magnitude, and sorting. A part of kernels_body.h, not a header.
 */

/* ---- Selection by magnitude ---- */

#define GROUP 256

/* Of a group's values those whose flag is 1; the flags behind the n-th are 0. Returns how many. */
static size_t move_together(const uint32_t *value, const unsigned char in[GROUP], size_t n, uint32_t *hits)
{
    uint32_t total = 0;
    size_t k = 0;
    for (size_t i = 0; i < GROUP; i++)
        total += in[i];
    if (total > GROUP / 4) { /* many: each is written, and the next one over it when it is no hit */
        for (size_t i = 0; i < n; i++) {
            hits[k] = value[i];
            k += in[i];
        }
        return k;
    }
    for (size_t i = 0; i < GROUP; i += 8) { /* few: from hit to hit, eight flags at a time */
        uint64_t flags;
        memcpy(&flags, in + i, 8);
        for (; flags; flags &= flags - 1)
            hits[k++] = value[i + (size_t)__builtin_ctzll(flags) / 8];
    }
    return k;
}

/*
 * Increments of bins are scalar; so that only hits get there, the offsets of hits (u - low < span) are first moved
 * together, without a branch on an element. `hits` has room for GROUP and 8 more. Returns how many.
 */
#if defined(__AVX2__) /* the compiler does not find the permutation */

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

static size_t gather_hits(const float *x, size_t n, uint32_t low, uint32_t span, uint32_t *hits)
{
    const __m256i magnitude = _mm256_set1_epi32((int)MAGNITUDE), from = _mm256_set1_epi32((int)low),
                  last = _mm256_set1_epi32((int)(span - 1));
    size_t k = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i off = _mm256_and_si256(_mm256_loadu_si256((const __m256i_u *)(x + i)), magnitude);
        off = _mm256_sub_epi32(off, from);
        __m256i in = _mm256_cmpeq_epi32(_mm256_min_epu32(off, last), off);
        unsigned lanes = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(in));
        __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)(lane_order + lanes)));
        _mm256_storeu_si256((__m256i_u *)(hits + k), _mm256_permutevar8x32_epi32(off, order));
        k += (size_t)__builtin_popcount(lanes);
    }
    for (; i < n; i++) {
        hits[k] = (bits_of(x[i]) & MAGNITUDE) - low;
        k += hits[k] < span;
    }
    return k;
}

#else

static size_t gather_hits(const float *x, size_t n, uint32_t low, uint32_t span, uint32_t *hits)
{
    unsigned char in[GROUP] = {0};
    uint32_t offs[GROUP];
    for (size_t i = 0; i < n; i++) {
        offs[i] = (bits_of(x[i]) & MAGNITUDE) - low;
        in[i] = offs[i] < span;
    }
    return move_together(offs, in, n, hits);
}

#endif

static uint32_t count_from(const float *x, size_t n, uint32_t low)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (bits_of(x[i]) & MAGNITUDE) >= low;
    return count;
}

static uint64_t count_range(const float *x, size_t n, uint32_t low, uint32_t high, unsigned shift, uint32_t *bins)
{
    const uint32_t span = high > low ? high - low : 0;
    uint32_t hits[GROUP + 8];
    uint64_t above = 0;
    for (size_t i = 0; i < n; i += GROUP) {
        size_t m = least(GROUP, n - i);
        above += count_from(x + i, m, high);
        size_t k = span ? gather_hits(x + i, m, low, span, hits) : 0;
        for (size_t j = 0; j < k; j++)
            bins[hits[j] >> shift]++;
    }
    return above;
}

static size_t list_group(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *list, uint64_t *above)
{
    unsigned char in[GROUP] = {0};
    uint32_t key[GROUP];
    for (size_t j = 0; j < r->n; j++) {
        const uint32_t low = r->low[j], high = r->high[j], span = high > low ? high - low : 0;
        uint32_t over = 0;
        for (size_t i = 0; i < n; i++) {
            key[i] = bits_of(x[i]) & MAGNITUDE;
            over += key[i] >= high;
            in[i] |= key[i] - low < span;
        }
        above[j] += over;
    }
    return move_together(key, in, n, list);
}

#if defined(__AVX2__)

struct lister { /* of 8 magnitudes at a time: which are listed, and how many are above. `ranges` is a constant */
    __m256i below[AM_KEY_RANGES], most[AM_KEY_RANGES], above[AM_KEY_RANGES];
    uint32_t *to;
    size_t k;
};

static inline struct lister lister_of(const struct am_key_ranges *r, size_t ranges, uint32_t *to)
{
    struct lister l = {.to = to};
    for (size_t i = 0; i < ranges; i++) {
        l.below[i] = _mm256_set1_epi32((int)(r->low[i] - 1)); /* keys have 31 bits, so that signs are no matter */
        l.most[i] = _mm256_set1_epi32((int)(r->high[i] - 1));
        l.above[i] = _mm256_setzero_si256();
    }
    return l;
}

static inline __attribute__((always_inline)) void list_lanes(struct lister *l, size_t ranges, __m256i bits)
{
    __m256i u = _mm256_and_si256(bits, _mm256_set1_epi32((int)MAGNITUDE)), in = _mm256_setzero_si256();
    for (size_t i = 0; i < ranges; i++) {
        __m256i over = _mm256_cmpgt_epi32(u, l->most[i]);
        in = _mm256_or_si256(in, _mm256_andnot_si256(over, _mm256_cmpgt_epi32(u, l->below[i])));
        l->above[i] = _mm256_sub_epi32(l->above[i], over);
    }
    unsigned lanes = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(in));
    __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)(lane_order + lanes)));
    _mm256_storeu_si256((__m256i_u *)(l->to + l->k), _mm256_permutevar8x32_epi32(u, order));
    l->k += (size_t)__builtin_popcount(lanes);
}

static inline void add_above(const struct lister *l, size_t ranges, uint64_t *above)
{
    uint32_t lane[8];
    for (size_t i = 0; i < ranges; i++) {
        _mm256_storeu_si256((__m256i_u *)lane, l->above[i]);
        for (size_t j = 0; j < 8; j++)
            above[i] += lane[j];
    }
}

static inline __attribute__((always_inline)) size_t list_floats(const float *x, size_t n, const struct am_key_ranges *r,
                                                                size_t ranges, uint32_t *list, uint64_t *above)
{
    struct lister l = lister_of(r, ranges, list);
    for (size_t i = 0; i + 8 <= n; i += 8)
        list_lanes(&l, ranges, _mm256_loadu_si256((const __m256i_u *)(x + i)));
    add_above(&l, ranges, above);
    return l.k;
}

static inline __m256 load8_bf16(const uint16_t *x)
{
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}

static inline __attribute__((always_inline)) size_t list_deltas(const uint16_t *x, const uint16_t *y, size_t n,
                                                                const struct am_key_ranges *r, size_t ranges,
                                                                uint32_t *list, uint64_t *above)
{
    struct lister l = lister_of(r, ranges, list);
    for (size_t i = 0; i + 8 <= n; i += 8)
        list_lanes(&l, ranges, _mm256_castps_si256(_mm256_sub_ps(load8_bf16(x + i), load8_bf16(y + i))));
    add_above(&l, ranges, above);
    return l.k;
}

#define VECTORS(n) ((n) / 8 * 8)
#define LIST_VECTORS(list, ...)                                                                                        \
    (r->n == 1   ? list(__VA_ARGS__, r, 1, to, above)                                                                  \
     : r->n == 2 ? list(__VA_ARGS__, r, 2, to, above)                                                                  \
                 : list(__VA_ARGS__, r, AM_KEY_RANGES, to, above))

#else

#define VECTORS(n) 0
#define LIST_VECTORS(list, ...) 0

#endif

static size_t list_range(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *to, uint64_t *above)
{
    size_t k = LIST_VECTORS(list_floats, x, n);
    for (size_t i = VECTORS(n); i < n; i += GROUP)
        k += list_group(x + i, least(GROUP, n - i), r, to + k, above);
    return k;
}

static size_t list_delta_bf16(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r,
                              uint32_t *to, uint64_t *above)
{
    float d[GROUP];
    size_t k = LIST_VECTORS(list_deltas, x, y, n);
    for (size_t i = VECTORS(n), m; i < n; i += m) {
        m = least(GROUP, n - i);
        sub_bf16(d, x + i, y + i, m);
        k += list_group(d, m, r, to + k, above);
    }
    return k;
}

static uint32_t count_equal_chunk(const float *x, size_t n, uint32_t key)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (bits_of(x[i]) & MAGNITUDE) == key;
    return count;
}

static size_t count_equal(const float *x, size_t n, uint32_t key)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK)
        count += count_equal_chunk(x + i, least(CHUNK, n - i), key);
    return count;
}

static uint32_t keep_range_chunk(float *out, const float *x, size_t n, uint32_t low, uint32_t span)
{
    uint32_t count = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(x[i]), in = (u & MAGNITUDE) - low < span;
        out[i] = float_of(u & (0 - in));
        count += in;
    }
    return count;
}

static size_t keep_range(float *out, const float *x, size_t n, uint32_t low, uint32_t high)
{
    const uint32_t span = high > low ? high - low : 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK)
        count += keep_range_chunk(out + i, x + i, least(CHUNK, n - i), low, span);
    return count;
}

/* ---- Sorting ---- */

#define ROWS 100   /* kernels.h promises no more */
#define COLUMNS 64 /* sorted at a time: 100 rows of 64 fit the nearest cache */

/* Equal values (-0 and +0) and NaN stay where they are. */
static void exchange(float *restrict a, float *restrict b)
{
    EACH_ELEMENT
    for (size_t i = 0; i < COLUMNS; i++) {
        float x = a[i], y = b[i];
        uint32_t swap = mask_of(y < x);
        a[i] = choose(swap, y, x);
        b[i] = choose(swap, x, y);
    }
}

/* Batcher's odd-even merge network for any m. */
static void sort_block(float (*rows)[COLUMNS], size_t m)
{
    for (size_t p = 1; p < m; p *= 2)
        for (size_t k = p; k; k /= 2)
            for (size_t j = k % p; j + k < m; j += 2 * k)
                for (size_t i = j; i < j + k && i + k < m; i++)
                    if ((i ^ (i + k)) < 2 * p) /* both in the same run of 2p */
                        exchange(rows[i], rows[i + k]);
}

static inline __attribute__((always_inline)) void sort_copy(float *const *x, size_t m, size_t at, size_t n)
{
    float rows[ROWS][COLUMNS] __attribute__((aligned(64)));
    if (n < COLUMNS)
        memset(rows, 0, m * sizeof(rows[0])); /* what lies beyond the n columns is sorted along */
    for (size_t k = 0; k < m; k++)
        memcpy(rows[k], x[k] + at, n * sizeof(float));
    sort_block(rows, m);
    for (size_t k = 0; k < m; k++)
        memcpy(x[k] + at, rows[k], n * sizeof(float));
}

/* Rows a tile apart would all want the same few lines of the cache, so blocks are sorted in a copy. */
static void sort_many(float *const *x, size_t m, size_t n)
{
    size_t i = 0;
    for (; i + COLUMNS <= n; i += COLUMNS)
        sort_copy(x, m, i, COLUMNS);
    if (i < n)
        sort_copy(x, m, i, n - i);
}

#define FEW 8

static inline __attribute__((always_inline)) void order(float *v, size_t m, size_t upper, size_t lower)
{
    if (lower >= m)
        return;
    float a = v[upper], b = v[lower];
    uint32_t swap = mask_of(b < a);
    v[upper] = choose(swap, b, a);
    v[lower] = choose(swap, a, b);
}

/* The shortest network for 8 rows; without the exchanges of the last rows it is the shortest for fewer. With a constant
   m a column stays in registers from load to store. */
static inline __attribute__((always_inline)) void sort_few(float *const *x, size_t m, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        float v[FEW];
        for (size_t k = 0; k < m; k++)
            v[k] = x[k][i];
        order(v, m, 0, 2);
        order(v, m, 1, 3);
        order(v, m, 4, 6);
        order(v, m, 5, 7);
        order(v, m, 0, 4);
        order(v, m, 1, 5);
        order(v, m, 2, 6);
        order(v, m, 3, 7);
        order(v, m, 0, 1);
        order(v, m, 2, 3);
        order(v, m, 4, 5);
        order(v, m, 6, 7);
        order(v, m, 2, 4);
        order(v, m, 3, 5);
        order(v, m, 1, 4);
        order(v, m, 3, 6);
        order(v, m, 1, 2);
        order(v, m, 3, 4);
        order(v, m, 5, 6);
        for (size_t k = 0; k < m; k++)
            x[k][i] = v[k];
    }
}

static void sort_columns(float *const *x, size_t m, size_t n)
{
    switch (m) {
    case 0:
    case 1:
        break;
    case 2:
        sort_few(x, 2, n);
        break;
    case 3:
        sort_few(x, 3, n);
        break;
    case 4:
        sort_few(x, 4, n);
        break;
    case 5:
        sort_few(x, 5, n);
        break;
    case 6:
        sort_few(x, 6, n);
        break;
    case 7:
        sort_few(x, 7, n);
        break;
    case 8:
        sort_few(x, 8, n);
        break;
    default:
        if (m <= ROWS)
            sort_many(x, m, n);
    }
}
