/*
 * kernel_cases_frame.h - cases of test_kernel_sets.c: the frame of task arithmetic on BF16 as it is stored, x being the
 * base, and lists of keys.
 */
#ifndef AM_TESTS_KERNEL_CASES_FRAME_H
#define AM_TESTS_KERNEL_CASES_FRAME_H

#include "tests/unit/kernel_cases.h"

/* By n: 1 to 4 inputs in each form of the kernel. */
static struct am_frame_of framing(const struct in *in)
{
    size_t form = in->n / AM_FRAME_INPUTS;
    struct am_frame_of how = {.inputs = 1 + in->n % AM_FRAME_INPUTS,
                              .weight = {in->a, in->b, 0.7f, -0.3f},
                              .low = {in->low, 0, 0x3c000000u, in->low},
                              .high = {in->high, 0x80000000u, 0x80000000u, 0x7f000000u},
                              .elects = form % 2,
                              .normalize = form / 2 % 2,
                              .thin = form / 4 % 2,
                              .div = 1.5f,
                              .lambda = form / 8 % 2 ? 1.0f : -0.6f};
    if (in->n % 5 == 0) /* where thin ends */
        how.weight[0] = in->n % 2 ? 0.001f : nextafterf(0.001f, 0);
    return how;
}

static float high_half(float x)
{
    return from_bits(bits(x) & 0xffff0000u);
}

/* Of a result that cannot be stored, or of an input that is none, nothing else is promised. */
static void keep_promised(const struct am_frame_of *how, const struct am_frame_sums *sums, struct out *out)
{
    bool fits = sums->fits;
    for (size_t k = 0; k < how->inputs; k++)
        fits &= isfinite(sums->delta[k]);
    if (!fits)
        memset(out, 0, sizeof(*out));
    out->count[0] = fits;
    for (size_t k = 0; fits && k < how->inputs; k++) {
        out->sum[k] = sums->delta[k];
        out->bins[k] = (uint32_t)sums->kept[k];
    }
    if (!fits)
        return;
    memcpy(&out->count[1], &sums->out, 8);
    out->count[2] = sums->conflicts;
    out->count[3] = how->thin ? sums->thin : 0;
}

static void run_frame(const struct in *in, struct out *out)
{
    static uint16_t stored[3][ROOM];
    const uint16_t *base = halves(in->x, in->n, stored[0]), *y = halves(in->y, in->n, stored[1]),
                   *z = halves(in->z, in->n, stored[2]), *x[AM_FRAME_INPUTS] = {y, z, z, base};
    struct am_frame_of how = framing(in);
    struct am_frame_sums sums = am_frame_bf16(&how, (uint16_t *)(void *)out->raw, base, x, in->n);
    keep_promised(&how, &sums, out);
}

struct element { /* of the frame */
    float e[AM_FRAME_INPUTS], t;
    bool conflict, thin;
};

static void vote(const struct am_frame_of *how, struct element *r)
{
    float sum = 0, num = 0, div = 0;
    for (size_t k = 0; k < how->inputs; k++)
        sum = plus(sum, r->e[k]);
    for (size_t k = 0; k < how->inputs; k++) {
        bool takes_part = sum >= 0 ? r->e[k] > 0 : r->e[k] < 0;
        if (how->elects && !takes_part) {
            r->conflict |= r->e[k] < 0 || r->e[k] > 0;
            continue;
        }
        num = k == 0 ? r->e[k] : plus(num, r->e[k]);
        div = plus(div, how->weight[k]);
    }
    bool none = !(div < 0 || div > 0);
    r->thin = how->elects && how->normalize && !none && fabsf(div) < 0.001f;
    if (how->normalize)
        num = over(num, !how->elects ? how->div : none ? 1 : div);
    r->t = mul(how->lambda, num);
}

static void want_frame(const struct in *in, struct out *out)
{
    const float *x[AM_FRAME_INPUTS] = {in->y, in->z, in->z, in->x};
    const struct am_frame_of how = framing(in);
    struct am_frame_sums sums = {.fits = true};
    double lane[AM_FRAME_INPUTS + 1][16] = {{0}};
    for (size_t i = 0; i < in->n; i++) {
        float base = high_half(in->x[i]);
        struct element r = {.t = 0};
        for (size_t k = 0; k < how.inputs; k++) {
            float d = minus(high_half(x[k][i]), base);
            uint32_t key = bits(d) % 0x80000000u;
            bool in_range = key >= how.low[k] && key < how.high[k];
            r.e[k] = mul(how.weight[k], in_range ? d : 0);
            lane[k][i % 16] += (double)d * (double)d;
            sums.kept[k] += in_range;
        }
        vote(&how, &r);
        lane[AM_FRAME_INPUTS][i % 16] += (double)r.t * (double)r.t;
        sums.conflicts += r.conflict;
        sums.thin += r.thin;
        uint32_t u = bits(plus(base, r.t)), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        sums.fits &= u % 0x80000000u < 0x7f7f8000u;
        memcpy(out->raw + 2 * i, &rounded, 2);
    }
    for (size_t k = 0; k < how.inputs; k++)
        sums.delta[k] = tree(lane[k]);
    sums.out = tree(lane[AM_FRAME_INPUTS]);
    keep_promised(&how, &sums, out);
}

