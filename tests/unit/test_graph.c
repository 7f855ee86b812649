/* test_graph.c - jobs that wait for jobs, as rows: in no line, then in it, or failed with what they waited for; what
 * may be changed of a job; jobs that did the same. */
#include "tests/unit/jobs_fixture.h"

#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static int add_with(struct fixture *f, const char *uid, const char *const *input, size_t inputs)
{
    struct am_job_new j = job_of(uid, "merge", 50);
    j.input = input;
    j.inputs = inputs;
    j.resolved = "null";
    return am_store_write(f->s, call_job, &j);
}

static int add_after(struct fixture *f, const char *uid, const char *input)
{
    return add_with(f, uid, &input, 1);
}

static int state_is(struct fixture *f, const char *uid, const char *state, int waiting)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT state = '%s' AND waiting = %d FROM job WHERE uid = '%s'", state, waiting, uid);
    return (int)read_int(f, sql);
}

static void waits_and_runs(void **state)
{
    struct fixture *f = *state;
    add_job(f, "job_a", "merge", 50);
    add_job(f, "job_b", "merge", 50);
    assert_int_equal(add_with(f, "job_c", (const char *[]){"job_a", "job_b", "job_a"}, 3), 0);
    assert_true(state_is(f, "job_c", "queued", 2));
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "job_a");
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "job_b");
    assert_string_equal(claim(f, AM_LANE_ANY, 0), ""); /* the third is in no line */
    assert_int_equal(finish(f, "job_a", AM_SUCCEEDED), 0);
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "");
    assert_int_equal(finish(f, "job_b", AM_QUEUED), 0); /* again: it is no end */
    assert_true(state_is(f, "job_c", "queued", 1));
    write_sql(f, "UPDATE job SET state = 'running', not_before = 0 WHERE uid = 'job_b'");
    assert_int_equal(finish(f, "job_b", AM_SUCCEEDED), 0);
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "job_c");
    /* both have ended: nothing to wait for */
    assert_int_equal(add_with(f, "job_d", (const char *[]){"job_a", "job_b"}, 2), 0);
    assert_true(state_is(f, "job_d", "queued", 0));
}

static void fails_with_them(void **state)
{
    struct fixture *f = *state;
    enum am_job_state after;
    add_job(f, "job_a", "merge", 50);
    add_after(f, "job_b", "job_a");
    add_after(f, "job_c", "job_b");
    assert_int_equal(add_with(f, "job_d", (const char *[]){"job_a", "job_c"}, 2), 0);
    assert_int_equal(cancel(f, "job_c", &after), 0); /* who waits can be cancelled; who waits for it has failed then */
    assert_int_equal(after, AM_CANCELLED_);
    assert_true(state_is(f, "job_d", "failed", 2));
    assert_int_equal(cancel(f, "job_a", &after), 0);
    assert_true(state_is(f, "job_b", "failed", 1));
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE error ->> '$.code' = 'dependency-failed'"), 2);
    assert_int_equal(read_int(f, "SELECT error ->> '$.job' = 'job_c' FROM job WHERE uid = 'job_d'"), 1);
    assert_int_equal(read_int(f, "SELECT sum(n) FROM job_tally WHERE state = 'queued'"), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.failed'"), 2);
    assert_int_equal(add_after(f, "job_e", "job_a"), -AM_E_DEPENDENCY);
    assert_int_equal(add_after(f, "job_e", "job_none"), -AM_E_NOT_FOUND);
    assert_int_equal(add_after(f, "job_e", "job_e"), -AM_E_NOT_FOUND); /* not even itself */
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE uid = 'job_e'"), 0);
}

static void a_row_has_an_end(void **state)
{
    struct fixture *f = *state;
    char uid[2][32] = {"job_0"};
    enum am_job_state after;
    add_job(f, "job_0", "merge", 50);
    for (int i = 1; i <= AM_JOB_CHAIN_MAX; i++) {
        snprintf(uid[i % 2], sizeof uid[0], "job_%d", i);
        assert_int_equal(add_after(f, uid[i % 2], uid[(i + 1) % 2]), 0);
    }
    assert_int_equal(add_after(f, "job_more", "job_100"), -AM_E_TOO_LARGE);
    assert_int_equal(add_after(f, "job_more", "job_99"), 0);
    assert_int_equal(cancel(f, "job_0", &after), 0); /* all of them, in one transaction */
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE state = 'failed'"), AM_JOB_CHAIN_MAX + 1);
    /* what has ended does not count any more */
    add_job(f, "job_new", "merge", 50);
    assert_int_equal(add_after(f, "job_last", "job_new"), 0);
}

static int call_plan(struct am_db *db, void *arg)
{
    return am_job_plan(db, arg);
}

static void planned_once(void **state)
{
    struct fixture *f = *state;
    struct am_job_planned p = {.uid = "job_b",
                               .resolved = "{\"x\":1}",
                               .plan = "{}",
                               .publish = "{\"model\":\"demo/out\"}",
                               .warnings = "[]",
                               .spec_sha256 = SHA_B,
                               .planned_seconds = 1};
    add_job(f, "job_a", "merge", 50);
    add_after(f, "job_b", "job_a");
    assert_int_equal(am_store_write(f->s, call_plan, &p), -AM_E_CONFLICT); /* it does not run */
    claim(f, AM_LANE_ANY, 0);
    finish(f, "job_a", AM_SUCCEEDED);
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "job_b");
    assert_int_equal(am_store_write(f->s, call_plan, &p), 0);
    assert_int_equal(am_store_write(f->s, call_plan, &p), -AM_E_CONFLICT); /* names are pinned once */
    assert_int_equal(read_int(f, "SELECT resolved ->> '$.x' FROM job WHERE uid = 'job_b'"), 1);
}

