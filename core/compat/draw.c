/*
 * draw.c - see draw.h.
 */
#include "core/compat/draw.h"
#include "core/base/math.h"
#include "core/compat/binomial.h"
#include "core/tensor/kernels.h"

#include <math.h>

int am_draw_key(uint64_t seed, uint32_t ret_key[2])
{
    return am_random_key("bootstrap", seed, 0, "", ret_key);
}

void am_draw_begin(struct am_draw *d, const uint32_t key[2], uint32_t replicate)
{
    d->key[0] = key[0];
    d->key[1] = key[1];
    d->next = (uint64_t)replicate << 32;
    d->left = 0;
}

static uint32_t word(struct am_draw *d)
{
    if (d->left == 0) {
        am_random_words(d->words, AM_DRAW_AHEAD, d->key, d->next);
        d->next += AM_DRAW_AHEAD;
        d->left = AM_DRAW_AHEAD;
    }
    return d->words[AM_DRAW_AHEAD - d->left--];
}

static uint64_t two_words(struct am_draw *d)
{
    uint64_t high = word(d);
    return high << 32 | word(d);
}

double am_draw_unit(struct am_draw *d)
{
    return ((double)(two_words(d) >> 12) + 0.5) * 0x1p-52;
}

uint64_t am_draw_below(struct am_draw *d, uint64_t n)
{
    if (n <= UINT32_MAX) { /* half the words, and a product that the processor has */
        uint32_t bound = (uint32_t)n, refuse = -bound % bound;
        for (;;) {
            uint64_t product = (uint64_t)word(d) * bound;
            if ((uint32_t)product >= refuse)
                return product >> 32;
        }
    }
    uint64_t refuse = -n % n;
    for (;;) {
        unsigned __int128 product = (unsigned __int128)two_words(d) * n;
        if ((uint64_t)product >= refuse)
            return (uint64_t)(product >> 64);
    }
}

/* p <= 1/2 and n p < 10: P(0) does not vanish, and the sum reaches any uniform soon. */
static double by_inversion(struct am_draw *d, double n, double p)
{
    double u = am_draw_unit(d), odds = p / (1 - p), term = am_exp(n * am_ln(1 - p)), k = 0;
    while (u > term && k < n) {
        u -= term;
        k++;
        term *= odds * (n - k + 1) / k;
        if (!(term > 0)) /* rounding left a rest of u */
            return k;
    }
    return k;
}

/* p <= 1/2 and n p >= 10. */
static double by_rejection(struct am_draw *d, double n, double p)
{
    double spread = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p;
    double c = n * p + 0.5, alpha = (2.83 + 5.1 / b) * spread, v_r = 0.92 - 4.2 / b;
    double mode = floor((n + 1) * p), ln_mode = am_ln_binomial_pmf(n, p, mode);
    for (;;) {
        double u = am_draw_unit(d) - 0.5, v = am_draw_unit(d), us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + c);
        if (us >= 0.07 && v <= v_r)
            return k;
        if (k < 0 || k > n)
            continue;
        if (am_ln(v * alpha / (a / (us * us) + b)) <= am_ln_binomial_pmf(n, p, k) - ln_mode)
            return k;
    }
}

uint64_t am_draw_binomial(struct am_draw *d, uint64_t n, double p)
{
    if (n == 0 || !(p > 0))
        return 0;
    if (p >= 1)
        return n;
    double trials = (double)n, rare = p <= 0.5 ? p : 1 - p;
    double k = trials * rare < 10 ? by_inversion(d, trials, rare) : by_rejection(d, trials, rare);
    return (uint64_t)(p <= 0.5 ? k : trials - k);
}

void am_draw_multinomial(struct am_draw *d, uint64_t n, const double *share, size_t cells, double *ret)
{
    double rest = 0;
    size_t last = 0;
    for (size_t i = 0; i < cells; i++) {
        rest += share[i];
        if (share[i] > 0)
            last = i;
    }
    for (size_t i = 0; i < cells; i++) {
        uint64_t k = i == last ? n : am_draw_binomial(d, n, share[i] / rest);
        ret[i] = (double)k;
        n -= k;
        rest -= share[i];
    }
}
