/*
 * kernels_body_arith.h - arithmetic element by element, and the sums of a block. A part of kernels_body.h, not a
 * header.
 */

/* ---- Element by element ---- */

static uint32_t count_nonfinite_chunk(const float *x, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (bits_of(x[i]) & INF32) == INF32;
    return count;
}

static size_t count_nonfinite(const float *x, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK)
        count += count_nonfinite_chunk(x + i, least(CHUNK, n - i));
    return count;
}

static void scale(float *out, float a, const float *x, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = a * x[i];
}

static void axpy(float *out, float a, const float *x, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] += a * x[i];
}

static void divide(float *out, float a, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] /= a;
}

static void sub(float *out, const float *x, const float *y, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] - y[i];
}

static void add(float *out, const float *x, const float *y, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] + y[i];
}

/* Four rows for each time that `out` is read and written. */
static void axpy_rows(float *out, const float *a, const float *x, size_t stride, size_t rows, size_t n)
{
    size_t k = 0;
    for (; k + 4 <= rows; k += 4) {
        const float *p = x + k * stride, *q = p + stride, *r = q + stride, *s = r + stride;
        float b = a[k], c = a[k + 1], d = a[k + 2], e = a[k + 3];
        EACH_ELEMENT
        for (size_t i = 0; i < n; i++)
            out[i] = (((out[i] + b * p[i]) + c * q[i]) + d * r[i]) + e * s[i];
    }
    for (; k < rows; k++)
        axpy(out, a[k], x + k * stride, n);
}

static void axpy_diff(float *out, float a, const float *x, const float *y, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] += a * (x[i] - y[i]);
}

static void blend(float *out, float a, const float *x, float b, const float *y, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = a * x[i] + b * y[i];
}

/* ---- Sums of a block: 16 lanes in vectors of W doubles ---- */

#if defined(__AVX512F__)
#define W 8
#elif defined(__AVX2__)
#define W 4
#else
#define W 2
#endif
typedef double wide __attribute__((vector_size(W * 8)));
typedef float narrow __attribute__((vector_size(W * 4)));
#define V (16 / W)

static inline narrow load(const float *x)
{
    narrow v;
    memcpy(&v, x, sizeof(v));
    return v;
}

static inline wide doubles(narrow x)
{
#if defined(__AVX512F__) /* one instruction; the compiler takes three */
    return _mm512_cvtps_pd(x);
#elif defined(__AVX2__)
    return _mm256_cvtps_pd(x);
#else
    return __builtin_convertvector(x, wide);
#endif
}

static inline wide widen(const float *x)
{
    return doubles(load(x));
}

/* sum + x * y. A product of two f32 is exact in f64, so that one rounding is what two would be. */
static inline wide plus_product(wide sum, wide x, wide y)
{
#if defined(__AVX512F__)
    return _mm512_fmadd_pd(x, y, sum);
#elif defined(__AVX2__) && defined(__FMA__)
    return _mm256_fmadd_pd(x, y, sum);
#else
    return sum + x * y;
#endif
}

static inline wide plus_square(wide sum, narrow x)
{
    wide v = doubles(x);
    return plus_product(sum, v, v);
}

static inline double add_lanes(double *lane)
{
    for (size_t k = 8; k; k /= 2)
        for (size_t j = 0; j < k; j++)
            lane[j] += lane[j + k];
    return lane[0];
}

static double block_dot(const float *x, const float *y, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < V; v++)
            acc[v] = plus_product(acc[v], widen(x + i + v * W), widen(y + i + v * W));
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++)
        lane[j] += (double)x[i] * (double)y[i];
    return add_lanes(lane);
}

/* Every element is widened once for all three. */
static struct am_dots block_dots(const float *x, const float *y, size_t n)
{
    wide xy[V] = {0}, xx[V] = {0}, yy[V] = {0};
    double lane[3][16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < V; v++) {
            wide a = widen(x + i + v * W), b = widen(y + i + v * W);
            xy[v] = plus_product(xy[v], a, b);
            xx[v] = plus_product(xx[v], a, a);
            yy[v] = plus_product(yy[v], b, b);
        }
    memcpy(lane[0], xy, sizeof(lane[0]));
    memcpy(lane[1], xx, sizeof(lane[1]));
    memcpy(lane[2], yy, sizeof(lane[2]));
    for (size_t j = 0; i < n; i++, j++) {
        lane[0][j] += (double)x[i] * (double)y[i];
        lane[1][j] += (double)x[i] * (double)x[i];
        lane[2][j] += (double)y[i] * (double)y[i];
    }
    return (struct am_dots){.xy = add_lanes(lane[0]), .xx = add_lanes(lane[1]), .yy = add_lanes(lane[2])};
}

/* d as fl(x - y), and am_block_dot(d, d). */
static double delta_square(float *d, const float *x, const float *y, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (size_t v = 0; v < V; v++) {
            narrow t = load(x + i + v * W) - load(y + i + v * W);
            memcpy(d + i + v * W, &t, sizeof(t));
            acc[v] = plus_square(acc[v], t);
        }
    }
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++) {
        d[i] = x[i] - y[i];
        lane[j] += (double)d[i] * (double)d[i];
    }
    return add_lanes(lane);
}

static double add_square(float *out, float a, const float *x, const float *y, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < V; v++) {
            narrow t = a * load(x + i + v * W), sum = load(y + i + v * W) + t;
            memcpy(out + i + v * W, &sum, sizeof(sum));
            acc[v] = plus_square(acc[v], t);
        }
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++) {
        float t = a * x[i];
        out[i] = y[i] + t;
        lane[j] += (double)t * (double)t;
    }
    return add_lanes(lane);
}

static double block_sum(const float *x, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < V; v++)
            acc[v] += widen(x + i + v * W);
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++)
        lane[j] += (double)x[i];
    return add_lanes(lane);
}

static double block_sum_abs(const float *x, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    float a[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (size_t j = 0; j < 16; j++)
            a[j] = float_of(bits_of(x[i + j]) & MAGNITUDE);
        for (size_t v = 0; v < V; v++)
            acc[v] += widen(a + v * W);
    }
    memcpy(lane, acc, sizeof(lane));
    for (size_t j = 0; i < n; i++, j++)
        lane[j] += (double)float_of(bits_of(x[i]) & MAGNITUDE);
    return add_lanes(lane);
}
