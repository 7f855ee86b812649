/* test_queue.c - the order of the queue: priority and age, lanes, times, places in the line, and what a long one costs.
 */
#include "tests/unit/jobs_fixture.h"

static void claims_by_priority_and_age(void **state)
{
    struct fixture *f = *state;
    add_job(f, "job_c", "merge", 50);
    add_job(f, "job_a", "edit", 10);
    add_job(f, "job_d", "merge", 50);
    add_job(f, "task_1", "task", 1);
    const char *order[] = {"job_a", "job_c", "job_d"};
    for (size_t i = 0; i < 3; i++) {
        struct claim_call c = {.lane = AM_LANE_ANY};
        assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
        assert_string_equal(c.uid, order[i]);
        assert_int_equal(c.attempt, 1);
    }
    struct claim_call none = {.lane = AM_LANE_ANY}, task = {.lane = AM_LANE_TASK};
    assert_int_equal(am_store_write(f->s, call_claim, &none), 0);
    assert_int_equal(am_store_write(f->s, call_claim, &task), 1);
    assert_string_equal(task.uid, "task_1");
    assert_int_equal(am_store_write(f->s, call_claim, &task), 0);
    /* a requeued one is claimed again, as attempt 2 */
    assert_int_equal(finish(f, "job_c", AM_QUEUED), 0);
    assert_int_equal(am_store_write(f->s, call_claim, &none), 1);
    assert_int_equal(none.attempt, 2);
}

/* A job gains one point for each minute it waits: 10 minutes make up for 10 points, not for 11. */
static void waiting_counts_as_priority(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *uid;
        int priority, minute;
    } t[] = {{"job_old", 60, 0},   {"job_new", 50, 9},    {"job_even", 50, 10},
             {"job_late", 50, 11}, {"job_urgent", 0, 40}, {"job_starving", 100, 0}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct am_job_new j = job_of(t[i].uid, "merge", t[i].priority);
        j.now = t[i].minute * INT64_C(60000);
        assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    }
    static const char *const order[] = {"job_urgent", "job_new", "job_old", "job_even", "job_late", "job_starving", ""};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        assert_string_equal(claim(f, AM_LANE_ANY, 90 * INT64_C(60000)), order[i]);
}

/* However fast urgent jobs come in, the worst one is reached: after 100 times the ageing at the latest. */
static void nothing_starves(void **state)
{
    struct fixture *f = *state;
    struct am_job_new worst = job_of("job_worst", "merge", 100);
    worst.ageing_ms = 10;
    worst.now = 0;
    assert_int_equal(am_store_write(f->s, call_job, &worst), 0);
    int claims = 0;
    for (int64_t at = 0; at <= 2000; at += 10, claims++) { /* one comes in and one is taken, for ever */
        char uid[32];
        snprintf(uid, sizeof uid, "job_%d", (int)at);
        struct am_job_new j = job_of(uid, "merge", 0);
        j.ageing_ms = 10;
        j.now = at;
        assert_int_equal(am_store_write(f->s, call_job, &j), 0);
        if (am_streq(claim(f, AM_LANE_ANY, at + 1), "job_worst"))
            break;
    }
    assert_int_equal(claims, 100);
}

static void a_slot_for_short_jobs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *uid;
        double seconds;
    } t[] = {{"job_long1", 900}, {"job_edge", 60}, {"job_unknown", -1}, {"job_short1", 59.9}, {"job_short2", 0}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct am_job_new j = job_of(t[i].uid, "merge", 50);
        j.planned_seconds = t[i].seconds;
        j.short_seconds = 60;
        j.now += (int64_t)i;
        assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    }
    assert_int_equal(add_job(f, "task_1", "task", 50), 0);
    assert_string_equal(claim(f, AM_LANE_SHORT, 7000), "job_short1");
    assert_string_equal(claim(f, AM_LANE_ANY, 7000), "job_long1");
    assert_string_equal(claim(f, AM_LANE_SHORT, 7000), "job_short2");
    assert_string_equal(claim(f, AM_LANE_SHORT, 7000), "");
    assert_string_equal(claim(f, AM_LANE_ANY, 7000), "job_edge");
    assert_string_equal(claim(f, AM_LANE_ANY, 7000), "job_unknown");
    assert_string_equal(claim(f, AM_LANE_ANY, 7000), "");
    assert_string_equal(claim(f, AM_LANE_TASK, 7000), "task_1");
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE planned_seconds IS NULL"), 2);
}

