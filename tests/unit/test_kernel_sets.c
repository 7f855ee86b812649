/*
 * test_kernel_sets.c - every kernel in every set against plain loops written here in double or integers, and against
 * the generic set bit for bit: ordinary, subnormal, tie-rich, infinite and NaN values, ragged lengths, unaligned
 * places. The avx512 set is compiled everywhere on x86-64 but was never run on the machine that it was written on,
 * which has no AVX-512: until this test runs on a processor that has it, that set stands on being the same source.
 */
#include "core/tensor/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/kernel_fixture.h"

enum { MOST = 4097, ROOM = MOST + 16 };

struct in {
    size_t n;
    const float *x, *y, *z; /* unaligned in every second case */
    const unsigned char *raw;
    float a, b;
    uint32_t low, high;
};

struct out {
    float f[2][ROOM]; /* results, and beyond them what must stay */
    _Alignas(8) unsigned char raw[8 * ROOM];
    uint64_t count[4];
    double sum[4];
    uint32_t bins[64];
};

/* Round to nearest even in double: the quantum of the element's binade is a power of two, so all but rint is exact. */
static uint16_t round16(float x, int exponent_bits, int mantissa_bits, bool clamp, uint64_t *over)
{
    int bias = (1 << (exponent_bits - 1)) - 1, e;
    uint16_t sign = signbit(x) ? 0x8000 : 0, infinite = (uint16_t)(((1u << exponent_bits) - 1) << mantissa_bits);
    if (isnan(x))
        return (uint16_t)(infinite | 1u << (mantissa_bits - 1));
    if (isinf(x))
        return sign | infinite;
    (void)frexp((double)x, &e); /* |x| in [2^(e-1), 2^e) */
    if (e < 2 - bias || !(x < 0 || x > 0))
        e = 2 - bias;
    uint32_t steps = (uint32_t)rint(ldexp(fabs((double)x), mantissa_bits + 1 - e)); /* a carry moves the exponent */
    uint32_t h = steps + ((uint32_t)(e - 2 + bias) << mantissa_bits);
    if (h >= infinite) {
        (*over)++;
        h = clamp ? infinite - 1u : infinite;
    }
    return (uint16_t)(sign | h);
}

static void run_load16(const struct in *in, struct out *out)
{
    out->count[0] = am_load_f32(AM_F16, in->raw, out->f[0], in->n);
    out->count[1] = am_load_f32(AM_BF16, in->raw, out->f[1], in->n);
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static void want_load16(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint16_t h = (uint16_t)(in->raw[2 * i] | in->raw[2 * i + 1] << 8);
        out->f[0][i] = (float)value(h, 5, 10);
        out->f[1][i] = (float)value(h, 8, 7);
    }
    out->count[0] = all_finite(out->f[0], in->n);
    out->count[1] = all_finite(out->f[1], in->n);
}

static void run_load_wide(const struct in *in, struct out *out)
{
    out->count[0] = am_load_f32(AM_F64, in->raw, out->f[0], in->n);
    am_load_f32(AM_F32, in->raw, out->f[1], in->n);
}

static void want_load_wide(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        double d;
        memcpy(&d, in->raw + 8 * i, 8);
        out->f[0][i] = (float)d;
    }
    out->count[0] = all_finite(out->f[0], in->n);
    memcpy(out->f[1], in->raw, 4 * in->n);
}

static void run_store(const struct in *in, struct out *out, enum am_dtype t, enum am_overflow overflow)
{
    size_t first = SIZE_MAX;
    bool finite = false;
    out->count[0] = am_store_f32(t, in->x, out->raw + 1, in->n, overflow, &first, &finite);
    out->count[1] = first;
    out->count[2] = finite;
}

static void want_store16(const struct in *in, struct out *out, int exponent_bits, int mantissa_bits, bool clamp)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        uint16_t h = round16(in->x[i], exponent_bits, mantissa_bits, clamp, &out->count[0]);
        if (out->count[0] == 1 && out->count[1] == SIZE_MAX)
            out->count[1] = i;
        memcpy(out->raw + 1 + 2 * i, &h, 2);
    }
}

static void run_store_f16(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F16, AM_OVERFLOW_CLAMP);
}

static void want_store_f16(const struct in *in, struct out *out)
{
    want_store16(in, out, 5, 10, true);
}