struct change_call {
    const char *uid;
    int64_t rev;
    struct am_job_change change;
};

static int call_change(struct am_db *db, void *arg)
{
    struct change_call *c = arg;
    return am_job_change(db, c->uid, c->rev, &c->change);
}

static int change(struct fixture *f, const char *uid, int64_t rev, int priority, const char *metadata, int archived)
{
    struct change_call c = {
        .uid = uid, .rev = rev, .change = {.priority = priority, .metadata = metadata, .archived = archived, .now = 1}};
    return am_store_write(f->s, call_change, &c);
}

static void changes(void **state)
{
    struct fixture *f = *state;
    add_job(f, "job_a", "merge", 50);
    add_job(f, "job_b", "merge", 50);
    assert_int_equal(change(f, "job_b", 1, 49, NULL, -1), 0);
    assert_int_equal(change(f, "job_b", 1, 48, NULL, -1), -AM_E_PRECONDITION_FAILED);
    assert_int_equal(change(f, "job_b", 2, -1, "{\"k\":\"v\"}", -1), 0);
    assert_int_equal(change(f, "job_b", 3, -1, NULL, 1), -AM_E_CONFLICT); /* it has not ended */
    assert_int_equal(change(f, "job_none", 1, 1, NULL, -1), -AM_E_NOT_FOUND);
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.changed'"), 2);
    assert_int_equal(read_int(f, "SELECT data ->> '$.priority' = 49 AND data ->> '$.metadata' IS NULL FROM event"
                                 " WHERE type = 'job.changed' ORDER BY seq LIMIT 1"),
                     1);
    assert_string_equal(claim(f, AM_LANE_ANY, 0), "job_b"); /* it overtook */
    assert_int_equal(change(f, "job_b", 4, 1, NULL, -1), -AM_E_CONFLICT);
    finish(f, "job_b", AM_SUCCEEDED);
    assert_int_equal(change(f, "job_b", 5, -1, NULL, 1), 0);
    assert_int_equal(read_int(f, "SELECT archived FROM job WHERE uid = 'job_b'"), 1);
}

static int join(void *ctx, const struct am_job_row *j)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 200 - n, "%s ", j->uid);
    return am_streq(j->uid, "job_2");
}

static void the_same(void **state)
{
    struct fixture *f = *state;
    char text[200] = "";
    for (int i = 0; i < 4; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "job_%d", i);
        add_job(f, uid, "merge", 50);
        if (i < 3) {
            finish(f, uid, AM_RUNNING);
            finish(f, uid, AM_SUCCEEDED);
        }
    }
    write_sql(f, "UPDATE job SET publish = '{\"model\":\"demo/other\"}' WHERE uid = 'job_2'");
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_job_same(db, SHA_A, "demo/out", 9, join, text), 0);
    assert_string_equal(text, "job_1 job_0 ");
    text[0] = 0;
    assert_int_equal(am_job_same(db, SHA_A, NULL, 9, join, text), 1); /* ended by row() */
    assert_string_equal(text, "job_2 ");
    text[0] = 0;
    assert_int_equal(am_job_same(db, SHA_B, NULL, 9, join, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(am_job_same(db, "no hash", NULL, 9, join, text), -AM_E_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_and_runs, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(fails_with_them, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_row_has_an_end, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(planned_once, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(changes, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_same, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
