/*
 * test_base.c - errors, faults, buffers, the clock's text, hashes and the crew of core/base.
 */
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/crew.h"
#include "core/base/fault.h"
#include "core/base/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_err(void **state)
{
    (void)state;
    assert_string_equal(am_err_slug(AM_E_MALFORMED), "malformed-safetensors");
    assert_string_equal(am_err_slug(-AM_E_MALFORMED), "malformed-safetensors");
    assert_int_equal(am_err_status(-AM_E_DISK), 507);
    assert_int_equal(am_err_status(AM_E_CRASHED), 0);
    assert_true(am_err_retryable(AM_E_QUEUE_FULL) && !am_err_retryable(AM_E_NOT_FOUND));
    assert_string_equal(am_err_slug(9999), "internal");
    assert_string_equal(am_err_slug(INT32_MIN), "internal");
    for (int i = 1; i < AM_E_COUNT; i++)
        assert_int_equal(am_err_from_slug(am_err_slug(i)), i);
    assert_int_equal(am_err_from_slug("no-such"), 0);
    assert_int_equal(am_err_from_errno(ENOSPC), -AM_E_DISK);
    assert_int_equal(am_err_from_errno(EDQUOT), -AM_E_DISK);
    assert_int_equal(am_err_from_errno(ENOENT), -AM_E_NOT_FOUND);
    assert_int_equal(am_err_from_errno(EACCES), -AM_E_INTERNAL);
}

static void test_times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T01:48:10.123Z", 1795398490123},
        {"2026-11-23t02:48:10.123+01:00", 1795398490123},
        {"2026-11-22 20:18:10.123-05:30", 1795398490123},
        {"2026-11-23T01:48:10.1239999Z", 1795398490123},
        {"2026-11-23T01:48:10.5z", 1795398490500},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second */
        {"1969-12-31T23:59:59.999Z", -1},
    };
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T01:48:10",
                                      "2026-11-23T01:48Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T01:60:00Z",
                                      "2026-11-23T01:48:61Z",
                                      "2026-11-23T01:48:10.Z",
                                      "2026-11-23T01:48:10+0100",
                                      "2026-11-23T01:48:10+24:00",
                                      "2026-11-23T01:48:10Z ",
                                      "tomorrow",
                                      "-026-11-23T01:48:10Z"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = 77;
        assert_int_equal(am_time_parse(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 77;
        assert_int_equal(am_time_parse(bad[i], &ms), -AM_E_INVALID_REQUEST);
        assert_int_equal(ms, 77);
    }
    for (int64_t ms = -3000000000; ms < 5000000000000; ms += 86400000LL * 37 + 12345) { /* what is written is read */
        char text[AM_TIME_TEXT];
        int64_t back = 0;
        am_time_text(ms, text);
        assert_int_equal(am_time_parse(text, &back), 0);
        assert_int_equal(back, ms);
    }
}

static void test_faults(void **state)
{
    (void)state;
    struct am_faults f = {0};
    assert_int_equal(am_faults_worst(&f), 0);
    assert_int_equal(am_fault_add(&f, AM_E_NOT_FOUND, (struct am_where){"#/a", NULL, NULL, NULL}, "no %s", "a"),
                     -AM_E_NOT_FOUND);
    assert_int_equal(am_faults_worst(&f), -AM_E_NOT_FOUND);
    am_fault_add(&f, AM_E_NON_FINITE, (struct am_where){0}, "x"); /* a job's error counts as 422 */
    assert_int_equal(am_faults_worst(&f), -AM_E_NON_FINITE);
    am_fault_add(&f, AM_E_SHAPE_MISMATCH, (struct am_where){NULL, "r", "t", "f"}, "y");
    assert_int_equal(am_faults_worst(&f), -AM_E_NON_FINITE); /* the first of equals */
    am_fault_add(&f, -AM_E_DISK, (struct am_where){0}, "z");
    assert_int_equal(am_faults_worst(&f), -AM_E_DISK);
    assert_string_equal(f.v[0].pointer, "#/a");
    assert_string_equal(f.v[0].detail, "no a");
    assert_string_equal(f.v[1].pointer, "");
    assert_string_equal(f.v[2].tensor, "t");
    am_fault_add(&f, AM_E_MALFORMED, (struct am_where){0}, "%.2s is cut", "a\xc3\xa9");
    assert_string_equal(f.v[4].detail, "a? is cut");
    for (int i = 0; i < 200; i++)
        am_fault_add(&f, AM_E_MALFORMED, (struct am_where){0}, "%d", i);
    assert_int_equal(f.n, 100);
    assert_int_equal(f.total, 205);
    am_faults_done(&f);
    am_faults_done(&f);
}

static void test_buf(void **state)
{
    (void)state;
    struct am_buf b;
    am_buf_init(&b, 10);
    assert_int_equal(am_buf_puts(&b, "12345"), 0);
    assert_int_equal(am_buf_printf(&b, "%d", 67890), 0);
    assert_string_equal(b.data, "1234567890");
    assert_int_equal(am_buf_put(&b, "x", 1), -AM_E_TOO_LARGE);
    assert_int_equal(am_buf_printf(&b, "%s", "long"), -AM_E_TOO_LARGE);
    assert_string_equal(b.data, "1234567890");
    assert_int_equal(am_buf_put(&b, "", 0), 0);
    char *taken = am_buf_take(&b);
    assert_string_equal(taken, "1234567890");
    free(taken);
    assert_int_equal(b.len, 0);
    taken = am_buf_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    am_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(am_buf_put(&b, "ab\0", 3), 0);
    assert_int_equal(b.len, 300000);
    am_buf_done(&b);
    am_buf_done(&b);
}