static void run_store_bf16(const struct in *in, struct out *out)
{
    run_store(in, out, AM_BF16, AM_OVERFLOW_INF);
}

static void want_store_bf16(const struct in *in, struct out *out)
{
    want_store16(in, out, 8, 7, false);
}

static void run_store_f32(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F32, AM_OVERFLOW_REFUSE);
}

static void want_store_f32(const struct in *in, struct out *out)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        uint32_t u = isnan(in->x[i]) ? 0x7fc00000u : bits(in->x[i]);
        memcpy(out->raw + 1 + 4 * i, &u, 4);
    }
}

static void run_store_f64(const struct in *in, struct out *out)
{
    run_store(in, out, AM_F64, AM_OVERFLOW_REFUSE);
}

static void want_store_f64(const struct in *in, struct out *out)
{
    out->count[1] = SIZE_MAX;
    out->count[2] = all_finite(in->x, in->n);
    for (size_t i = 0; i < in->n; i++) {
        double d = (double)in->x[i];
        uint64_t u = 0x7ff8000000000000u;
        if (!isnan(d))
            memcpy(&u, &d, 8);
        memcpy(out->raw + 1 + 8 * i, &u, 8);
    }
}

static void run_nonfinite(const struct in *in, struct out *out)
{
    size_t count;
    out->count[0] = am_nonfinite_f32(in->x, in->n, &count);
    out->count[1] = count;
}

static void want_nonfinite(const struct in *in, struct out *out)
{
    out->count[0] = in->n;
    for (size_t i = in->n; i-- > 0;)
        if (!isfinite(in->x[i])) {
            out->count[0] = i;
            out->count[1]++;
        }
}

/* One rounding: products of floats are exact in double; sums and quotients, rounded to 53 bits, round to 24 as at once.
 */
static float mul(float a, float b)
{
    return (float)((double)a * (double)b);
}

static float plus(float a, float b)
{
    return (float)((double)a + (double)b);
}

static float minus(float a, float b)
{
    return plus(a, -b);
}

static float over(float a, float b)
{
    return (float)((double)a / (double)b);
}

/* a and b of out->f start as y and z. */
static void begin(const struct in *in, struct out *out)
{
    memcpy(out->f[0], in->y, 4 * in->n);
    memcpy(out->f[1], in->z, 4 * in->n);
}

static void run_scale(const struct in *in, struct out *out)
{
    begin(in, out);
    am_scale_f32(out->f[0], in->a, in->x, in->n);
    am_scale_f32(out->f[1], in->a, out->f[1], in->n);
}

static void want_scale(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = mul(in->a, in->x[i]);
        out->f[1][i] = mul(in->a, in->z[i]);
    }
}

static void run_axpy(const struct in *in, struct out *out)
{
    begin(in, out);
    am_axpy_f32(out->f[0], in->a, in->x, in->n);
    am_axpy_diff_f32(out->f[1], in->a, in->x, in->y, in->n);
}

static void want_axpy(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = plus(in->y[i], mul(in->a, in->x[i]));
        out->f[1][i] = plus(in->z[i], mul(in->a, plus(in->x[i], -in->y[i])));
    }
}

/* x as five rows. */
static void run_axpy_rows(const struct in *in, struct out *out)
{
    begin(in, out);
    am_axpy_rows_f32(out->f[0], in->z, in->x, in->n / 5, 5, in->n / 5);
}

static void want_axpy_rows(const struct in *in, struct out *out)
{
    size_t n = in->n / 5;
    begin(in, out);
    for (size_t k = 0; k < 5 && n; k++)
        for (size_t i = 0; i < n; i++)
            out->f[0][i] = plus(out->f[0][i], mul(in->z[k], in->x[k * n + i]));
}

static void run_sub_add(const struct in *in, struct out *out)
{
    begin(in, out);
    am_sub_f32(out->f[0], in->x, out->f[0], in->n);
    am_add_f32(out->f[1], out->f[1], in->x, in->n);
}

static void want_sub_add(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = plus(in->x[i], -in->y[i]);
        out->f[1][i] = plus(in->z[i], in->x[i]);
    }
}

static void run_div_blend(const struct in *in, struct out *out)
{
    begin(in, out);
    am_div_f32(out->f[0], in->a, in->n);
    am_blend_f32(out->f[1], in->a, in->x, in->b, out->f[1], in->n);
}

