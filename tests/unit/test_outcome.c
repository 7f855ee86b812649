/*
 * test_outcome.c - how a job ended, from what its worker said and how it died: the code, and whether another attempt
 * makes sense; and what becomes of the row.
 */
#include "tests/unit/store_fixture.h"

#include "core/base/text.h"
#include "server/engine_end.h"

#include <signal.h>

#define HELLO                                                                                                          \
    "{\"record\":\"hello\",\"proto\":1,\"pid\":7,\"program\":\"w\",\"registry\":\"r\",\"kernels\":\"generic\"}\n"
#define FAILED(code, again)                                                                                            \
    HELLO "{\"record\":\"failed\",\"code\":\"" code "\",\"detail\":\"told\",\"retryable\":" again "}\n"
#define DONE                                                                                                           \
    HELLO "{\"record\":\"done\",\"bytes\":1,\"records\":1,\"sha256\":\""                                               \
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}\n"

struct row {
    const char *said;
    struct am_exit exit;
    enum am_ending kind;
    int code;
    bool again;
};

#define JOB "job_01a21f5f63257275813a42ba129258eb" /* as long as they are: a trace takes its parts from it */

static const struct row rows[] = {
    /* said by the worker: its word that trying again is useless is taken, the opposite only where the code allows it */
    {FAILED("cannot-write", "true"), {.status = 73}, AM_END_FAILED, AM_E_CANNOT_WRITE, true},
    {FAILED("cannot-write", "false"), {.status = 73}, AM_END_FAILED, AM_E_CANNOT_WRITE, false},
    {FAILED("insufficient-disk", "true"), {.status = 73}, AM_END_FAILED, AM_E_DISK, true},
    {FAILED("out-of-memory", "true"), {.status = 70}, AM_END_FAILED, AM_E_OUT_OF_MEMORY, true},
    {FAILED("out-of-memory", "true"), {.signal = SIGKILL}, AM_END_FAILED, AM_E_OUT_OF_MEMORY, true},
    {FAILED("bad-input", "true"), {.status = 65}, AM_END_FAILED, AM_E_BAD_INPUT, false},
    {FAILED("bad-spec", "true"), {.status = 64}, AM_END_FAILED, AM_E_BAD_SPEC, false},
    {FAILED("non-finite", "true"), {.status = 65}, AM_END_FAILED, AM_E_NON_FINITE, false},
    {FAILED("malformed-safetensors", "true"), {.status = 65}, AM_END_FAILED, AM_E_MALFORMED, false},
    /* killed, and not ended: never published, never tried again by itself, whatever it said */
    {HELLO, {.lost = true, .cancelled = true}, AM_END_FAILED, AM_E_HUNG, false},
    {DONE, {.lost = true, .cancelled = true, .stopped = true}, AM_END_FAILED, AM_E_HUNG, false},
    {DONE, {.lost = true, .hung = true}, AM_END_FAILED, AM_E_HUNG, false},
    {FAILED("cannot-write", "true"), {.lost = true, .expired = true}, AM_END_FAILED, AM_E_HUNG, false},
    {"garbage\n", {.lost = true}, AM_END_FAILED, AM_E_HUNG, false},
    {HELLO, {.lost = true, .stopped = true}, AM_END_LEFT, 0, false},
    /* seen from outside */
    {HELLO, {.signal = SIGSEGV}, AM_END_FAILED, AM_E_CRASHED, true},
    {"", {.signal = SIGKILL}, AM_END_FAILED, AM_E_CRASHED, true},
    {HELLO, {.status = 0}, AM_END_FAILED, AM_E_CRASHED, true},
    {HELLO, {.status = 64}, AM_END_FAILED, AM_E_BAD_SPEC, false},
    {HELLO, {.status = 65}, AM_END_FAILED, AM_E_BAD_INPUT, false},
    {HELLO, {.status = 69}, AM_END_FAILED, AM_E_UNSUPPORTED, false},
    {HELLO, {.status = 73}, AM_END_FAILED, AM_E_CANNOT_WRITE, true},
    {HELLO, {.status = 137}, AM_END_FAILED, AM_E_OUT_OF_MEMORY, true},
    {HELLO, {.status = 70}, AM_END_FAILED, AM_E_INTERNAL, true},
    {HELLO, {.status = 75}, AM_END_FAILED, AM_E_CRASHED, true}, /* somebody else asked it to stop */
    {FAILED("cancelled", "false"), {.status = 75}, AM_END_FAILED, AM_E_CRASHED, true},
    {DONE, {.status = 0}, AM_END_PUBLISH, 0, false},
    {DONE, {.status = 1}, AM_END_FAILED, AM_E_CRASHED, true},
    {DONE, {.signal = SIGSEGV}, AM_END_FAILED, AM_E_CRASHED, true},
    /* broken protocol */
    {"hello\n", {.signal = SIGKILL}, AM_END_FAILED, AM_E_CRASHED, true},
    {HELLO HELLO, {.signal = SIGKILL}, AM_END_FAILED, AM_E_CRASHED, true},
    {"{\"record\":\"hello\",\"proto\":2}\n", {.signal = SIGKILL}, AM_END_FAILED, AM_E_INTERNAL, false},
    /* asked to stop for its silence: hung whatever it does then, unless it had finished or failed of its own */
    {HELLO, {.hung = true, .status = 75}, AM_END_FAILED, AM_E_HUNG, true},
    {FAILED("cancelled", "false"), {.hung = true, .status = 75}, AM_END_FAILED, AM_E_HUNG, true},
    {HELLO, {.hung = true, .signal = SIGKILL}, AM_END_FAILED, AM_E_HUNG, true},
    {DONE, {.hung = true, .status = 0}, AM_END_PUBLISH, 0, false},
    {FAILED("bad-input", "false"), {.hung = true, .status = 65}, AM_END_FAILED, AM_E_BAD_INPUT, false},
    /* for its time limit */
    {HELLO, {.expired = true, .status = 75}, AM_END_FAILED, AM_E_TIME_LIMIT, false},
    {FAILED("cancelled", "true"), {.expired = true, .status = 75}, AM_END_FAILED, AM_E_TIME_LIMIT, false},
    {HELLO, {.expired = true, .signal = SIGKILL}, AM_END_FAILED, AM_E_TIME_LIMIT, false},
    {HELLO, {.expired = true, .stopped = true, .status = 75}, AM_END_FAILED, AM_E_TIME_LIMIT, false},
    {DONE, {.expired = true, .status = 0}, AM_END_PUBLISH, 0, false},
    /* for the end of the daemon */
    {HELLO, {.stopped = true, .status = 75}, AM_END_LEFT, 0, false},
    {HELLO, {.stopped = true, .signal = SIGKILL}, AM_END_LEFT, 0, false},
    {HELLO, {.stopped = true, .hung = true, .signal = SIGKILL}, AM_END_LEFT, 0, false},
    {DONE, {.stopped = true, .status = 0}, AM_END_PUBLISH, 0, false},
    {FAILED("non-finite", "false"), {.stopped = true, .status = 65}, AM_END_FAILED, AM_E_NON_FINITE, false},
    /* by a person */
    {HELLO, {.cancelled = true, .status = 75}, AM_END_CANCELLED, 0, false},
    {HELLO, {.cancelled = true, .hung = true, .signal = SIGKILL}, AM_END_CANCELLED, 0, false},
    {DONE, {.cancelled = true, .status = 0}, AM_END_CANCELLED, 0, false},
};

