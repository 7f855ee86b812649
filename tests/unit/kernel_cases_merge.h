/*
 * kernel_cases_merge.h - cases of test_kernel_sets.c: what methods do with several models at once.
 */
#ifndef AM_TESTS_KERNEL_CASES_MERGE_H
#define AM_TESTS_KERNEL_CASES_MERGE_H

#include "tests/unit/kernel_cases.h"

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

#endif
