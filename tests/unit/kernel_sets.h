/*
 * kernel_sets.h - a test for each set of kernels. Who includes it, after cmocka.h, says what is tested of a set and has
 * SET_TESTS among its tests.
 */
#ifndef AM_TESTS_KERNEL_SETS_H
#define AM_TESTS_KERNEL_SETS_H

#include "core/tensor/kernels.h"

static void test_set(const char *set); /* the set runs when it is called */

static void take_set(const char *set)
{
    if (!am_kernels_force(set)) {
        print_message("this processor has no %s: its kernels were not tested\n", set);
        skip();
    }
    test_set(set);
}

static void test_generic(void **state)
{
    (void)state;
    take_set("generic");
}

static void test_avx2(void **state)
{
    (void)state;
    take_set("avx2");
}

static void test_avx512(void **state)
{
    (void)state;
    take_set("avx512");
}

#define SET_TESTS cmocka_unit_test(test_generic), cmocka_unit_test(test_avx2), cmocka_unit_test(test_avx512)

#endif