static void want_div_blend(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = over(in->y[i], in->a);
        out->f[1][i] = plus(mul(in->a, in->x[i]), mul(in->b, in->z[i]));
    }
}

/* By n: 1 to 6 inputs in each of the four ways, so that every form of the kernel runs. */
enum { VOTERS = 6 };
static struct am_election election(const struct in *in, float *w)
{
    const float list[VOTERS] = {in->a, in->b, 0.7f, -0.3f, 0.0f, 1.5f};
    size_t form = in->n / 2 / VOTERS;
    memcpy(w, list, sizeof(list));
    if (in->n % 5 == 0) /* where thin ends */
        w[0] = in->n % 2 ? 0.001f : nextafterf(0.001f, 0);
    return (struct am_election){
        .weight = w, .inputs = 1 + in->n / 2 % VOTERS, .by_count = form % 2, .normalize = form / 2 % 2 == 0};
}

static void run_elect(const struct in *in, struct out *out)
{
    const float *d[VOTERS] = {in->x, in->y, out->f[1], in->z, in->y, in->x};
    float w[VOTERS];
    size_t thin = 7;
    struct am_election how = election(in, w);
    begin(in, out);
    out->count[0] = am_elect(&how, out->f[0], d, in->n, NULL);
    out->count[1] = am_elect(&how, out->f[1], d, in->n, &thin); /* in place from 3 inputs on */
    out->count[2] = thin;
}

static void want_elect(const struct in *in, struct out *out)
{
    const float *d[VOTERS] = {in->x, in->y, in->z, in->z, in->y, in->x};
    float w[VOTERS], e[VOTERS];
    struct am_election how = election(in, w);
    for (size_t i = 0; i < in->n; i++) {
        float sum = 0, num = 0, div = 0;
        bool out_voted = false;
        for (size_t k = 0; k < how.inputs; k++) {
            e[k] = mul(w[k], d[k][i]);
            sum = plus(sum, !how.by_count ? e[k] : e[k] > 0 ? 1 : e[k] < 0 ? -1 : 0);
        }
        for (size_t k = 0; k < how.inputs; k++) {
            bool positive = sum >= 0;
            if (isnan(e[k]) || (positive && e[k] > 0) || (!positive && e[k] < 0)) {
                num = plus(num, e[k]);
                div = plus(div, w[k]);
            } else {
                out_voted |= e[k] > 0 || e[k] < 0;
            }
        }
        bool none = !(div < 0 || div > 0 || isnan(div));
        out->f[0][i] = out->f[1][i] = !how.normalize ? num : over(num, none ? 1 : div);
        out->count[0] += out_voted;
        out->count[1] += out_voted;
        out->count[2] += how.normalize && !none && fabsf(div) < 0.001f;
    }
}

static double tree(const double *lane)
{
    double s[8], q[4];
    for (int j = 0; j < 8; j++)
        s[j] = lane[j] + lane[j + 8];
    for (int j = 0; j < 4; j++)
        q[j] = s[j] + s[j + 4];
    return (q[0] + q[2]) + (q[1] + q[3]);
}

static double lanes(const struct in *in, int what)
{
    double lane[16] = {0};
    for (size_t i = 0; i < in->n; i++) {
        double x = (double)in->x[i];
        lane[i % 16] += what == 0 ? x * (double)in->y[i] : what == 1 ? x : fabs(x);
    }
    return tree(lane);
}

static void run_squares(const struct in *in, struct out *out)
{
    begin(in, out);
    out->sum[0] = am_delta_square(out->f[0], in->x, out->f[0], in->n);
    out->sum[1] = am_add_square(out->f[1], in->a, out->f[1], in->x, in->n);
}

static void want_squares(const struct in *in, struct out *out)
{
    double lane[2][16] = {0};
    for (size_t i = 0; i < in->n; i++) {
        float d = plus(in->x[i], -in->y[i]), t = mul(in->a, in->z[i]);
        out->f[0][i] = d;
        out->f[1][i] = plus(in->x[i], t);
        lane[0][i % 16] += (double)d * (double)d;
        lane[1][i % 16] += (double)t * (double)t;
    }
    out->sum[0] = tree(lane[0]);
    out->sum[1] = tree(lane[1]);
}

static void run_dot(const struct in *in, struct out *out)
{
    struct am_dots dots = am_block_dots(in->x, in->y, in->n);
    out->sum[0] = am_block_dot(in->x, in->y, in->n);
    out->sum[1] = dots.xy;
    out->sum[2] = dots.xx;
    out->sum[3] = dots.yy;
}

