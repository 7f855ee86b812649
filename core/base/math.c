/*
 * math.c - acos, sin, cos, exp and log in f64 from + - * / and sqrt alone, in a fixed order (math.h). No libm: sqrt,
 * fabs and floor are single correctly rounded instructions or exact.
 *
 * Coefficients and reductions are those of fdlibm 5.3: "Copyright (C) 1993 by Sun Microsystems, Inc. All rights
 * reserved. Developed at SunSoft, a Sun Microsystems, Inc. business. Permission to use, copy, modify, and distribute
 * this software is freely granted, provided that this notice is preserved." The code is new. Angles too large for its
 * three-part pi/2 are reduced after Payne and Hanek in whole numbers.
 */
#include "core/base/math.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PIO2_HI 1.57079632679489655800e+00
#define PIO2_LO 6.12323399573676603587e-17
#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The upper half of the bits: squares and products of such are exact. */
static double head(double x)
{
    return of_bits(bits_of(x) & UINT64_C(0xffffffff00000000));
}

static int exponent(double x)
{
    return (int)(bits_of(x) >> 52 & 0x7ff) - 1023;
}

/* 2^k, k in [-1022, 1023]. */
static double power(int k)
{
    return of_bits((uint64_t)(k + 1023) << 52);
}

/* (asin(s) - s) / s with s * s = z <= 1/4. */
static double asin_part(double z)
{
    double p = z * (1.66666666666666657415e-01 +
                    z * (-3.25565818622400915405e-01 +
                         z * (2.01212532134862925881e-01 +
                              z * (-4.00555345006794114027e-02 +
                                   z * (7.91534994289814532176e-04 + z * 3.47933107596021167570e-05)))));
    double q =
        1 + z * (-2.40339491173441421878e+00 +
                 z * (2.02094576023350569471e+00 + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02)));
    return p / q;
}

double am_acos(double x)
{
    double size = fabs(x);
    if (!(size <= 1))
        return (double)NAN;
    if (size < 0.5) {
        if (size < 0x1p-57)
            return PIO2_HI + PIO2_LO;
        return PIO2_HI - (x - (PIO2_LO - x * asin_part(x * x)));
    }
    double z = (1 - size) * 0.5, s = sqrt(z); /* acos(|x|) = 2 asin(s) */
    if (z == 0)
        return x > 0 ? 0 : 2 * PIO2_HI;
    if (x < 0)
        return 2 * (PIO2_HI - (s + (asin_part(z) * s - PIO2_LO)));
    double h = head(s), rest = (z - h * h) / (s + h);
    return 2 * (h + (asin_part(z) * s + rest));
}

struct angle { /* high + low, in [-pi/4, pi/4] and a little, plus quadrant * pi/2 */
    double high, low;
    unsigned quadrant;
};

/* 2/pi: 64 zero bits, then its bits after the point; 1,161 of them are enough for the largest f64. */
static const uint64_t two_over_pi[] = {
    UINT64_C(0),
    UINT64_C(0xa2f9836e4e441529),
    UINT64_C(0xfc2757d1f534ddc0),
    UINT64_C(0xdb6295993c439041),
    UINT64_C(0xfe5163abdebbc561),
    UINT64_C(0xb7246e3a424dd2e0),
    UINT64_C(0x06492eea09d1921c),
    UINT64_C(0xfe1deb1cb129a73e),
    UINT64_C(0xe88235f52ebb4484),
    UINT64_C(0xe99c7026b45f7e41),
    UINT64_C(0x3991d639835339f4),
    UINT64_C(0x9c845f8bbdf9283b),
    UINT64_C(0x1ff897ffde05980f),
    UINT64_C(0xef2f118b5a0a6d1f),
    UINT64_C(0x6d367ecf27cb09b7),
    UINT64_C(0x4f463f669e5fea2d),
    UINT64_C(0x7527bac7ebe5f17b),
    UINT64_C(0x3d0739f78a5292ea),
    UINT64_C(0x6bfb5fb11f8d5d08),
    UINT64_C(0x56033046fc7b6bab),
    UINT64_C(0xf0cfbc209af4361d),
};

/* Bits [at, at + 64) of the table. */
static uint64_t take_bits(unsigned at)
{
    unsigned word = at / 64, shift = at % 64;
    return shift ? two_over_pi[word] << shift | two_over_pi[word + 1] >> (64 - shift) : two_over_pi[word];
}

/* high + low = (a + b) * pi/2; |b| is below an ulp of a. */
static void times_pio2(double a, double b, struct angle *ret)
{
    static const double p = PIO2_HI;
    double a1 = head(a), a2 = a - a1, p1 = head(p), p2 = p - p1;
    double product = a * p, error = ((a1 * p1 - product) + a1 * p2 + a2 * p1) + a2 * p2;
    double rest = error + (a * PIO2_LO + b * p);
    ret->high = product + rest;
    ret->low = (product - ret->high) + rest;
}

/*
 * For |x| >= 2^19: m * 2^e times 2/pi modulo 4, as a whole number of 192 bits that counts 2^-190. Bits of 2/pi that
 * give multiples of 4 are left out in front, and behind what is below 2^-137.
 */