static void not_before_its_time(void **state)
{
    struct fixture *f = *state;
    char text[200];
    struct am_job_new j = job_of("job_later", "merge", 0);
    j.not_before = 20000;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    j = job_of("job_past", "merge", 50);
    j.not_before = 999;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    assert_int_equal(am_job_get(am_store_read(f->s), "job_later", keep_reason, text), 0);
    assert_string_equal(text, "queued - 0 20000");
    assert_string_equal(claim(f, AM_LANE_ANY, 19999), "job_past"); /* a time that has passed is none */
    struct claim_call c = {.lane = AM_LANE_ANY, .at = 19999};
    assert_int_equal(am_store_write(f->s, call_claim, &c), 0);
    assert_int_equal(c.next, 20000);
    c = (struct claim_call){.lane = AM_LANE_TASK, .at = 19999, .next = 5};
    assert_int_equal(am_store_write(f->s, call_claim, &c), 0);
    assert_int_equal(c.next, 0); /* no task waits */
    assert_string_equal(claim(f, AM_LANE_ANY, 20000), "job_later");
    /* one that waits for its time may be cancelled */
    enum am_job_state s;
    j = job_of("job_never", "merge", 50);
    j.not_before = 90000;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    assert_int_equal(cancel(f, "job_never", &s), 0);
    assert_int_equal(s, AM_CANCELLED_);
    assert_string_equal(claim(f, AM_LANE_ANY, 99000), "");
}

static void queue_limit_and_counts(void **state)
{
    struct fixture *f = *state;
    int64_t n[AM_STATES];
    add_job(f, "job_a", "merge", 50);
    add_job(f, "job_b", "merge", 50);
    add_job(f, "task_1", "task", 50);
    struct am_job_new j = {
        .uid = "job_c", .type = "merge", .method = "linear", .spec_sha256 = SHA_A, .priority = 50, .queue_limit = 2};
    assert_int_equal(am_store_write(f->s, call_job, &j), -AM_E_QUEUE_FULL);
    j.queue_limit = 3;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    assert_int_equal(am_store_write(f->s, call_job, &j), -AM_E_QUEUE_FULL);
    j.queue_limit = 9;
    assert_int_equal(am_store_write(f->s, call_job, &j), -AM_E_CONFLICT); /* uid */
    j = (struct am_job_new){
        .uid = "job_d", .type = "m", .method = "l", .spec = "not json", .spec_sha256 = SHA_A, .queue_limit = 9};
    assert_int_equal(am_store_write(f->s, call_job, &j), -AM_E_CONFLICT);
    finish(f, "job_a", AM_RUNNING);
    assert_int_equal(am_job_counts(am_store_read(f->s), n), 0);
    assert_int_equal(n[AM_QUEUED], 2);
    assert_int_equal(n[AM_RUNNING], 1);
    assert_int_equal(n[AM_SUCCEEDED] + n[AM_FAILED] + n[AM_CANCELLED_] + n[AM_CANCELLING], 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_tally c WHERE n <> (SELECT count(*) FROM job"
                                 " WHERE state = c.state AND type = c.type AND priority / 25 = c.band)"),
                     0);
}

static int keep_position(void *ctx, const struct am_job_row *j)
{
    *(int64_t *)ctx = j->queue_position;
    assert_string_equal(j->spec, "{\"a\":1}");
    assert_string_equal(j->spec_sha256, SHA_A);
    assert_null(j->result);
    assert_int_equal(j->max_attempts, 3);
    return 0;
}

static void position_in_the_queue(void **state)
{
    struct fixture *f = *state;
    int64_t at = -1;
    add_job(f, "job_late", "merge", 90);
    add_job(f, "task_1", "task", 0);
    add_job(f, "job_b", "merge", 50);
    add_job(f, "job_c", "merge", 50);
    add_job(f, "job_first", "merge", 10);
    const struct {
        const char *uid;
        int64_t at;
    } want[] = {{"job_first", 1}, {"job_b", 2}, {"job_c", 3}, {"job_late", 4}, {"task_1", 1}};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(am_job_get(am_store_read(f->s), want[i].uid, keep_position, &at), 0);
        assert_int_equal(at, want[i].at);
    }
    /* with one that waits for its time the line is counted from its head; that one has no place in it */
    struct am_job_new later = job_of("job_later", "merge", 0);
    later.not_before = 5000;
    assert_int_equal(am_store_write(f->s, call_job, &later), 0);
    assert_int_equal(am_job_get(am_store_read(f->s), "job_later", keep_position, &at), 0);
    assert_int_equal(at, 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(am_job_get(am_store_read(f->s), want[i].uid, keep_position, &at), 0);
        assert_int_equal(at, want[i].at);
    }
    finish(f, "job_b", AM_RUNNING);
    assert_int_equal(am_job_get(am_store_read(f->s), "job_b", keep_position, &at), 0);
    assert_int_equal(at, 0);
    assert_int_equal(am_job_get(am_store_read(f->s), "job_none", keep_position, &at), -AM_E_NOT_FOUND);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* n claims of a lane: their median in ms. The commit, which waits for the disk, is not counted. */
static double claims(struct fixture *f, const char *what, enum am_lane lane, int64_t at, int n, int want)
{
    double ms[100];
    for (int i = 0; i < n; i++) {
        struct claim_call c = {.lane = lane, .at = at};
        assert_int_equal(am_store_write(f->s, call_claim, &c), want);
        ms[i] = c.ms;
    }
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    print_message("%s: median %.3f ms, slowest %.3f ms\n", what, ms[n / 2], ms[n - 1]);
    return ms[n / 2];
}