static void judge(struct am_outcome *o, const struct row *r)
{
    struct am_records records;
    struct am_exit x = r->exit;
    x.uid = JOB;
    x.silence_ms = 1500;
    x.kill_wait_ms = 2500;
    x.time_limit = 9;
    am_records_init(&records, NULL);
    am_records_feed(&records, r->said, strlen(r->said), NULL, NULL);
    am_outcome_judge(o, &x, &records);
    am_records_done(&records);
}

static void every_end_has_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct am_outcome o;
        judge(&o, &rows[i]);
        if (o.kind != rows[i].kind || o.code != rows[i].code || o.again != rows[i].again)
            fail_msg("row %zu: kind %d code %s again %d: %s", i, o.kind, am_err_slug(o.code), o.again,
                     o.detail ? o.detail : "");
        assert_true((o.kind == AM_END_FAILED) == (o.detail != NULL));
        assert_int_equal(o.lost, rows[i].exit.lost);
        if (o.code == AM_E_HUNG && o.lost)
            assert_non_null(strstr(o.detail, "2.5 seconds later (jobs.kill_wait)"));
        else if (o.code == AM_E_HUNG)
            assert_non_null(strstr(o.detail, "1.5 seconds"));
        if (o.code == AM_E_TIME_LIMIT)
            assert_non_null(strstr(o.detail, "time_limit_seconds = 9"));
        am_outcome_done(&o);
    }
}

/* ---- rows ---- */

static int call_job(struct am_db *db, void *arg)
{
    return am_job_insert(db, arg);
}

static int keep_claim(void *ctx, const struct am_job_row *j)
{
    return am_claim_copy(ctx, j);
}

static int call_claim(struct am_db *db, void *arg)
{
    int64_t next;
    return am_job_claim(db, AM_LANE_ANY, INT64_MAX, keep_claim, arg, &next);
}

/* Claims the only job and ends it as `r` says; the kind of end. */
static enum am_ending attempt(struct fixture *f, const struct row *r, int64_t pause_ms)
{
    struct am_claim c = {0};
    struct am_outcome o;
    char why[128];
    assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
    assert_int_equal(am_claim_parse(&c, why, sizeof why), 0);
    judge(&o, r);
    assert_int_equal(am_outcome_write(&o, f->s, &c, pause_ms), 0);
    enum am_ending kind = o.kind;
    am_outcome_done(&o);
    am_claim_done(&c);
    return kind;
}