static void want_dot(const struct in *in, struct out *out)
{
    struct in xx = *in, yy = *in;
    xx.y = in->x;
    yy.x = in->y;
    out->sum[0] = out->sum[1] = lanes(in, 0);
    out->sum[2] = lanes(&xx, 0);
    out->sum[3] = lanes(&yy, 0);
}

/* x and y of BF16 as it is stored: the upper halves of the floats. */
static const uint16_t *halves(const float *x, size_t n, uint16_t *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint16_t)(bits(x[i]) >> 16);
    return ret;
}

static void run_bf16(const struct in *in, struct out *out)
{
    static uint16_t a[ROOM], b[ROOM];
    const uint16_t *x = halves(in->x, in->n, a), *y = halves(in->y, in->n, b);
    struct am_dots dots = am_block_dots_bf16(x, y, in->n);
    begin(in, out);
    out->sum[0] = am_delta_square_bf16(out->f[0], x, y, in->n);
    out->sum[1] = am_add_square_bf16(out->f[1], in->a, out->f[1], x, in->n);
    out->sum[2] = dots.xy + dots.xx;
    out->sum[3] = dots.yy;
    am_blend_bf16((float *)(void *)out->raw, in->a, x, in->b, y, in->n);
    am_sub_bf16((float *)(void *)out->raw + ROOM, x, y, in->n);
    out->count[0] = am_finite_bf16(x, in->n);
}

static void want_bf16(const struct in *in, struct out *out)
{
    static float x[ROOM], y[ROOM];
    float *blend = (float *)(void *)out->raw, *sub = blend + ROOM;
    double lane[2][16] = {0};
    for (size_t i = 0; i < in->n; i++) {
        x[i] = from_bits(bits(in->x[i]) & 0xffff0000u);
        y[i] = from_bits(bits(in->y[i]) & 0xffff0000u);
        float d = minus(x[i], y[i]), t = mul(in->a, in->z[i]);
        out->f[0][i] = sub[i] = d;
        out->f[1][i] = plus(x[i], t);
        blend[i] = plus(mul(in->a, x[i]), mul(in->b, y[i]));
        lane[0][i % 16] += (double)d * (double)d;
        lane[1][i % 16] += (double)t * (double)t;
    }
    struct in xy = *in, xx = *in, yy = *in;
    xy.x = xx.x = xx.y = x;
    xy.y = yy.x = yy.y = y;
    out->sum[0] = tree(lane[0]);
    out->sum[1] = tree(lane[1]);
    out->sum[2] = lanes(&xy, 0) + lanes(&xx, 0);
    out->sum[3] = lanes(&yy, 0);
    out->count[0] = all_finite(x, in->n);
}

static void run_sums(const struct in *in, struct out *out)
{
    out->sum[0] = am_block_sum(in->x, in->n);
    out->sum[1] = am_block_sum_abs(in->x, in->n);
}

static void want_sums(const struct in *in, struct out *out)
{
    out->sum[0] = lanes(in, 1);
    out->sum[1] = lanes(in, 2);
}

static unsigned shift_for(const struct in *in)
{
    unsigned shift = 0;
    while (in->high > in->low && (in->high - 1 - in->low) >> shift >= 64)
        shift++;
    return shift;
}

static void run_select(const struct in *in, struct out *out)
{
    static uint32_t list[ROOM];
    size_t hits;
    out->count[3] = am_list_range(in->x, in->n, in->low, in->high, list, &hits);
    memcpy(out->raw, list, hits * sizeof(*list));
    begin(in, out);
    out->count[0] = am_count_range(in->x, in->n, in->low, in->high, shift_for(in), out->bins);
    out->count[1] = am_count_equal(in->x, in->n, in->low);
    out->count[2] = am_keep_range(out->f[0], in->x, in->n, in->low, in->high);
    am_keep_range(out->f[1], out->f[1], in->n, in->low, in->high);
}

static void want_select(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t u = bits(in->x[i]) % 0x80000000u, z = bits(in->z[i]) % 0x80000000u;
        bool inside = u >= in->low && u < in->high;
        out->count[0] += u >= in->high;
        out->count[1] += u == in->low;
        out->count[3] += u >= in->high;
        if (inside) {
            uint32_t off = u - in->low;
            memcpy(out->raw + 4 * out->count[2]++, &off, 4);
            out->bins[off / (1u << shift_for(in))]++;
        }
        memcpy(&out->f[0][i], inside ? &in->x[i] : &(float){0}, 4);
        memcpy(&out->f[1][i], z >= in->low && z < in->high ? &in->z[i] : &(float){0}, 4);
    }
}