#define LONG_QUEUE                                                                                                     \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"                                 \
    " INSERT INTO job (uid, type, method, state, priority, created_by, spec, spec_sha256, resolved, plan,"             \
    " created_at, rank, short, not_before) SELECT 'job_' || i, 'merge', 'linear', 'queued', i % 101, 'ci',"            \
    " '{\"a\":1}', zeroblob(32), '{}', '{}', i, i + (i % 101) * 60000, "

/* A long queue slows neither claims nor the start of the store. */
static void long_queue(void **state)
{
    struct fixture *f = *state;
    char why[512];
    int64_t at = 0;
    assert_int_equal(add_job(f, "job_a", "merge", 100), 0);
    assert_int_equal(write_sql(f, LONG_QUEUE "i % 2, 0 FROM n"), 0);
    am_store_close(f->s);
    double t0 = now();
    f->s = am_store_open(f->dir, why, sizeof why);
    double t1 = now();
    assert_non_null(f->s);
    int64_t n;
    assert_int_equal(am_store_write(f->s, call_recover, &n), 0);
    assert_true(claims(f, "100,000 queued, any", AM_LANE_ANY, 7000, 100, 1) < 5);
    double t2 = now();
    assert_int_equal(am_job_get(am_store_read(f->s), "job_a", keep_position, &at), 0);
    double t3 = now();
    assert_int_equal(at, read_int(f, "SELECT 1 + count(*) FROM job WHERE state = 'queued' AND"
                                     " created_at + priority * 60000 < 1000 + 100 * 60000"));
    assert_true(at > 90000);
    struct am_job_new last = job_of("job_last", "merge", 100);
    last.now = 200000;
    assert_int_equal(am_store_write(f->s, call_job, &last), 0);
    double t4 = now();
    assert_int_equal(am_job_get(am_store_read(f->s), "job_last", keep_position, &at), 0);
    double t5 = now();
    assert_int_equal(at, 100002 - 100);
    print_message("open %.1f ms, position %.1f ms, of a newcomer %.2f ms\n", (t1 - t0) * 1e3, (t3 - t2) * 1e3,
                  (t5 - t4) * 1e3);
    assert_true(t5 - t4 < 0.005);
    assert_true(t1 - t0 < 2.0);
}

/* The queues in which a claim that walks the line would walk all of it. */
static void long_queue_of_the_wrong_kind(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(write_sql(f, LONG_QUEUE "0, 0 FROM n"), 0);
    assert_true(claims(f, "100,000 long jobs, short lane", AM_LANE_SHORT, 7000, 50, 0) < 5);
    assert_true(claims(f, "100,000 long jobs, task lane", AM_LANE_TASK, 7000, 50, 0) < 5);
    assert_int_equal(write_sql(f, "DELETE FROM job"), 0);
    assert_int_equal(write_sql(f, LONG_QUEUE "i % 2, 1000000 FROM n"), 0);
    assert_true(claims(f, "100,000 before their time", AM_LANE_ANY, 7000, 50, 0) < 5);
    assert_true(claims(f, "100,000 due at once", AM_LANE_ANY, 1000000, 50, 1) < 5);
}

/* Imports run side by side; of the store's own work a second of a kind waits for the end of the first. */
static void one_of_each_kind_of_store_work(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(write_sql(f, "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved,"
                                  " plan, created_at, rank) SELECT column1, 'task', column2, 'queued', 'ci', '{}',"
                                  " zeroblob(32), '{}', '{}', 1, column3 FROM (VALUES ('v1', 'verify', 1),"
                                  " ('v2', 'verify', 2), ('i1', 'import', 3), ('i2', 'import', 4), ('g1', 'gc', 5))"),
                     0);
    static const char *const order[] = {"v1", "i1", "i2", "g1", ""};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        assert_string_equal(claim(f, AM_LANE_TASK, 7000), order[i]);
    assert_int_equal(finish(f, "g1", AM_SUCCEEDED), 0);
    assert_string_equal(claim(f, AM_LANE_TASK, 7000), "");
    enum am_job_state after;
    assert_int_equal(cancel(f, "v1", &after), 0); /* still at work until it has seen that */
    assert_string_equal(claim(f, AM_LANE_TASK, 7000), "");
    assert_int_equal(finish(f, "v1", AM_CANCELLED_), 0);
    assert_string_equal(claim(f, AM_LANE_TASK, 7000), "v2");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(claims_by_priority_and_age),
        T(waiting_counts_as_priority),
        T(nothing_starves),
        T(a_slot_for_short_jobs),
        T(not_before_its_time),
        T(queue_limit_and_counts),
        T(position_in_the_queue),
        T(long_queue),
        T(one_of_each_kind_of_store_work),
        T(long_queue_of_the_wrong_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
