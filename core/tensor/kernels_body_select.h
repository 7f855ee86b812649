/*
 * kernels_body_select.h - selection by magnitude, and sorting. A part of kernels_body.h, not a header.
 */

/* ---- Selection by magnitude ---- */

#define GROUP 256

/* The offsets of hits (u - low < span), moved together. Returns how many. */
static size_t gather_hits(const float *x, size_t n, uint32_t low, uint32_t span, uint32_t *hits)
{
    size_t k = 0, i = 0;
    for (; i + FULL <= n; i += FULL) {
        whole key = (whole)size_of(take(x + i, FULL));
        k += put(within(key, low, low + span), (words)key - low, hits + k);
    }
    for (; i < n; i++) {
        hits[k] = (bits_of(x[i]) & MAGNITUDE) - low;
        k += hits[k] < span;
    }
    return k;
}

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
    uint32_t hits[GROUP];
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

struct listing {
    uint32_t *to;
    size_t k;
    whole before[AM_KEY_RANGES], last[AM_KEY_RANGES];
    tally above[AM_KEY_RANGES];
};

static ALWAYS_INLINE struct listing listing_of(const struct am_key_ranges *r, size_t ranges, uint32_t *to)
{
    const whole zero = {0};
    struct listing l = {.to = to};
    for (size_t i = 0; i < ranges; i++) {
        l.before[i] = zero + (int32_t)(r->low[i] - 1); /* keys have 31 bits, so that signs are no matter */
        l.last[i] = zero + (int32_t)(r->high[i] - 1);
    }
    return l;
}

/* `ranges` is a constant. */
static ALWAYS_INLINE void list_vector(struct listing *l, size_t ranges, full x)
{
    const whole key = (whole)size_of(x);
    choice in = none();
    for (size_t i = 0; i < ranges; i++) {
        choice above = greater(key, l->last[i]);
        in |= greater(key, l->before[i]) & ~above;
        count(&l->above[i], above);
    }
    l->k += put(in, (words)key, l->to + l->k);
}

static void list_one(struct listing *l, const struct am_key_ranges *r, float x, uint64_t *above)
{
    uint32_t u = bits_of(x) & MAGNITUDE;
    bool in = false;
    for (size_t i = 0; i < r->n; i++) {
        in |= u >= r->low[i] && u < r->high[i];
        above[i] += u >= r->high[i];
    }
    l->to[l->k] = u;
    l->k += in;
}

static ALWAYS_INLINE void add_above(const struct listing *l, size_t ranges, uint64_t *above)
{
    for (size_t i = 0; i < ranges; i++)
        above[i] += counted(&l->above[i]);
}

static ALWAYS_INLINE size_t list_floats(const float *x, size_t n, const struct am_key_ranges *r, size_t ranges,
                                        uint32_t *list, uint64_t *above)
{
    struct listing l = listing_of(r, ranges, list);
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        list_vector(&l, ranges, take(x + i, FULL));
    for (; i < n; i++)
        list_one(&l, r, x[i], above);
    add_above(&l, ranges, above);
    return l.k;
}

static ALWAYS_INLINE size_t list_deltas(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r,
                                        size_t ranges, uint32_t *list, uint64_t *above)
{
    struct listing l = listing_of(r, ranges, list);
    size_t i = 0;
    for (; i + 2 * FULL <= n; i += 2 * FULL) {
        words a = words_of(x + i), b = words_of(y + i);
        list_vector(&l, ranges, part_of(a, 0) - part_of(b, 0));
        list_vector(&l, ranges, part_of(a, 1) - part_of(b, 1));
    }
    for (; i < n; i++)
        list_one(&l, r, of_bf16(x[i]) - of_bf16(y[i]), above);
    add_above(&l, ranges, above);
    return l.k;
}

#define LIST(list, ...)                                                                                                \
    (r->n == 1   ? list(__VA_ARGS__, r, 1, to, above)                                                                  \
     : r->n == 2 ? list(__VA_ARGS__, r, 2, to, above)                                                                  \
                 : list(__VA_ARGS__, r, AM_KEY_RANGES, to, above))

static size_t list_range(const float *x, size_t n, const struct am_key_ranges *r, uint32_t *to, uint64_t *above)
{
    return LIST(list_floats, x, n);
}

static size_t list_delta_bf16(const uint16_t *x, const uint16_t *y, size_t n, const struct am_key_ranges *r,
                              uint32_t *to, uint64_t *above)
{
    return LIST(list_deltas, x, y, n);
}

static size_t drop_keys(uint32_t *key, size_t n, const uint32_t *drop, uint32_t *counts)
{
    const whole zero = {0}, first = zero + (int32_t)drop[0], second = zero + (int32_t)drop[1];
    tally firsts = {0}, seconds = {0};
    uint32_t a = 0, b = 0;
    size_t k = 0, i = 0;
    for (; i + FULL <= n; i += FULL) { /* what is overwritten was read */
        words u;
        memcpy(&u, key + i, sizeof(u));
        choice is_first = equal((whole)u, first), is_second = equal((whole)u, second);
        count(&firsts, is_first);
        count(&seconds, is_second);
        k += put((choice) ~(is_first | is_second), u, key + k);
    }
    for (; i < n; i++) {
        uint32_t u = key[i];
        a += u == drop[0];
        b += u == drop[1];
        key[k] = u;
        k += u != drop[0] && u != drop[1];
    }
    counts[0] = a + (uint32_t)counted(&firsts);
    counts[1] = b + (uint32_t)counted(&seconds);
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
