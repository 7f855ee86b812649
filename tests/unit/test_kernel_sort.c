/*
 * test_kernel_sort.c - am_sort_columns in every set: against qsort of each column, and all sets against generic bit for
 * bit, for any number of rows.
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
#include "tests/unit/kernel_sets.h"

enum { ROOM = 4097 + 16, COLUMNS = 100 };

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sorts(const char *set, enum kind kind, size_t m, size_t n)
{
    static float first[COLUMNS][ROOM], got[COLUMNS][ROOM], generic[COLUMNS][ROOM];
    float *rows[COLUMNS], *plain[COLUMNS], column[COLUMNS];
    for (size_t k = 0; k < COLUMNS; k++) {
        for (size_t i = 0; i < ROOM; i++)
            first[k][i] = draw(kind);
        rows[k] = got[k] + k % 3;
        plain[k] = generic[k] + k % 3;
    }
    memcpy(got, first, sizeof(first));
    memcpy(generic, first, sizeof(first));
    am_sort_columns(rows, m, n);
    am_kernels_force("generic");
    am_sort_columns(plain, m, n);
    am_kernels_force(set);
    if (memcmp(got, generic, sizeof(got)) != 0)
        fail_msg("%s: sorting %zu rows of %zu is not generic, kind %d", set, m, n, (int)kind);
    for (size_t k = 0; k < COLUMNS; k++) /* nothing beside the rows moves */
        if (k >= m ? memcmp(got[k], first[k], sizeof(first[k])) != 0
                   : memcmp(rows[k] + n, first[k] + k % 3 + n, 4 * (ROOM - n - k % 3)) != 0)
            fail_msg("%s: sorting %zu rows of %zu wrote elsewhere", set, m, n);
    for (size_t i = 0; i < n && kind != ANY_BITS && kind != EDGES; i++) {
        for (size_t k = 0; k < m; k++)
            column[k] = first[k][i + k % 3];
        qsort(column, m, sizeof(*column), by_value);
        for (size_t k = 0; k < m; k++)
            if (column[k] < rows[k][i] || column[k] > rows[k][i])
                fail_msg("%s: sorting %zu rows of %zu: row %zu, column %zu", set, m, n, k, i);
    }
}

static void test_set(const char *set)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (size_t m = 0; m <= COLUMNS; m = m < 20 ? m + 1 : m + 16)
            sorts(set, kind, m, m * 29 % 131);
        sorts(set, kind, 3, ROOM - 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TESTS,
    };
    setenv("AMEND_KERNELS", "generic", 1);
    if (strcmp(am_kernels_name(), "generic") != 0)
        return 1; /* the environment overrides what the processor has */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
