/*
 * kernels_body_kl.h - sums of a softmax and of a divergence over a block, in f64: 16 lanes as the sums of
 * kernels_body_arith.h. A part of kernels_body.h, not a header.
 *
 * exp and log are written out in vectors without a branch, and without anything that rounds otherwise in another set:
 * exp(x) = 2^k exp(r) with |r| <= ln2/2 and the Taylor polynomial of degree 13 (its error is 2e-17), ln as in
 * core/base/math.c. Both are below 2 ulp for what comes here: exponents from -700 to 0, quotients of normal numbers.
 */

typedef uint64_t wide_bits __attribute__((vector_size(W * 8)));

#define MAGIC64 6755399441055744.0 /* 1.5 * 2^52: a double plus it has its nearest whole number in the low bits */
#define KL_FLOOR 1e-8

static ALWAYS_INLINE wide every(double a)
{
    const wide zero = {0};
    return a - zero;
}

static ALWAYS_INLINE wide exp_wide(wide x)
{
    const wide low = every(-700), magic = every(MAGIC64);
    wide_bits below = (wide_bits)(x < low);
    x = (wide)(((wide_bits)low & below) | ((wide_bits)x & ~below));
    wide shifted = x * every(1.44269504088896338700e+00) + magic, k = shifted - magic;
    wide r = (x - k * every(6.93147180369123816490e-01)) - k * every(1.90821492927058770002e-10), t = r * r;
    wide even = every(1.0 / 479001600), odd = every(1.0 / 6227020800); /* two short chains instead of a long one */
    even = even * t + every(1.0 / 3628800);
    odd = odd * t + every(1.0 / 39916800);
    even = even * t + every(1.0 / 40320);
    odd = odd * t + every(1.0 / 362880);
    even = even * t + every(1.0 / 720);
    odd = odd * t + every(1.0 / 5040);
    even = even * t + every(1.0 / 24);
    odd = odd * t + every(1.0 / 120);
    even = even * t + every(0.5);
    odd = odd * t + every(1.0 / 6);
    wide p = 1 + (r + t * (even + r * odd));
    wide_bits power = (wide_bits)shifted << 52; /* k in the exponent's place; the rest is shifted out */
    return (wide)((wide_bits)p + power);
}

/* Of positive normal numbers. */
static ALWAYS_INLINE wide ln_wide(wide x)
{
    const uint64_t up = UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e00000000), mask = UINT64_C(0xfffffffffffff);
    wide_bits u = (wide_bits)x + up;
    wide magic = every(4503599627370496.0 + 1023); /* 2^52 + the bias of the exponent */
    wide k = (wide)((u >> 52) | (wide_bits)every(4503599627370496.0)) - magic;
    wide f = (wide)((u & mask) + UINT64_C(0x3fe6a09e00000000)) - 1;
    wide s = f / (2 + f), z = s * s, w = z * z, half = 0.5 * f * f;
    wide odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    wide even = z * (6.666666666666735130e-01 +
                     w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01)));
    return k * 6.93147180369123816490e-01 - ((half - (s * (half + (odd + even)) + k * 1.90821492927058770002e-10)) - f);
}

/* The greatest element, -infinity of none; NaN are passed over. */
static float block_max(const float *x, size_t n)
{
    const full low = all_of(-INFINITY);
    full most = low;
    float top = -INFINITY;
    size_t i = 0;
    for (; i + FULL <= n; i += FULL) {
        full v = take(x + i, FULL);
        most = pick(v > most, v, most);
    }
    for (size_t j = 0; j < FULL; j++)
        top = most[j] > top ? most[j] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

static ALWAYS_INLINE wide exp_of(const float *x, double max)
{
    return exp_wide(widen(x) - every(max));
}

/* e as two floats: 48 bits of it. */
static ALWAYS_INLINE wide halve(wide e, float *high, float *low)
{
    narrow h = __builtin_convertvector(e, narrow), l = __builtin_convertvector(e - doubles(h), narrow);
    memcpy(high, &h, sizeof(h));
    memcpy(low, &l, sizeof(l));
    return doubles(h) + doubles(l);
}

static double block_exp(const float *x, double max, size_t n, float *high, float *low)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        wide e[V]; /* all of them before the first store */
        for (size_t v = 0; v < V; v++)
            e[v] = exp_of(x + i + v * W, max);
        for (size_t v = 0; v < V; v++)
            acc[v] += halve(e[v], high + i + v * W, low + i + v * W);
    }
    memcpy(lane, acc, sizeof(lane));
    if (i < n) {
        float rest[16] = {0}, h[16], l[16];
        memcpy(rest, x + i, (n - i) * sizeof(float));
        for (size_t v = 0; v < V; v++)
            halve(exp_of(rest + v * W, max), h + v * W, l + v * W);
        memcpy(high + i, h, (n - i) * sizeof(float));
        memcpy(low + i, l, (n - i) * sizeof(float));
        for (size_t j = 0; i + j < n; j++)
            lane[j] += (double)h[j] + (double)l[j];
    }
    return add_lanes(lane);
}