static void test_time_text(void **state)
{
    (void)state;
    char t[AM_TIME_TEXT];
    am_time_text(1795398490123, t); /* date -u -d @1795398490 */
    assert_string_equal(t, "2026-11-23T01:48:10.123Z");
    am_time_text(0, t);
    assert_string_equal(t, "1970-01-01T00:00:00.000Z");
    am_time_text(-1, t);
    assert_string_equal(t, "1969-12-31T23:59:59.999Z");
    am_time_text(951782400000, t);
    assert_string_equal(t, "2000-02-29T00:00:00.000Z");
    assert_true(am_now_ms() > 1700000000000);
    int64_t a = am_mono_ms();
    assert_true(am_mono_ms() >= a);
}

static void test_hash(void **state)
{
    (void)state;
    char hex[65];
    am_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    am_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    am_git_blob_hex("", 0, hex);
    assert_string_equal(hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    am_git_blob_hex("{\"model_type\":\"llama\"}", 22, hex);
    assert_string_equal(hex, "0972e95c1405cc1507c19dcbe784f7a36c930907");
    am_lfs_pointer_hex("31a12d3d5afd883b97ccf24e5cf2de6066a8fb58a6b543863cec7420217bc6ac", 941152, hex);
    assert_string_equal(hex, "e48ad0bbf9f58dd89582e51e12e80b3cbd0845e6");
    struct am_hash *h = am_hash_new(AM_SHA1);
    am_hash_put(h, "a", 1);
    am_hash_put(h, "bc", 2);
    am_hash_hex(h, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    am_hash_hex(h, hex);
    assert_string_equal(hex, ""); /* ended: no second digest */
    am_hash_freep(&h);
    am_hash_free(NULL);
}

struct seen {
    int worked[7], followed[7];
    size_t order[4096], n;
    int at_once; /* threads in follow(); never more than one */
};

static void task(void *arg, size_t i)
{
    struct seen *s = arg;
    __atomic_add_fetch(&s->worked[i], 1, __ATOMIC_RELAXED);
}

static void follow(void *arg, size_t i)
{
    struct seen *s = arg;
    if (__atomic_add_fetch(&s->at_once, 1, __ATOMIC_SEQ_CST) == 1 && s->n < 4096)
        s->order[__atomic_fetch_add(&s->n, 1, __ATOMIC_RELAXED)] = i;
    s->followed[i]++;
    __atomic_sub_fetch(&s->at_once, 1, __ATOMIC_SEQ_CST);
}

/* Slots in turn, as a ring: some jobs are done by the caller, who waits for one or for several at once. */
static void test_crew(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 4; threads++) {
        struct seen seen = {.n = 0};
        struct am_crew *c = am_crew_new(threads, 7, task, follow, &seen);
        assert_non_null(c);
        size_t room = 7;
        for (size_t n = 0; n < 4096; n++, room--) {
            if (room == 0) { /* of the oldest ones */
                room = 1 + n % 5;
                am_crew_wait(c, (n + room - 1) % 7, AM_CREW_FOLLOWED);
                assert_true(__atomic_load_n(&seen.n, __ATOMIC_RELAXED) >= n + room - 7); /* all before it as well */
            }
            if (n % 5 == 0)
                am_crew_do(c, n % 7);
            else
                am_crew_give(c, n % 7);
            if (n % 3 == 0) {
                am_crew_wait(c, n % 7, AM_CREW_WORKED);
                assert_int_equal(__atomic_load_n(&seen.worked[n % 7], __ATOMIC_RELAXED), n / 7 + 1);
            }
        }
        am_crew_free(c); /* with some of them open */
        assert_int_equal(seen.n, 4096);
        for (size_t n = 0; n < 4096; n++)
            assert_int_equal(seen.order[n], n % 7);
        for (size_t i = 0; i < 7; i++)
            assert_int_equal(seen.worked[i], (4096 + 6 - i) / 7);
    }
    am_crew_free(NULL);
}

/* Nothing follows: then all has followed when the work is done. */
static void test_crew_alone(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 3; threads++) {
        struct seen seen = {.n = 0};
        struct am_crew *c = am_crew_new(threads, 7, task, NULL, &seen);
        for (size_t i = 0; i < 7; i++)
            am_crew_give(c, i);
        for (size_t i = 0; i < 7; i++)
            am_crew_wait(c, i, AM_CREW_FOLLOWED);
        am_crew_free(c);
        for (size_t i = 0; i < 7; i++)
            assert_int_equal(seen.worked[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err),       cmocka_unit_test(test_faults),         cmocka_unit_test(test_buf),
        cmocka_unit_test(test_time_text), cmocka_unit_test(test_times_are_read), cmocka_unit_test(test_hash),
        cmocka_unit_test(test_crew),      cmocka_unit_test(test_crew_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
