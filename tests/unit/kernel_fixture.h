/*
 * kernel_fixture.h - what the tests of the kernels share: bits and values of floats, and numbers of every kind. Include
 * it after cmocka.h.
 */
#ifndef AM_TESTS_KERNEL_FIXTURE_H
#define AM_TESTS_KERNEL_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

/* The value of a small float by the definition of IEEE 754: sign, exponent, mantissa. */
static inline double value(uint16_t h, int exponent_bits, int mantissa_bits)
{
    int e = h >> mantissa_bits & ((1 << exponent_bits) - 1), m = h & ((1 << mantissa_bits) - 1),
        bias = (1 << (exponent_bits - 1)) - 1;
    double v;
    if (e == (1 << exponent_bits) - 1)
        v = m ? (double)NAN : (double)INFINITY;
    else if (e == 0)
        v = ldexp(m, 1 - bias - mantissa_bits);
    else
        v = ldexp((1 << mantissa_bits) + m, e - bias - mantissa_bits);
    return h >> 15 ? -v : v;
}

static uint64_t seed = 42;

static inline uint32_t random32(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static inline float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

enum kind { BELL, ANY_BITS, SUBNORMAL, TIES, EDGES, KINDS };

static inline float draw(enum kind kind)
{
    static const uint32_t edges[] = {0x477fe000, 0x477fefff, 0x477ff000, 0x47800000, 0x7f7f0000, 0x7f7f7fff,
                                     0x7f7f8000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001, 0x387fc000,
                                     0x387fffff, 0x38800000, 0x33000000, 0x33000001, 0x32ffffff, 0x00008000,
                                     0x00018000, 0x3f808000, 0x3f818000};
    uint32_t u = random32();
    switch (kind) {
    case ANY_BITS:
        return from_bits(u);
    case SUBNORMAL:
        return from_bits(u & 0x807fffffu);
    case TIES:
        return (float)((int)(u % 7) - 3) * (u & 0x10000 ? 0.25f : -0.25f);
    case EDGES:
        return from_bits(edges[(u >> 8) % (sizeof(edges) / sizeof(edges[0]))] | (u & 0x80000000u));
    default:
        return ((float)(u & 0xffff) + (float)(u >> 16) - 65535) * 0x1p-20f;
    }
}

#endif
