/*
 * test_records.c - what a worker says (worker/contract.md): good records in any cut, and everything that breaks the
 * protocol.
 */
#include "server/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HELLO                                                                                                          \
    "{\"record\":\"hello\",\"proto\":1,\"pid\":77,\"program\":\"amend-worker 0.1.0\",\"registry\":\"" SHA              \
    "\",\"kernels\":\"generic\",\"threads\":2}\n"
#define DONE "{\"record\":\"done\",\"bytes\":12,\"sha256\":\"" SHA "\",\"records\":3}\n"

struct heard {
    unsigned n[AM_RECORD_UNKNOWN + 1];
};

static void hear(void *arg, enum am_record kind)
{
    ((struct heard *)arg)->n[kind]++;
}

static int feed(struct am_records *r, struct heard *h, const char *text)
{
    return am_records_feed(r, text, strlen(text), hear, h);
}

/* Feeds `text` after init; the code it breaks with, or 0. */
static int breaks_with(const char *text)
{
    struct am_records r;
    struct heard h = {0};
    am_records_init(&r, SHA);
    feed(&r, &h, text);
    int code = r.broken;
    assert_true(!code || r.why[0]);
    am_records_done(&r);
    return code;
}

static void test_whole_conversation_in_any_cut(void **state)
{
    static const char text[] = HELLO "{\"record\":\"progress\",\"phase\":\"merge\",\"done\":3,\"total\":9,\"unit\":"
                                     "\"tensors\",\"bytes_done\":30,\"bytes_total\":90}\n"
                                     "{\"record\":\"heartbeat\"}\n"
                                     "{\"record\":\"surprise\",\"x\":[1,2]}\n"
                                     "{\"record\":\"done\",\"bytes\":12,\"sha256\":\"" SHA
                                     "\",\"records\":3,\"cpu_seconds\":1.5,\"peak_memory_bytes\":4096}\n"
                                     "{\"record\":\"heartbeat\"}\n";
    (void)state;
    for (size_t cut = 1; cut < 40; cut++) {
        struct am_records r;
        struct heard h = {0};
        am_records_init(&r, SHA);
        for (size_t at = 0; at < sizeof text - 1; at += cut) {
            size_t n = sizeof text - 1 - at < cut ? sizeof text - 1 - at : cut;
            assert_int_equal(am_records_feed(&r, text + at, n, hear, &h), 0);
        }
        assert_int_equal(am_records_end(&r), 0);
        assert_int_equal(r.pid, 77);
        assert_string_equal(r.kernels, "generic");
        assert_string_equal(r.progress.phase, "merge");
        assert_string_equal(r.progress.unit, "tensors");
        assert_int_equal(r.progress.bytes_total, 90);
        assert_true(r.done && !r.failed);
        assert_int_equal(r.result.bytes, 12);
        assert_int_equal(r.result.records, 3);
        assert_string_equal(r.result.sha256, SHA);
        assert_true(r.result.cpu_seconds > 1.49 && r.result.cpu_seconds < 1.51);
        assert_int_equal(r.result.peak_memory_bytes, 4096);
        assert_int_equal(h.n[AM_RECORD_HEARTBEAT], 2);
        assert_int_equal(h.n[AM_RECORD_UNKNOWN], 1);
        assert_int_equal(r.unknown, 1);
        am_records_done(&r);
    }
}

static void test_failure_with_faults(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    am_records_init(&r, NULL);
    assert_int_equal(feed(&r, &h, HELLO), 0);
    for (int i = 0; i < 130; i++)
        assert_int_equal(feed(&r, &h,
                              "{\"record\":\"fault\",\"code\":\"malformed-safetensors\",\"pointer\":\"\",\"reason\":"
                              "\"overlap\",\"tensor\":\"w\","
                              "\"file\":\"model.safetensors\",\"detail\":\"two tensors share bytes\"}\n"),
                         0);
    assert_int_equal(feed(&r, &h,
                          "{\"record\":\"failed\",\"code\":\"malformed-safetensors\",\"detail\":\"1 file is "
                          "malformed\",\"tensor\":\"w\","
                          "\"retryable\":false}\n"),
                     0);
    assert_true(r.failed);
    assert_int_equal(r.code, AM_E_MALFORMED);
    assert_string_equal(r.detail, "1 file is malformed");
    assert_string_equal(r.tensor, "w");
    assert_int_equal(r.faults.n, 100); /* the ceiling of the contract */
    assert_int_equal(r.faults.total, 130);
    assert_string_equal(r.faults.v[0].reason, "overlap");
    assert_string_equal(r.faults.v[99].file, "model.safetensors");
    am_records_done(&r);
}

static void test_unknown_code_of_failure_is_internal(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    am_records_init(&r, NULL);
    assert_int_equal(
        feed(&r, &h, HELLO "{\"record\":\"failed\",\"code\":\"melted\",\"detail\":\"x\",\"retryable\":true}\n"), 0);
    assert_int_equal(r.code, AM_E_INTERNAL);
    assert_true(r.retryable);
    assert_null(r.tensor);
    am_records_done(&r);
}

static void test_broken_protocols(void **state)
{
    (void)state;
    assert_int_equal(breaks_with(HELLO DONE), 0);
    assert_int_equal(breaks_with("{\"record\":\"heartbeat\"}\n"), AM_E_CRASHED); /* no hello */
    assert_int_equal(breaks_with(DONE), AM_E_CRASHED);
    assert_int_equal(breaks_with("\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "not json\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "[]\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":7}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"heartbeat\",\"record\":\"done\"}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO HELLO), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO DONE DONE), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO DONE "{\"record\":\"progress\",\"phase\":\"merge\"}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"progress\",\"phase\":\"merge\",\"done\":-1}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"progress\",\"done\":1}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"done\",\"bytes\":12,\"sha256\":\"AAAA\",\"records\":3}\n"),
                     AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"done\",\"sha256\":\"" SHA "\",\"records\":3}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"failed\",\"detail\":\"x\"}\n"), AM_E_CRASHED);
    assert_int_equal(breaks_with(HELLO "{\"record\":\"fault\",\"pointer\":3}\n"), AM_E_CRASHED);
}