static void insert_job(struct fixture *f, int max_attempts)
{
    struct am_job_new j = {
        .uid = JOB,
        .type = "merge",
        .method = "linear",
        .spec_sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        .warnings = "[]",
        .max_attempts = max_attempts,
        .queue_limit = 9,
    };
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
}

static void attempts_end_with_the_last_cause(void **state)
{
    struct fixture *f = *state;
    static const struct row segv = {HELLO, {.signal = SIGSEGV}, 0, 0, 0},
                            wrote = {FAILED("cannot-write", "true"), {.status = 73}, 0, 0, 0};
    insert_job(f, 3);
    assert_int_equal(attempt(f, &segv, 0), AM_END_REQUEUED);
    assert_int_equal(read_int(f, "SELECT failures = 1 AND state = 'queued' AND error IS NULL FROM job"), 1);
    assert_int_equal(attempt(f, &segv, 3600000), AM_END_REQUEUED);
    assert_int_equal(read_int(f, "SELECT not_before > unixepoch() * 1000 + 17000000 FROM job"), 1); /* 5 hours */
    assert_int_equal(attempt(f, &wrote, 0), AM_END_FAILED);
    assert_int_equal(read_int(f, "SELECT state = 'failed' AND error ->> 'code' = 'attempts-exhausted' AND"
                                 " error ->> '$.errors[0].code' = 'cannot-write' AND"
                                 " error ->> '$.errors[0].detail' = 'told' AND error ->> 'retryable' = 0 FROM job"),
                     1);
    assert_int_equal(read_int(f, "SELECT instr(error ->> 'detail', 'failed 3 times') > 0 AND"
                                 " instr(error ->> 'detail', 'told (cannot-write)') > 0 FROM job"),
                     1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.requeued' AND"
                                 " data ->> 'code' = 'worker-crashed' AND data ->> 'detail' LIKE '%SIGSEGV%'"),
                     2);
}

static void one_attempt_keeps_its_own_code(void **state)
{
    struct fixture *f = *state;
    static const struct row segv = {HELLO, {.signal = SIGSEGV}, 0, 0, 0};
    insert_job(f, 1);
    assert_int_equal(attempt(f, &segv, 0), AM_END_FAILED);
    assert_int_equal(read_int(f, "SELECT error ->> 'code' = 'worker-crashed' AND error ->> 'retryable' = 1 FROM job"),
                     1);
}

static void what_cannot_pass_is_not_tried_again(void **state)
{
    struct fixture *f = *state;
    static const struct row bad = {FAILED("bad-input", "true"), {.status = 65}, 0, 0, 0};
    insert_job(f, 3);
    assert_int_equal(attempt(f, &bad, 0), AM_END_FAILED);
    assert_int_equal(read_int(f, "SELECT error ->> 'code' = 'bad-input' AND failures = 0 FROM job"), 1);
}

static int call_cancel(struct am_db *db, void *arg)
{
    return am_job_cancel(db, JOB, 5, "ci", arg);
}

static void a_cancelled_job_is_not_tried_again(void **state)
{
    struct fixture *f = *state;
    static const struct row segv = {HELLO, {.signal = SIGSEGV}, 0, 0, 0};
    struct am_claim c = {0};
    struct am_outcome o;
    enum am_job_state s;
    insert_job(f, 3);
    assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
    assert_int_equal(am_store_write(f->s, call_cancel, &s), 0);
    judge(&o, &segv); /* the crash was first, the cancel committed first */
    assert_int_equal(am_outcome_write(&o, f->s, &c, 0), 0);
    assert_int_equal(o.kind, AM_END_CANCELLED);
    assert_int_equal(read_int(f, "SELECT state = 'cancelled' AND failures = 0 FROM job"), 1);
    am_outcome_done(&o);
    am_claim_done(&c);
}

static void a_worker_that_cannot_be_killed_fails_its_job(void **state)
{
    struct fixture *f = *state;
    static const struct row lost = {DONE, {.lost = true, .cancelled = true}, 0, 0, 0};
    struct am_claim c = {0};
    struct am_outcome o;
    enum am_job_state s;
    char why[128];
    insert_job(f, 3);
    assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
    assert_int_equal(am_claim_parse(&c, why, sizeof why), 0);
    assert_int_equal(am_store_write(f->s, call_cancel, &s), 0);
    assert_int_equal(s, AM_CANCELLING);
    judge(&o, &lost);
    assert_int_equal(am_outcome_write(&o, f->s, &c, 0), 0);
    assert_int_equal(o.kind, AM_END_FAILED);
    assert_int_equal(read_int(f, "SELECT state = 'failed' AND error ->> 'code' = 'worker-hung' AND"
                                 " error ->> 'detail' LIKE '%was cancelled and was killed%' AND failures = 0 FROM job"),
                     1);
    am_outcome_done(&o);
    am_claim_done(&c);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_name), T(attempts_end_with_the_last_cause),
        T(one_attempt_keeps_its_own_code),        T(what_cannot_pass_is_not_tried_again),
        T(a_cancelled_job_is_not_tried_again),    T(a_worker_that_cannot_be_killed_fails_its_job),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
