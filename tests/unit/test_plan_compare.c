/*
 * The memory that a comparison is planned with, against peaks that wait4 told of the worker (x86-64, glibc 2.36, two
 * threads, 2,000 replicates, ids of nine bytes): never below the peak, and at most a quarter above it.
 */
#include "core/table/plan_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { CLASSES = AM_HAS_Y | AM_HAS_P, MILLION = 1000000, SOME = 300000 };

static const struct {
    const char *what;
    uint64_t rows, classes, flips, peak;
    uint32_t columns;
    bool other_ids, groups, texts;
} shapes[] = {
    {"1,000 classes", MILLION, 1000, 180000, 46202880, CLASSES, false, false, false},
    {"the same, a key", MILLION, 1000, 180000, 54325248, CLASSES + AM_HAS_SLICE, false, false, false},
    {"the same, weights", MILLION, 1000, 180000, 98160640, CLASSES | AM_HAS_W, false, false, false},
    {"scores", MILLION, 0, MILLION, 137736192, AM_HAS_S, false, false, true},
    {"10 classes", SOME, 10, 60000, 19058688, CLASSES, false, false, false},
    {"lp", SOME, 10, 60000, 36524032, CLASSES | AM_HAS_LP, false, false, false},
    {"lp and top", SOME, 10, 60000, 42311680, CLASSES | AM_HAS_LP | AM_HAS_TOP, false, false, false},
    {"two keys", SOME, 10, 60000, 23941120, CLASSES + 2 * AM_HAS_SLICE, false, false, false},
    {"groups", SOME, 10, 60000, 24387584, CLASSES + AM_HAS_SLICE, false, true, false},
    {"weights", SOME, 10, 60000, 34512896, CLASSES | AM_HAS_W, false, false, false},
    {"other ids", SOME, 10, 60000, 26451968, CLASSES, true, false, false},
    {"scores", SOME, 0, SOME, 46641152, AM_HAS_S, false, false, true},
};

static void within_a_quarter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t n = shapes[i].rows;
        const struct am_compare_size size = {.rows = {n, n},
                                             .ids = {n, n},
                                             .columns = {shapes[i].columns, shapes[i].columns},
                                             .ids_bytes = {n * 17 + 200, n * 17 + 200},
                                             .replicates = 2000,
                                             .flips = shapes[i].flips,
                                             .classes = shapes[i].classes,
                                             .threads = 2,
                                             .same_ids = !shapes[i].other_ids,
                                             .groups = shapes[i].groups,
                                             .texts = shapes[i].texts};
        double ratio = (double)am_compare_memory(&size) / (double)shapes[i].peak;
        printf("%-18s %8llu rows: peak %5.1f MiB, plan %.2f of it\n", shapes[i].what, (unsigned long long)n,
               (double)shapes[i].peak / 1048576, ratio);
        assert_true(ratio >= 1 && ratio <= 1.25);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(within_a_quarter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
