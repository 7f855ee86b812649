/*
 * kernel_cases_vector.h - cases of test_kernel_sets.c: arithmetic, sums, ranges and signs of one or two vectors.
 */
#ifndef AM_TESTS_KERNEL_CASES_VECTOR_H
#define AM_TESTS_KERNEL_CASES_VECTOR_H

#include "tests/unit/kernel_cases.h"

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
        out->count[2] += inside;
        if (inside)
            out->bins[(u - in->low) / (1u << shift_for(in))]++;
        memcpy(&out->f[0][i], inside ? &in->x[i] : &(float){0}, 4);
        memcpy(&out->f[1][i], z >= in->low && z < in->high ? &in->z[i] : &(float){0}, 4);
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

#endif
