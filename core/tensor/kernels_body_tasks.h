/*
 * kernels_body_tasks.h - what merges that tell tasks apart do element by element (merge.md A29, A30). A part of
 * kernels_body.h, not a header.
 */

static uint32_t mark_own_chunk(float *own, const float *d, const float *sum, float limit, size_t n)
{
    uint32_t count = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        float mine = float_of(bits_of(d[i]) & MAGNITUDE), rest = float_of(bits_of(sum[i] - d[i]) & MAGNITUDE);
        uint32_t is = mine > limit * rest;
        own[i] += (float)(int32_t)is;
        count += is;
    }
    return count;
}

static size_t mark_own(float *own, const float *d, const float *sum, float limit, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK)
        count += mark_own_chunk(own + i, d + i, sum + i, limit, least(CHUNK, n - i));
    return count;
}

static uint32_t keep_own_chunk(float *out, float a, const float *x, const float *y, const float *own, float k, size_t n)
{
    uint32_t count = 0;
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t is = own[i] >= k;
        out[i] = choose(0 - is, y[i] + a * x[i], y[i]);
        count += is;
    }
    return count;
}

static size_t keep_own(float *out, float a, const float *x, const float *y, const float *own, float k, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK)
        count += keep_own_chunk(out + i, a, x + i, y + i, own + i, k, least(CHUNK, n - i));
    return count;
}

static void unify(float *out, const float *sum, const float *high, const float *low, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        float other = choose(mask_of(sum[i] < 0), low[i], sum[i] * 0);
        out[i] = choose(mask_of(sum[i] > 0), high[i], other);
    }
}

static void widen_range(float *high, float *low, const float *x, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        high[i] = choose(mask_of(x[i] > high[i]), x[i], high[i]);
        low[i] = choose(mask_of(x[i] < low[i]), x[i], low[i]);
    }
}

static void take_sign(float *out, const float *d, const float *x, size_t n)
{
    EACH_ELEMENT
    for (size_t i = 0; i < n; i++) {
        uint32_t plus = mask_of(d[i] > 0) & mask_of(x[i] > 0), minus = mask_of(d[i] < 0) & mask_of(x[i] < 0);
        out[i] = float_of(bits_of(x[i]) & (plus | minus));
    }
}