/* ---- several models against their base: x is the base ---- */

enum { MODELS = 4 };

static const float *const *models(const struct in *in, const float **list)
{
    list[0] = in->y;
    list[1] = in->z;
    list[2] = in->z; /* two that agree */
    list[3] = in->x; /* one that changed nothing */
    return list;
}

static void run_nearswap(const struct in *in, struct out *out)
{
    out->count[0] = am_nearswap_f32(out->f[0], fabsf(in->a), in->y, in->x, in->n);
}

static void want_nearswap(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        float size = fabsf(minus(in->x[i], in->y[i])), w = over(fabsf(in->a), size < 1e-6f ? 1e-6f : size);
        out->count[0] += w >= 1;
        out->f[0][i] = plus(mul(w, in->y[i]), mul(minus(1, w), in->x[i]));
        if (w >= 1)
            memcpy(&out->f[0][i], &in->y[i], 4);
    }
}

static struct am_ram ram_of(const struct in *in)
{
    static const float unique[MODELS] = {1, 1.25f, 1.5f, 3};
    return (struct am_ram){.unique = unique, .epsilon = fabsf(in->b), .inputs = 1 + in->n % MODELS};
}

static void run_ram(const struct in *in, struct out *out)
{
    const float *x[MODELS];
    struct am_ram how = ram_of(in);
    struct am_ram_count c;
    uint64_t kept[MODELS] = {0}, unique[MODELS] = {0};
    am_ram_f32(&how, out->f[0], in->x, models(in, x), in->n, &c);
    am_ram_count(&how, in->x, x, in->n, kept, unique);
    for (size_t k = 0; k < how.inputs; k++)
        out->count[3] += (k + 1) * unique[k] + 100000 * (k + 1) * kept[k];
    out->count[0] = c.kept;
    out->count[1] = c.dropped;
    out->count[2] = c.shared;
}

static void want_ram(const struct in *in, struct out *out)
{
    const float *x[MODELS];
    struct am_ram how = ram_of(in);
    models(in, x);
    for (size_t i = 0; i < in->n; i++) {
        size_t count = 0, last = 0, place = 0;
        float sum = 0;
        for (size_t k = 0; k < how.inputs; k++) {
            float d = minus(x[k][i], in->x[i]);
            if (fabsf(d) <= how.epsilon) {
                out->count[1] += fabsf(d) > 0;
                continue;
            }
            sum = plus(sum, d);
            last = k;
            place += k + 1;
            count++;
        }
        out->count[0] += count;
        out->count[2] += count > 1;
        out->count[3] += 100000 * place + (count == 1 ? last + 1 : 0);
        out->f[0][i] = plus(in->x[i], count == 1 ? mul(sum, how.unique[last]) : over(sum, (float)count));
        if (count == 0)
            memcpy(&out->f[0][i], &in->x[i], 4);
    }
}

static void run_weigh(const struct in *in, struct out *out)
{
    static const float q[MODELS] = {0.25f, 0.5f, 0.125f, 0};
    const float *d[MODELS];
    size_t inputs = 1 + in->n % MODELS;
    models(in, d);
    am_variance_f32(out->f[0], d, inputs, in->n);
    am_erase_f32(out->f[0], in->z, in->n);
    out->count[0] = am_weigh_f32(q, inputs, out->f[1], in->x, d, in->n);
}

static void want_weigh(const struct in *in, struct out *out)
{
    static const float q[MODELS] = {0.25f, 0.5f, 0.125f, 0};
    const float *d[MODELS];
    size_t inputs = 1 + in->n % MODELS;
    models(in, d);
    for (size_t i = 0; i < in->n; i++) {
        float sum = d[0][i], squares = 0, num = 0, div = 0;
        bool any = false, against = false;
        for (size_t k = 1; k < inputs; k++)
            sum = plus(sum, d[k][i]);
        float mean = over(sum, (float)inputs);
        for (size_t k = 0; k < inputs; k++) {
            float e = d[k][i], off = minus(e, mean);
            squares = plus(squares, mul(off, off));
            bool part = isnan(e) || (sum >= 0 ? e > 0 : e < 0);
            any |= part;
            against |= !part && (e > 0 || e < 0);
            num = part ? plus(num, mul(q[k], e)) : num;
            div = part ? plus(div, q[k]) : div;
        }
        out->count[0] += against;
        out->f[0][i] = in->z[i] < 0 || in->z[i] > 0 || isnan(in->z[i]) ? over(squares, (float)inputs) : 0;
        out->f[1][i] = any ? plus(in->x[i], over(num, div < 1e-6f ? 1e-6f : div)) : 0;
        if (!any)
            memcpy(&out->f[1][i], &in->x[i], 4);
    }
}