static void test_worker_of_another_build(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    am_records_init(&r, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    assert_int_equal(feed(&r, &h, HELLO), -AM_E_INTERNAL);
    assert_string_equal(r.why, "the worker is not of this daemon's build; restart amendd");
    assert_int_equal(h.n[AM_RECORD_HELLO], 0);
    assert_int_equal(feed(&r, &h, DONE), -AM_E_INTERNAL); /* stays broken */
    assert_false(r.done);
    am_records_done(&r);
}

/* One record of exactly `n` bytes without its line feed. */
static char *padded(size_t n)
{
    static const char head[] = "{\"record\":\"x\",\"pad\":\"";
    char *line = malloc(n + 2);
    memset(line, 'a', n);
    memcpy(line, head, sizeof head - 1);
    memcpy(line + n - 2, "\"}\n", 4);
    return line;
}

static void test_ceiling_of_a_line(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    char *fits = padded(4096), *not = padded(4097);
    am_records_init(&r, SHA);
    assert_int_equal(feed(&r, &h, HELLO), 0);
    assert_int_equal(feed(&r, &h, fits), 0);
    assert_int_equal(r.unknown, 1);
    assert_int_equal(feed(&r, &h, not ), -AM_E_CRASHED);
    am_records_done(&r);
    /* a line without end is refused as soon as it is too long, not kept */
    am_records_init(&r, SHA);
    assert_int_equal(feed(&r, &h, HELLO), 0);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(am_records_feed(&r, "a", 1, hear, &h), 0);
    assert_int_equal(am_records_feed(&r, "a", 1, hear, &h), -AM_E_CRASHED);
    am_records_done(&r);
    free(fits);
    free(not );
}

static void test_unknown_records_have_a_ceiling(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    am_records_init(&r, SHA);
    assert_int_equal(feed(&r, &h, HELLO), 0);
    for (int i = 0; i < AM_RECORD_UNKNOWN_MAX; i++)
        assert_int_equal(feed(&r, &h, "{\"record\":\"new\"}\n"), 0);
    assert_int_equal(feed(&r, &h, "{\"record\":\"new\"}\n"), -AM_E_CRASHED);
    am_records_done(&r);
}

static void test_end_in_the_middle_of_a_line(void **state)
{
    struct am_records r;
    struct heard h = {0};
    (void)state;
    am_records_init(&r, SHA);
    assert_int_equal(feed(&r, &h, HELLO "{\"record\":\"do"), 0);
    assert_int_equal(am_records_end(&r), -AM_E_CRASHED);
    am_records_done(&r);
}

static void test_what_bounds_the_worker(void **state)
{
    static const struct {
        const char *member;
        unsigned holds;
    } told[] = {
        {"\"confinement\":[]", 0},
        {"\"confinement\":[\"rlimits\",\"oom\",\"landlock\",\"seccomp\"]", 15},
        {"\"confinement\":[\"seccomp\",\"rlimits\",\"moat\",7,null]", AM_HOLDS_RLIMITS | AM_HOLDS_SECCOMP},
        {"\"threads\":1", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        struct am_records r;
        struct heard h = {0};
        char line[400];
        snprintf(line, sizeof line, "{\"record\":\"hello\",\"proto\":1,\"pid\":7,\"registry\":\"%s\",%s}\n", SHA,
                 told[i].member);
        am_records_init(&r, SHA);
        assert_int_equal(feed(&r, &h, line), 0);
        assert_int_equal(r.holds, told[i].holds);
        am_records_done(&r);
    }
    assert_int_equal(
        breaks_with("{\"record\":\"hello\",\"proto\":1,\"pid\":7,\"registry\":\"" SHA "\",\"confinement\":\"all\"}\n"),
        AM_E_CRASHED);
}

/* A burst, then a pace: never more at any second. What is too much stays too much. */
static void test_more_than_there_is_to_say(void **state)
{
    struct am_records r;
    (void)state;
    am_records_init(&r, SHA);
    assert_int_equal(am_records_pace(&r, AM_RECORD_BURST, 0), 0);
    assert_int_equal(am_records_pace(&r, AM_RECORD_BYTES_A_SECOND, 1000), 0);
    assert_int_equal(am_records_pace(&r, 999 * AM_RECORD_BYTES_A_SECOND, 1000999), 0);
    assert_int_equal(am_records_pace(&r, 1, 1000999), -AM_E_CRASHED);
    assert_int_equal(r.broken, AM_E_CRASHED);
    assert_non_null(strstr(r.why, "17432577 bytes of records in 1000 seconds"));
    assert_int_equal(am_records_pace(&r, 1, 9000000), -AM_E_CRASHED);
    am_records_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_conversation_in_any_cut),
        cmocka_unit_test(test_failure_with_faults),
        cmocka_unit_test(test_unknown_code_of_failure_is_internal),
        cmocka_unit_test(test_broken_protocols),
        cmocka_unit_test(test_worker_of_another_build),
        cmocka_unit_test(test_ceiling_of_a_line),
        cmocka_unit_test(test_unknown_records_have_a_ceiling),
        cmocka_unit_test(test_end_in_the_middle_of_a_line),
        cmocka_unit_test(test_what_bounds_the_worker),
        cmocka_unit_test(test_more_than_there_is_to_say),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