static void run_blend_to(const struct in *in, struct out *out)
{
    static uint16_t stored[2][ROOM];
    const uint16_t *x = halves(in->x, in->n, stored[0]), *y = halves(in->y, in->n, stored[1]);
    out->count[0] = am_blend_to_bf16((uint16_t *)(void *)out->raw, in->a, x, in->b, y, in->n);
    if (!out->count[0])
        memset(out->raw, 0, sizeof(out->raw));
}

static void want_blend_to(const struct in *in, struct out *out)
{
    bool fits = true;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t u = bits(plus(mul(in->a, high_half(in->x[i])), mul(in->b, high_half(in->y[i])))),
                 rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        fits &= u % 0x80000000u < 0x7f7f8000u;
        memcpy(out->raw + 2 * i, &rounded, 2);
    }
    out->count[0] = fits;
    if (!fits)
        memset(out->raw, 0, sizeof(out->raw));
}

/* ---- Lists, which are in no order ---- */

static struct am_key_ranges key_ranges(const struct in *in)
{
    return (struct am_key_ranges){.n = 1 + in->n / 6 % 3,
                                  .low = {in->low, 0x3d400000u, in->high},
                                  .high = {in->high, 0x3f000000u, in->high < 0x7f000000u ? in->high + 0x800000u : 7}};
}

static bool listed(uint32_t u, const struct am_key_ranges *r, uint64_t *above)
{
    bool in = false;
    for (size_t i = 0; i < r->n; i++) {
        in |= u >= r->low[i] && u < r->high[i];
        above[i] += u >= r->high[i];
    }
    return in;
}

static int by_key(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    return x < y ? -1 : x > y;
}

static void keep_list(const uint32_t *list, size_t n, struct out *out)
{
    out->count[3] = n;
    memcpy(out->raw, list, n * sizeof(*list));
    qsort(out->raw, n, sizeof(*list), by_key);
}

static void run_list(const struct in *in, struct out *out)
{
    static uint32_t list[ROOM];
    const struct am_key_ranges ranges = key_ranges(in);
    keep_list(list, am_list_range(in->x, in->n, &ranges, list, out->count), out);
}

static void want_list(const struct in *in, struct out *out)
{
    static uint32_t list[ROOM];
    const struct am_key_ranges ranges = key_ranges(in);
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        list[n] = bits(in->x[i]) % 0x80000000u;
        n += listed(list[n], &ranges, out->count);
    }
    keep_list(list, n, out);
}

/* What is listed of a difference is what is listed of the same difference in f32. */
static void run_list_bf16(const struct in *in, struct out *out)
{
    static uint16_t a[ROOM], b[ROOM];
    static uint32_t list[ROOM];
    const uint16_t *x = halves(in->x, in->n, a), *y = halves(in->y, in->n, b);
    const struct am_key_ranges ranges = key_ranges(in);
    keep_list(list, am_list_delta_bf16(x, y, in->n, &ranges, list, out->count), out);
}

static void want_list_bf16(const struct in *in, struct out *out)
{
    static uint32_t list[ROOM];
    const struct am_key_ranges ranges = key_ranges(in);
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        list[n] = bits(minus(high_half(in->x[i]), high_half(in->y[i]))) % 0x80000000u;
        n += listed(list[n], &ranges, out->count);
    }
    keep_list(list, n, out);
}

/* Of three keys, of which two go. */
static uint32_t some_key(const struct in *in, size_t i)
{
    return (bits(in->x[i]) >> 3) % 3 + in->high;
}

static void run_drop(const struct in *in, struct out *out)
{
    static uint32_t key[ROOM];
    const uint32_t drop[2] = {in->high, in->high + 2};
    uint32_t count[2];
    for (size_t i = 0; i < in->n; i++)
        key[i] = some_key(in, i);
    keep_list(key, am_drop_keys(key, in->n, drop, count), out);
    out->count[0] = count[0];
    out->count[1] = count[1];
}

static void want_drop(const struct in *in, struct out *out)
{
    static uint32_t key[ROOM];
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        key[n] = some_key(in, i);
        out->count[0] += key[n] == in->high;
        out->count[1] += key[n] == in->high + 2;
        n += key[n] == in->high + 1;
    }
    keep_list(key, n, out);
}

#endif