/* exp and log of libm; the sums of a block that is all positive are as good as their terms. Finite inputs only. */
static float finite_of(float x)
{
    return isfinite(x) ? fmodf(x, 30) : 0;
}

static void finite_rows(const struct in *in, float *x, float *s)
{
    for (size_t i = 0; i < in->n; i++) {
        x[i] = finite_of(in->x[i]);
        s[i] = finite_of(in->y[i]);
    }
}

static void run_softmax(const struct in *in, struct out *out)
{
    static float x[ROOM], s[ROOM];
    size_t n = in->n < 4096 ? in->n : 4096;
    finite_rows(in, x, s);
    static float part[4][ROOM];
    struct am_softmax px = {.high = part[0], .low = part[1], .max = (double)am_max_f32(x, n)},
                      ps = {.high = part[2], .low = part[3], .max = (double)am_max_f32(s, n)};
    out->sum[0] = am_block_exp(x, px.max, n, px.high, px.low);
    px.inverse = n ? 1 / out->sum[0] : 0;
    ps.inverse = n ? 1 / am_block_exp(s, ps.max, n, ps.high, ps.low) : 0;
    out->sum[1] = am_block_kl(&px, &ps, 0, n);
    am_importance_f32(out->f[0], 0.75f, in->x, in->y, in->n);
    out->count[0] = am_fuse_f32(out->f[1], 0.75f, 0.125f, in->x, in->y, in->n);
}

static double kl_of_libm(const float *x, const float *s, size_t n, double *ret_size)
{
    double top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, kl = 0;
    for (size_t i = 0; i < n; i++) {
        top[0] = fmax(top[0], (double)x[i]);
        top[1] = fmax(top[1], (double)s[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum[0] += exp((double)x[i] - top[0]);
        sum[1] += exp((double)s[i] - top[1]);
    }
    *ret_size = 0;
    for (size_t i = 0; i < n; i++) {
        double p = exp((double)x[i] - top[0]) / sum[0] + 1e-8, q = exp((double)s[i] - top[1]) / sum[1] + 1e-8;
        kl += p * log(p / q);
        *ret_size += p * (fabs(log(p / q)) + 1);
    }
    return kl;
}

/* Takes over what run gave where it is near enough: which bits those are, the generic set says. */
static void want_softmax(const struct in *in, struct out *out)
{
    static float x[ROOM], s[ROOM];
    static struct out got;
    size_t n = in->n < 4096 ? in->n : 4096;
    double size, top = -INFINITY, sum = 0;
    memset(&got, 0, sizeof(got));
    run_softmax(in, &got);
    finite_rows(in, x, s);
    double kl = kl_of_libm(x, s, n, &size);
    for (size_t i = 0; i < n; i++)
        top = fmax(top, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    out->sum[0] = fabs(got.sum[0] - sum) <= 1e-13 * sum ? got.sum[0] : sum;
    out->sum[1] = fabs(got.sum[1] - kl) <= 1e-13 * size ? got.sum[1] : kl;
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = mul(fabsf(minus(in->x[i], in->y[i])), 0.75f);
        memcpy(&out->f[1][i], out->f[0][i] >= 0.125f ? &in->x[i] : &in->y[i], 4);
        out->count[0] += out->f[0][i] >= 0.125f;
    }
}

static void run_own(const struct in *in, struct out *out)
{
    begin(in, out);
    out->count[0] = am_mark_own(out->f[0], in->x, in->z, in->a, in->n);
    out->count[1] = am_keep_own(out->f[1], in->a, in->x, out->f[1], in->y, in->b, in->n);
}

static void want_own(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        bool own = fabsf(in->x[i]) > mul(in->a, fabsf(plus(in->z[i], -in->x[i]))), keep = in->y[i] >= in->b;
        out->f[0][i] = plus(in->y[i], own ? 1 : 0);
        out->f[1][i] = keep ? plus(in->z[i], mul(in->a, in->x[i])) : in->z[i];
        out->count[0] += own;
        out->count[1] += keep;
    }
}

static void run_range(const struct in *in, struct out *out)
{
    begin(in, out);
    am_widen_range(out->f[0], out->f[1], in->x, in->n);
}

static void want_range(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        out->f[0][i] = in->x[i] > in->y[i] ? in->x[i] : in->y[i];
        out->f[1][i] = in->x[i] < in->z[i] ? in->x[i] : in->z[i];
    }
}

