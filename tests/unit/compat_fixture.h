/*
 * compat_fixture.h - what the tests of core/compat share: nearness, and numbers to draw from. Include it after
 * cmocka.h.
 */
#ifndef AM_TESTS_COMPAT_FIXTURE_H
#define AM_TESTS_COMPAT_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define NEAR(got, want, by)                                                                                            \
    assert_true(fabs((got) - (want)) <= (by) || (printf("%.15g, not %.15g\n", (double)(got), (double)(want)), 0))

static uint64_t state_ = 88172645463325252u;

static inline uint64_t next(void) /* xorshift64 */
{
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
}

#endif
