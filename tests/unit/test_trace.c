/*
 * test_trace.c - server/trace.h and core/base/hist.h. What a traceparent is comes from the W3C recommendation, 3.2.
 */
#include "core/base/hist.h"
#include "server/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define JOB "job_01a20616d80b7f0a9b1c2d3e4f506172"

static void parents(void **state)
{
    static const struct {
        const char *header, *kept;
    } table[] = {
        {"00-" TRACE "-00f067aa0ba902b7-01", "00-" TRACE "-00f067aa0ba902b7-01"},
        {"00-" TRACE "-00f067aa0ba902b7-00", "00-" TRACE "-00f067aa0ba902b7-00"},
        {"cc-" TRACE "-00f067aa0ba902b7-01", "00-" TRACE "-00f067aa0ba902b7-01"},
        {"cc-" TRACE "-00f067aa0ba902b7-01-more", "00-" TRACE "-00f067aa0ba902b7-01"},
        {"cc-" TRACE "-00f067aa0ba902b7-01.more", NULL},
        {"00-" TRACE "-00f067aa0ba902b7-01-", NULL},
        {"ff-" TRACE "-00f067aa0ba902b7-01", NULL},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", NULL},
        {"00-" TRACE "-0000000000000000-01", NULL},
        {"00-" TRACE "-00F067aa0ba902b7-01", NULL},
        {"00-" TRACE "_00f067aa0ba902b7-01", NULL},
        {"00-" TRACE "-00f067aa0ba902b7-0", NULL},
        {"0x-" TRACE "-00f067aa0ba902b7-01", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char out[AM_TRACE_PARENT] = "as it was";
        assert_int_equal(am_trace_parse(table[i].header, out), table[i].kept != NULL);
        assert_string_equal(out, table[i].kept ? table[i].kept : "as it was");
    }
}

static void jobs(void **state)
{
    char id[33], child[AM_TRACE_PARENT];
    (void)state;
    am_trace_id(NULL, JOB, id);
    assert_string_equal(id, JOB + 4);
    am_trace_child(NULL, JOB, child);
    assert_string_equal(child, "00-01a20616d80b7f0a9b1c2d3e4f506172-9b1c2d3e4f506172-01");
    am_trace_id("00-" TRACE "-00f067aa0ba902b7-00", JOB, id);
    assert_string_equal(id, TRACE);
    am_trace_child("00-" TRACE "-00f067aa0ba902b7-00", JOB, child);
    assert_string_equal(child, "00-" TRACE "-9b1c2d3e4f506172-00");
}

static void buckets(void **state)
{
    static am_hist_bounds some = {10, 100, 1000, 0};
    static am_hist_bounds full = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0};
    struct am_hist h = {0}, all = {0};
    (void)state;
    const int64_t values[] = {-5, 0, 10, 11, 100, 1000, 1001, 1 << 30};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        am_hist_add(&h, some, values[i]);
    assert_int_equal(h.n[0], 3); /* a bound belongs to its bucket; time does not run backwards */
    assert_int_equal(h.n[1], 2);
    assert_int_equal(h.n[2], 1);
    assert_int_equal(h.n[AM_HIST_BUCKETS], 2);
    assert_int_equal(h.sum_us, 10 + 11 + 100 + 1000 + 1001 + (1 << 30));
    for (int us = 1; us <= 13; us++)
        am_hist_add(&all, full, us);
    for (int i = 0; i <= AM_HIST_BUCKETS; i++)
        assert_int_equal(all.n[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parents),
        cmocka_unit_test(jobs),
        cmocka_unit_test(buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