static void run_signs(const struct in *in, struct out *out)
{
    begin(in, out);
    am_unify(out->f[0], in->x, out->f[0], in->z, in->n);
    am_take_sign(out->f[1], in->x, out->f[1], in->n);
}

static void want_signs(const struct in *in, struct out *out)
{
    for (size_t i = 0; i < in->n; i++) {
        float x = in->x[i], z = in->z[i];
        out->f[0][i] = x > 0 ? in->y[i] : x < 0 ? z : mul(0, x);
        out->f[1][i] = (x > 0 && z > 0) || (x < 0 && z < 0) ? z : 0;
    }
}

static const struct kernel {
    const char *name;
    void (*run)(const struct in *in, struct out *out);
    void (*want)(const struct in *in, struct out *out);
} kernels[] = {
    {"load 16", run_load16, want_load16},
    {"load wide", run_load_wide, want_load_wide},
    {"store f16", run_store_f16, want_store_f16},
    {"store bf16", run_store_bf16, want_store_bf16},
    {"store f32", run_store_f32, want_store_f32},
    {"store f64", run_store_f64, want_store_f64},
    {"nonfinite", run_nonfinite, want_nonfinite},
    {"scale", run_scale, want_scale},
    {"axpy", run_axpy, want_axpy},
    {"axpy_rows", run_axpy_rows, want_axpy_rows},
    {"sub, add", run_sub_add, want_sub_add},
    {"div, blend", run_div_blend, want_div_blend},
    {"elect", run_elect, want_elect},
    {"squares", run_squares, want_squares},
    {"dot", run_dot, want_dot},
    {"bf16", run_bf16, want_bf16},
    {"sums", run_sums, want_sums},
    {"select", run_select, want_select},
    {"nearswap", run_nearswap, want_nearswap},
    {"ram", run_ram, want_ram},
    {"weigh", run_weigh, want_weigh},
    {"softmax", run_softmax, want_softmax},
    {"own", run_own, want_own},
    {"range", run_range, want_range},
    {"signs", run_signs, want_signs},
};

/* Which NaN comes out of arithmetic is the processor's affair. */
static void same_nan(struct out *out, bool raw)
{
    float *x = (float *)(void *)out->raw;
    for (size_t i = 0; raw && i < 2 * (size_t)ROOM; i++)
        x[i] = isnan(x[i]) ? NAN : x[i];
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < ROOM; i++)
            out->f[k][i] = isnan(out->f[k][i]) ? NAN : out->f[k][i];
    for (int k = 0; k < 4; k++)
        out->sum[k] = isnan(out->sum[k]) ? (double)NAN : out->sum[k];
}

