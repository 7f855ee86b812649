/*
 * kernels_body_bf16.h - arithmetic on BF16 as it is stored: the bits of a load followed by the kernel on f32, without
 * the way through memory. A part of kernels_body.h, not a header.
 */

#define PIECE 32 /* elements that are widened at a time */

static inline float of_bf16(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

static uint16_t most_bf16(const uint16_t *x, size_t n)
{
    uint16_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t u = x[i] & 0x7fff;
        most = u > most ? u : most;
    }
    return most;
}

static void sub_bf16(float *restrict out, const uint16_t *restrict x, const uint16_t *restrict y, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = of_bf16(x[i]) - of_bf16(y[i]);
}

static void blend_bf16(float *restrict out, float a, const uint16_t *restrict x, float b, const uint16_t *restrict y,
                       size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = a * of_bf16(x[i]) + b * of_bf16(y[i]);
}

static ALWAYS_INLINE words blend_words(float a, const uint16_t *x, float b, const uint16_t *y)
{
    words u = words_of(x), v = words_of(y);
    return narrowed(a * part_of(u, 0) + b * part_of(v, 0), a * part_of(u, 1) + b * part_of(v, 1));
}

static bool blend_to_bf16(uint16_t *restrict out, float a, const uint16_t *restrict x, float b,
                          const uint16_t *restrict y, size_t n)
{
    halves infinite = {0};
    size_t i = 0;
    for (; i + 2 * FULL <= n; i += 2 * FULL) {
        words r = blend_words(a, x + i, b, y + i);
        infinite |= not_finite(r);
        memcpy(out + i, &r, sizeof(r));
    }
    if (i < n) { /* zeros behind the last ones */
        uint16_t p[2 * FULL] = {0}, q[2 * FULL] = {0};
        words r = blend_words(a, memcpy(p, x + i, (n - i) * 2), b, memcpy(q, y + i, (n - i) * 2));
        infinite |= not_finite(r);
        memcpy(out + i, &r, (n - i) * 2);
    }
    return none_of(&infinite);
}

static struct am_dots block_dots_bf16(const uint16_t *restrict x, const uint16_t *restrict y, size_t n)
{
    wide xy[V] = {0}, xx[V] = {0}, yy[V] = {0};
    double lane[3][16];
    float a[PIECE], b[PIECE];
    size_t i = 0;
    for (; i + PIECE <= n; i += PIECE) {
        EACH_ELEMENT
        for (size_t j = 0; j < PIECE; j++) {
            a[j] = of_bf16(x[i + j]);
            b[j] = of_bf16(y[i + j]);
        }
        for (size_t v = 0; v < PIECE / W; v++) {
            wide p = widen(a + v * W), q = widen(b + v * W);
            xy[v % V] = plus_product(xy[v % V], p, q);
            xx[v % V] = plus_product(xx[v % V], p, p);
            yy[v % V] = plus_product(yy[v % V], q, q);
        }
    }
    memcpy(lane[0], xy, sizeof(lane[0]));
    memcpy(lane[1], xx, sizeof(lane[1]));
    memcpy(lane[2], yy, sizeof(lane[2]));
    for (size_t j = 0; i < n; i++, j++) {
        double p = (double)of_bf16(x[i]), q = (double)of_bf16(y[i]);
        lane[0][j % 16] += p * q;
        lane[1][j % 16] += p * p;
        lane[2][j % 16] += q * q;
    }
    return (struct am_dots){.xy = add_lanes(lane[0]), .xx = add_lanes(lane[1]), .yy = add_lanes(lane[2])};
}

static double delta_square_bf16(float *restrict d, const uint16_t *restrict x, const uint16_t *restrict y, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + PIECE <= n; i += PIECE) {
        EACH_ELEMENT
        for (size_t j = 0; j < PIECE; j++)
            d[i + j] = of_bf16(x[i + j]) - of_bf16(y[i + j]);
        for (size_t v = 0; v < PIECE / W; v++)
            acc[v % V] = plus_square(acc[v % V], load(d + i + v * W));
    }
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++) {
        d[i] = of_bf16(x[i]) - of_bf16(y[i]);
        lane[j % 16] += (double)d[i] * (double)d[i];
    }
    return add_lanes(lane);
}

static double add_square_bf16(float *out, float a, const float *x, const uint16_t *restrict y, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    float t[PIECE];
    size_t i = 0;
    for (; i + PIECE <= n; i += PIECE) {
        EACH_ELEMENT
        for (size_t j = 0; j < PIECE; j++) {
            t[j] = a * x[i + j];
            out[i + j] = of_bf16(y[i + j]) + t[j];
        }
        for (size_t v = 0; v < PIECE / W; v++)
            acc[v % V] = plus_square(acc[v % V], load(t + v * W));
    }
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++) {
        float s = a * x[i];
        out[i] = of_bf16(y[i]) + s;
        lane[j % 16] += (double)s * (double)s;
    }
    return add_lanes(lane);
}
