/*
 * kernels_body_swap.h - element-wise rules of several models against their base: nearswap, ram, sce, and the variance
 * over models; a whole vector at a time. A part of kernels_body.h, not a header.
 */

#define NEAR32 1e-6f

/* ---- nearswap ---- */

static ALWAYS_INLINE void nearswap_vector(float *out, full t, const float *x, const float *base, size_t n,
                                          whole *whole_x)
{
    const full one = all_of(1), least_size = all_of(NEAR32);
    full v = take(x, n), b = take(base, n), size = size_of(b - v);
    full w = t / pick(size < least_size, least_size, size);
    whole is_x = w >= one;
    full r = pick(is_x, v, w * v + (one - w) * b);
    *whole_x += is_x;
    memcpy(out, &r, n * sizeof(float));
}

static size_t nearswap(float *out, float t, const float *x, const float *base, size_t n)
{
    const full all = all_of(t);
    whole lanes = {0};
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        nearswap_vector(out + i, all, x + i, base + i, FULL, &lanes);
    size_t count = add_counts(&lanes);
    if (i < n) {
        whole tail = {0};
        nearswap_vector(out + i, all, x + i, base + i, n - i, &tail);
        for (size_t j = 0; j < n - i; j++)
            count += 0 - (uint32_t)tail[j];
    }
    return count;
}

/* ---- ram ---- */

struct ram_lanes {
    whole kept, dropped, shared;
};

/* fl(x - b) where it is more than epsilon (or a NaN, which must not be lost), else +0. */
static ALWAYS_INLINE full changed(const float *x, full b, float epsilon, size_t n, whole *mask, whole *below)
{
    const full zero = {0};
    full d = take(x, n) - b, size = size_of(d);
    *mask = ~(size <= all_of(epsilon));
    *below = ~*mask & (size > zero);
    return (full)((whole)d & *mask);
}

static ALWAYS_INLINE void ram_vector(const struct am_ram *how, size_t inputs, float *out, const float *base,
                                     const float *const *x, size_t at, size_t n, struct ram_lanes *c)
{
    const full zero = {0};
    full b = take(base + at, n), sum = zero;
    whole count = {0}, factor = {0}, mask, below;
    for (size_t k = 0; k < inputs; k++) {
        full d = changed(x[k] + at, b, how->epsilon, n, &mask, &below);
        sum = k == 0 ? d : sum + d;
        count -= mask;
        factor |= (whole)all_of(how->unique[k]) & mask;
        c->kept += mask;
        c->dropped += below;
    }
    whole one = count == 1, none = count == 0;
    full many = __builtin_convertvector(count | (none & 1), full);
    full r = b + pick(one, sum * (full)factor, sum / many);
    r = pick(none, b, r);
    c->shared += ~(one | none);
    memcpy(out + at, &r, n * sizeof(float));
}

static ALWAYS_INLINE void ram_as(const struct am_ram *how, size_t inputs, float *out, const float *base,
                                 const float *const *x, size_t n, struct am_ram_count *ret)
{
    struct ram_lanes c = {{0}, {0}, {0}};
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        ram_vector(how, inputs, out, base, x, i, FULL, &c);
    if (i < n)
        ram_vector(how, inputs, out, base, x, i, n - i, &c);
    *ret = (struct am_ram_count){add_counts(&c.kept), add_counts(&c.dropped), add_counts(&c.shared)};
}

static void ram(const struct am_ram *how, float *out, const float *base, const float *const *x, size_t n,
                struct am_ram_count *ret)
{
    switch (how->inputs) {
    case 2:
        ram_as(how, 2, out, base, x, n, ret);
        break;
    case 3:
        ram_as(how, 3, out, base, x, n, ret);
        break;
    default:
        ram_as(how, how->inputs, out, base, x, n, ret);
    }
}

/* Of one input. */
static ALWAYS_INLINE void ram_count_vector(const struct am_ram *how, size_t k, const float *base, const float *const *x,
                                           size_t at, size_t n, whole *all, whole *alone)
{
    whole count = {0}, mine = {0}, mask, below;
    full b = take(base + at, n);
    for (size_t j = 0; j < how->inputs; j++) {
        changed(x[j] + at, b, how->epsilon, n, &mask, &below);
        count -= mask;
        mine = j == k ? mask : mine;
    }
    *all += mine;
    *alone += mine & (count == 1);
}

static void ram_count(const struct am_ram *how, const float *base, const float *const *x, size_t n, uint64_t *kept,
                      uint64_t *unique)
{
    for (size_t k = 0; k < how->inputs; k++) {
        whole all = {0}, alone = {0};
        size_t i = 0;
        for (; i + FULL <= n; i += FULL)
            ram_count_vector(how, k, base, x, i, FULL, &all, &alone);
        if (i < n)
            ram_count_vector(how, k, base, x, i, n - i, &all, &alone);
        kept[k] += add_counts(&all);
        unique[k] += add_counts(&alone);
    }
}

/* ---- sce ---- */

static ALWAYS_INLINE void variance_vector(float *out, const float *const *d, size_t inputs, size_t at, size_t n)
{
    full sum = take(d[0] + at, n), squares, m = all_of((float)inputs);
    for (size_t k = 1; k < inputs; k++)
        sum = sum + take(d[k] + at, n);
    full mean = sum / m, off = take(d[0] + at, n) - mean;
    squares = off * off;
    for (size_t k = 1; k < inputs; k++) {
        off = take(d[k] + at, n) - mean;
        squares = squares + off * off;
    }
    squares = squares / m;
    memcpy(out + at, &squares, n * sizeof(float));
}

static void variance(float *out, const float *const *d, size_t inputs, size_t n)
{
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        variance_vector(out, d, inputs, i, FULL);
    if (i < n)
        variance_vector(out, d, inputs, i, n - i);
}

static void erase(float *d, const float *v, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++)
        d[i] = float_of(bits_of(d[i]) & ~mask_of((bits_of(v[i]) & MAGNITUDE) == 0));
}

/* d of those that are turned to the elected side are positive after the turn. */
static ALWAYS_INLINE void weigh_vector(const float *q, size_t inputs, float *out, const float *base,
                                       const float *const *d, size_t at, size_t n, whole *opposed)
{
    const full zero = {0}, tiny = all_of(NEAR32);
    full b = take(base + at, n), sum = take(d[0] + at, n), num = zero, div = zero;
    whole any = {0}, against = {0};
    for (size_t k = 1; k < inputs; k++)
        sum = sum + take(d[k] + at, n);
    whole turn = ~(sum >= zero) & (int32_t)SIGN;
    for (size_t k = 0; k < inputs; k++) {
        full e = take(d[k] + at, n), w = all_of(q[k]), turned = (full)((whole)e ^ turn);
        whole part = ~(turned <= zero);
        num = num + (full)((whole)(w * e) & part);
        div = div + (full)((whole)w & part);
        any |= part;
        against |= turned < zero;
    }
    full r = pick(any, b + num / pick(div < tiny, tiny, div), b);
    *opposed += against;
    memcpy(out + at, &r, n * sizeof(float));
}

static size_t weigh(const float *q, size_t inputs, float *out, const float *base, const float *const *d, size_t n)
{
    whole opposed = {0};
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        weigh_vector(q, inputs, out, base, d, i, FULL, &opposed);
    if (i < n)
        weigh_vector(q, inputs, out, base, d, i, n - i, &opposed);
    return add_counts(&opposed);
}