static void check(const struct in *in, const char *set, enum kind kind)
{
    static struct out want, got, generic;
    for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
        memset(&want, 0, sizeof(want));
        memset(&got, 0, sizeof(got));
        memset(&generic, 0, sizeof(generic));
        kernels[k].want(in, &want);
        kernels[k].run(in, &got);
        am_kernels_force("generic");
        kernels[k].run(in, &generic);
        am_kernels_force(set);
        bool exact = kernels[k].run == run_load16 || kernels[k].run == run_load_wide || kernels[k].run == run_select;
        if (exact && memcmp(&got, &generic, sizeof(got)) != 0)
            fail_msg("%s: %s is not generic, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
        bool raw = kernels[k].run == run_bf16;
        same_nan(&want, raw);
        same_nan(&got, raw);
        same_nan(&generic, raw);
        if (memcmp(&got, &generic, sizeof(got)) != 0)
            fail_msg("%s: %s is not generic, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
        if (memcmp(&got, &want, sizeof(got)) != 0)
            fail_msg("%s: %s is wrong, n %zu, kind %d", set, kernels[k].name, in->n, (int)kind);
    }
}

static void lengths(const char *set, enum kind kind)
{
    static const uint32_t ranges[][2] = {
        {0, 0x80000000u}, {0x3d000000u, 0x3d800000u}, {0x3e800000u, 0x3e800001u}, {0x3f000000u, 0x7f800000u}, {9, 9},
        {9, 3},
    };
    static float x[3 * (ROOM + 1)];
    static unsigned char raw[8 * ROOM];
    for (size_t n = 0; n <= MOST; n = n == 257 ? 4095 : n + 1) {
        size_t odd = n % 2;
        const float *first = x + odd;
        for (size_t i = 0; i < 3 * (ROOM + 1); i++)
            x[i] = draw(kind);
        for (size_t i = 0; i < ROOM; i++) {
            double d = (double)draw(kind) * (1 + (double)random32() * 0x1p-40);
            memcpy(raw + odd + 8 * i - (i == ROOM - 1 ? odd : 0), &d, 8);
        }
        const uint32_t *range = ranges[n % 6];
        struct in in = {.n = n,
                        .x = first,
                        .y = first + ROOM,
                        .z = first + 2 * (size_t)ROOM,
                        .raw = raw + odd,
                        .a = n % 3 ? 0.3f : draw(kind),
                        .b = -0.7f,
                        .low = range[0],
                        .high = range[1]};
        for (size_t i = 0; i < sizeof(raw) && kind == ANY_BITS; i++)
            raw[i] = (unsigned char)random32();
        check(&in, set, kind);
    }
}

/* All values of both 16-bit types in one array, which the vectors of every set take, and back to the same bits. */
static void patterns(const char *set)
{
    static uint16_t all[65536], back[65536];
    static float x[65536];
    const struct {
        enum am_dtype t;
        int exponent_bits, mantissa_bits;
    } types[] = {{AM_F16, 5, 10}, {AM_BF16, 8, 7}};
    for (size_t i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    for (size_t k = 0; k < 2; k++) {
        uint64_t over = 0;
        am_load_f32(types[k].t, all, x, 65536);
        assert_int_equal(am_store_f32(types[k].t, x, back, 65536, AM_OVERFLOW_REFUSE, NULL, NULL), 0);
        for (size_t i = 0; i < 65536; i++) {
            double v = value((uint16_t)i, types[k].exponent_bits, types[k].mantissa_bits);
            if (isnan(v) ? !isnan(x[i]) : bits(x[i]) != bits((float)v))
                fail_msg("%s: %04zx reads as %a, wanted %a", set, i, (double)x[i], v);
            uint16_t want =
                isnan(v) ? round16(NAN, types[k].exponent_bits, types[k].mantissa_bits, false, &over) : (uint16_t)i;
            if (back[i] != want)
                fail_msg("%s: %04zx comes back as %04x", set, i, back[i]);
        }
    }
}

static void test_set(const char *set)
{
    if (!am_kernels_force(set)) {
        print_message("this processor has no %s: its kernels were not tested\n", set);
        skip();
    }
    assert_string_equal(am_kernels_name(), set);
    patterns(set);
    for (enum kind kind = 0; kind < KINDS; kind++)
        lengths(set, kind);
}

static void test_generic(void **state)
{
    (void)state;
    test_set("generic");
}

static void test_avx2(void **state)
{
    (void)state;
    test_set("avx2");
}

static void test_avx512(void **state)
{
    (void)state;
    test_set("avx512");
}

static const char *chosen; /* under an unknown AMEND_KERNELS, before any other call */

static void test_names(void **state)
{
    (void)state;
    const char *best = "generic";
    for (size_t i = 0; i < 2; i++) {
        const char *set = i ? "avx512" : "avx2";
        best = am_kernels_force(set) ? set : best;
    }
    assert_string_equal(chosen, best);
    assert_true(am_kernels_force("generic"));
    assert_false(am_kernels_force("sse9"));
    assert_false(am_kernels_force(""));
    assert_string_equal(am_kernels_name(), "generic"); /* a refusal changes nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generic),
        cmocka_unit_test(test_avx2),
        cmocka_unit_test(test_avx512),
        cmocka_unit_test(test_names),
    };
    setenv("AMEND_KERNELS", "sse9", 1);
    chosen = am_kernels_name();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