/* ln(p/q): where they are near by the series of the inverse hyperbolic tangent of s, 2s (1 + s^2/3 + ...), whose rest
   is below 1e-17 for |s| <= 0.1; each lane for itself. */
static ALWAYS_INLINE wide ln_quotient(wide p, wide q)
{
    wide sum = p + q, difference = p - q, s = difference / sum, z = s * s;
    wide r = every(1.0 / 15);
    for (size_t k = 13; k >= 3; k -= 2)
        r = r * z + every(1.0 / (double)k);
    wide two = s + s, small = two + two * (z * r);
    wide size = (wide)((wide_bits)s & ~(UINT64_C(1) << 63));
    wide_bits far = (wide_bits)(size > every(0.1));
    uint64_t any = 0;
    for (size_t j = 0; j < W; j++)
        any |= far[j];
    if (!any)
        return small;
    wide large = ln_wide(p / q);
    return (wide)(((wide_bits)large & far) | ((wide_bits)small & ~far));
}

static ALWAYS_INLINE wide kl_of(const struct am_softmax *x, const struct am_softmax *s, size_t at)
{
    wide ex = widen(x->high + at) + widen(x->low + at), es = widen(s->high + at) + widen(s->low + at);
    wide p = ex * every(x->inverse) + every(KL_FLOOR), q = es * every(s->inverse) + every(KL_FLOOR);
    return p * ln_quotient(p, q);
}

static void fill(struct am_softmax *s, const struct am_softmax *of, size_t at, size_t n, float *rest)
{
    memcpy(rest, of->high + at, n * sizeof(float));
    memcpy(rest + 16, of->low + at, n * sizeof(float));
    *s = (struct am_softmax){.high = rest, .low = rest + 16, .max = of->max, .inverse = of->inverse};
}

static double block_kl(const struct am_softmax *x, const struct am_softmax *s, size_t at, size_t n)
{
    wide acc[V] = {0};
    double lane[16];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < V; v++)
            acc[v] += kl_of(x, s, at + i + v * W);
    memcpy(lane, acc, sizeof(lane));
    if (i < n) {
        float rest[2][32] = {{0}};
        double last[16];
        struct am_softmax a, b;
        fill(&a, x, at + i, n - i, rest[0]);
        fill(&b, s, at + i, n - i, rest[1]);
        for (size_t v = 0; v < V; v++) {
            wide e = kl_of(&a, &b, v * W);
            memcpy(last + v * W, &e, sizeof(e));
        }
        for (size_t j = 0; i + j < n; j++)
            lane[j] += last[j];
    }
    return add_lanes(lane);
}

/* ---- the rule that goes by it ---- */

static void importance(float *out, float kl, const float *x, const float *base, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        out[i] = float_of(bits_of(x[i] - base[i]) & MAGNITUDE) * kl;
}

static size_t fuse(float *out, float kl, float threshold, const float *x, const float *base, size_t n)
{
    uint32_t count = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t mask = mask_of(float_of(bits_of(x[i] - base[i]) & MAGNITUDE) * kl >= threshold);
        out[i] = choose(mask, x[i], base[i]);
        count -= mask;
    }
    return count;
}