static struct angle reduce_large(double x)
{
    struct angle ret;
    int e = exponent(x) - 52;
    uint64_t m = (bits_of(x) & UINT64_C(0xfffffffffffff)) | UINT64_C(0x10000000000000), w[3];
    unsigned __int128 sum = 0;
    for (int i = 2; i >= 0; i--) {
        sum = (unsigned __int128)m * take_bits((unsigned)(e - 2 + 64 + 64 * i)) + (sum >> 64);
        w[i] = (uint64_t)sum;
    }
    ret.quadrant = (unsigned)(w[0] >> 62) + (unsigned)(w[0] >> 61 & 1); /* to the nearest */
    bool negative = w[0] >> 61 & 1;
    w[0] = w[0] << 2 | w[1] >> 62; /* the fraction, counting 2^-192 */
    w[1] = w[1] << 2 | w[2] >> 62;
    w[2] <<= 2;
    if (negative) {
        w[2] = ~w[2] + 1;
        w[1] = ~w[1] + (w[2] == 0);
        w[0] = ~w[0] + (w[2] == 0 && w[1] == 0);
    }
    int zeros = 0;
    for (; w[0] >> 63 == 0; zeros++) { /* ends: no f64 is that close to a multiple of pi/2 */
        w[0] = w[0] << 1 | w[1] >> 63;
        w[1] = w[1] << 1 | w[2] >> 63;
        w[2] <<= 1;
    }
    double a = (double)(w[0] >> 11) * power(-53 - zeros),
           b = (double)((w[0] & 0x7ff) << 42 | w[1] >> 22) * power(-106 - zeros);
    times_pio2(negative ? -a : a, negative ? -b : b, &ret);
    return ret;
}

/* For |x| < 2^19: x - n * pi/2 with as many of the three parts of pi/2 as cancellation asks for. */
static struct angle reduce_small(double x)
{
    static const double part[] = {1.57079632673412561417e+00, 6.07710050630396597660e-11, 2.02226624871116645580e-21};
    static const double tail[] = {6.07710050650619224932e-11, 2.02226624879595063154e-21, 8.47842766036889956997e-32};
    static const int lost[] = {16, 49, 2000}; /* bits that may cancel before the next part is needed */
    double n = floor(x * 6.36619772367581382433e-01 + 0.5);
    double r = x - n * part[0], w = n * tail[0];
    struct angle ret = {.high = r - w, .quadrant = (unsigned)n};
    for (int i = 0; exponent(x) - exponent(ret.high) > lost[i]; i++) {
        double t = r;
        w = n * part[i + 1];
        r = t - w;
        w = n * tail[i + 1] - ((t - r) - w);
        ret.high = r - w;
    }
    ret.low = (r - ret.high) - w;
    return ret;
}

/* x >= 0 and finite. */
static struct angle reduce(double x)
{
    if (x <= 0.785398163397448278999)
        return (struct angle){.high = x};
    return x < 0x1p19 ? reduce_small(x) : reduce_large(x);
}

static double sin_part(struct angle a)
{
    double x = a.high, z = x * x, v = z * x;
    double r =
        8.33333333332248946124e-03 +
        z * (-1.98412698298579493134e-04 +
             z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
    return x - ((z * (0.5 * a.low - v * r) - a.low) - v * -1.66666666666666324348e-01);
}

static double cos_part(struct angle a)
{
    double x = a.high, z = x * x, z2 = z * z, half = 0.5 * z, w = 1 - half;
    double r =
        z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) +
        z2 * z2 * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11));
    return w + (((1 - w) - half) + (z * r - x * a.low));
}

double am_sin(double x)
{
    double size = fabs(x);
    if (size < 0x1p-27)
        return x; /* also keeps the sign of zero */
    if (!(size < (double)INFINITY))
        return (double)NAN;
    struct angle a = reduce(size);
    double y = a.quadrant & 1 ? cos_part(a) : sin_part(a);
    return (a.quadrant >> 1 & 1) != (unsigned)(x < 0) ? -y : y;
}

double am_cos(double x)
{
    double size = fabs(x);
    if (!(size < (double)INFINITY))
        return (double)NAN;
    struct angle a = reduce(size);
    double y = a.quadrant & 1 ? sin_part(a) : cos_part(a);
    return (a.quadrant + 1) >> 1 & 1 ? -y : y;
}

/* y * 2^k, k in [-1080, 1024]: rounded once. */
static double scale(double y, int k)
{
    if (k > 1023)
        return y * 2 * power(k - 1);
    return k >= -1022 ? y * power(k) : y * power(k + 1000) * 0x1p-1000;
}

double am_exp(double x)
{
    if (x != x)
        return (double)NAN;
    if (x > 7.09782712893383973096e+02)
        return (double)INFINITY;
    if (x < -7.45133219101941108420e+02)
        return 0;
    if (fabs(x) < 0x1p-28)
        return 1 + x;
    double k = fabs(x) > 0.5 * 6.93147180559945286227e-01 ? floor(x * 1.44269504088896338700e+00 + 0.5) : 0;
    double high = x - k * LN2_HI, low = k * LN2_LO, r = high - low, t = r * r;
    double c = r - t * (1.66666666666666019037e-01 +
                        t * (-2.77777777770155933842e-03 +
                             t * (6.61375632143793436117e-05 +
                                  t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    return scale(1 - ((low - (r * c) / (2 - c)) - high), (int)k);
}

double am_ln(double x)
{
    if (x == 0)
        return -(double)INFINITY;
    if (!(x > 0))
        return (double)NAN;
    if (x == (double)INFINITY)
        return x;
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    k += exponent(x);
    x = of_bits((bits_of(x) & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000));
    if (x > 1.41421356237309514547) {
        x *= 0.5;
        k++;
    }
    double f = x - 1, s = f / (2 + f), z = s * s, w = z * z, half = 0.5 * f * f, dk = k;
    double odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double even = z * (6.666666666666735130e-01 +
                       w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    return dk * LN2_HI - ((half - (s * (half + (odd + even)) + dk * LN2_LO)) - f);
}
