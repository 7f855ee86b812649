/* test_jobs.c - the queue: states, claims, races, recovery, lists, events. */
#include "tests/unit/store_fixture.h"

#include "core/base/text.h"

#include <time.h>

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* engineering.md 7.7, written out again. */
static bool allowed(const char *from, const char *to)
{
    static const char *const pairs[][2] = {
        {"queued", "running"}, {"queued", "cancelled"},   {"running", "succeeded"},    {"running", "failed"},
        {"running", "queued"}, {"running", "cancelling"}, {"cancelling", "cancelled"}, {"cancelling", "failed"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (am_streq(pairs[i][0], from) && am_streq(pairs[i][1], to))
            return true;
    }
    return false;
}

static int call_job(struct am_db *db, void *arg)
{
    return am_job_insert(db, arg);
}

static struct am_job_new job_of(const char *uid, const char *type, int priority)
{
    return (struct am_job_new){.uid = uid,
                               .type = type,
                               .method = "linear",
                               .created_by = "ci",
                               .spec = "{\"a\":1}",
                               .publish = "{\"model\":\"demo/out\"}",
                               .spec_sha256 = SHA_A,
                               .priority = priority,
                               .now = 1000,
                               .planned_seconds = -1,
                               .queue_limit = 1000000};
}

static int add_job(struct fixture *f, const char *uid, const char *type, int priority)
{
    struct am_job_new j = job_of(uid, type, priority);
    return am_store_write(f->s, call_job, &j);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct move_call {
    const char *uid;
    enum am_job_state to;
    const char *error;
    enum am_job_state after;
};
static int call_finish(struct am_db *db, void *arg)
{
    struct move_call *c = arg;
    return am_job_finish(db, c->uid, c->to, 9000, NULL, c->error, NULL);
}
static int finish(struct fixture *f, const char *uid, enum am_job_state to)
{
    return am_store_write(f->s, call_finish, &(struct move_call){.uid = uid, .to = to});
}
static int call_cancel(struct am_db *db, void *arg)
{
    struct move_call *c = arg;
    return am_job_cancel(db, c->uid, 8000, "o\"ps", &c->after);
}
static int cancel(struct fixture *f, const char *uid, enum am_job_state *ret)
{
    struct move_call c = {.uid = uid, .after = AM_STATES};
    int rc = am_store_write(f->s, call_cancel, &c);
    *ret = c.after;
    return rc;
}

struct claim_call {
    enum am_lane lane;
    int64_t at; /* 0: 7000 */
    char uid[64];
    int attempt;
    int64_t next;
    double ms; /* of the claim, without the commit */
};
static int keep_claim(void *ctx, const struct am_job_row *j)
{
    struct claim_call *c = ctx;
    snprintf(c->uid, sizeof c->uid, "%s", j->uid);
    c->attempt = j->attempt;
    assert_int_equal(j->state, AM_RUNNING);
    assert_int_equal(j->started_at, c->at ? c->at : 7000);
    assert_int_equal(j->not_before, 0);
    return 0;
}
static int call_claim(struct am_db *db, void *arg)
{
    struct claim_call *c = arg;
    double t = now();
    int rc = am_job_claim(db, c->lane, c->at ? c->at : 7000, keep_claim, c, &c->next);
    c->ms = (now() - t) * 1e3;
    return rc;
}

/* The uid claimed at `at`, or "" when there was none. */
static const char *claim(struct fixture *f, enum am_lane lane, int64_t at)
{
    static struct claim_call c;
    c = (struct claim_call){.lane = lane, .at = at};
    int rc = am_store_write(f->s, call_claim, &c);
    assert_int_equal(rc, c.uid[0] != '\0');
    return c.uid;
}

struct requeue_call {
    const char *uid, *reason;
    int64_t now;
};
static int call_requeue(struct am_db *db, void *arg)
{
    struct requeue_call *c = arg;
    return am_job_requeue(db, c->uid, c->now, 1000, c->reason);
}

static void table_of_states(void **state)
{
    (void)state;
    for (int from = 0; from < AM_STATES; from++) {
        const char *a = am_state_name((enum am_job_state)from);
        assert_int_equal(am_state_parse(a), from);
        bool ends = true;
        for (int to = 0; to < AM_STATES; to++) {
            const char *b = am_state_name((enum am_job_state)to);
            assert_int_equal(am_state_may((enum am_job_state)from, (enum am_job_state)to), allowed(a, b));
            ends = ends && !allowed(a, b);
        }
        assert_int_equal(am_state_terminal((enum am_job_state)from), ends);
    }
    assert_int_equal(am_state_parse("paused"), -1);
    assert_int_equal(am_state_parse(NULL), -1);
    assert_false(am_state_may(AM_STATES, AM_QUEUED));
}

static void every_pair_on_rows(void **state)
{
    struct fixture *f = *state;
    int moves = 0;
    for (int from = 0; from < AM_STATES; from++) {
        for (int to = 0; to < AM_STATES; to++) {
            char uid[32], sql[256];
            const char *a = am_state_name((enum am_job_state)from), *b = am_state_name((enum am_job_state)to);
            snprintf(uid, sizeof uid, "job_%d_%d", from, to);
            assert_int_equal(add_job(f, uid, "merge", 50), 0);
            snprintf(sql, sizeof sql, "UPDATE job SET state = '%s' WHERE uid = '%s'", a, uid);
            assert_int_equal(write_sql(f, sql), 0);
            assert_int_equal(finish(f, uid, (enum am_job_state)to), allowed(a, b) ? 0 : -AM_E_CONFLICT);
            snprintf(sql, sizeof sql, "SELECT state = '%s' FROM job WHERE uid = '%s'", allowed(a, b) ? b : a, uid);
            assert_int_equal(read_int(f, sql), 1);
            moves += allowed(a, b);
        }
    }
    /* one event for each insert and each move, none for a refusal */
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_event"), AM_STATES * AM_STATES + moves);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_event WHERE type = 'job.requeued'"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE (state IN ('succeeded', 'failed', 'cancelled'))"
                                 " <> (finished_at IS NOT NULL) AND rev > 1"),
                     0);
    assert_int_equal(finish(f, "job_none", AM_FAILED), -AM_E_NOT_FOUND);
}

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

static void three_attempts_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct claim_call c = {.lane = AM_LANE_ANY};
    add_job(f, "job_a", "merge", 50);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
        assert_int_equal(finish(f, "job_a", AM_QUEUED), 0);
    }
    assert_int_equal(am_store_write(f->s, call_claim, &c), 1);
    assert_int_equal(c.attempt, 3);
    assert_int_equal(finish(f, "job_a", AM_QUEUED), -AM_E_ATTEMPTS);
    assert_int_equal(read_int(f, "SELECT state = 'running' AND failures = 2 FROM job"), 1);
    struct move_call end = {.uid = "job_a", .to = AM_FAILED, .error = "{\"code\":\"worker-crashed\"}"};
    assert_int_equal(am_store_write(f->s, call_finish, &end), 0);
    assert_int_equal(read_int(f, "SELECT json_extract(error, '$.code') = 'worker-crashed' FROM job"), 1);
}

/* 1, 5, 25, 25 ... times the pause; the reason is in the event and in the row while it waits. */
static int keep_reason(void *ctx, const struct am_job_row *j)
{
    snprintf(ctx, 200, "%s %s %d %d", am_state_name(j->state), j->requeued ? j->requeued : "-", j->failures,
             (int)j->not_before);
    return 0;
}

static void failures_wait_longer_each_time(void **state)
{
    struct fixture *f = *state;
    static const int64_t want[] = {1000, 5000, 25000, 25000};
    char text[200];
    struct am_job_new j = job_of("job_a", "merge", 50);
    j.max_attempts = 5;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    int64_t at = 10000;
    struct requeue_call c = {.uid = "job_a", .reason = "{\"code\":\"worker-hung\",\"detail\":\"silent\"}"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(claim(f, AM_LANE_ANY, at), "job_a");
        c.now = at;
        assert_int_equal(am_store_write(f->s, call_requeue, &c), 0);
        struct claim_call early = {.lane = AM_LANE_ANY, .at = at + want[i] - 1};
        assert_int_equal(am_store_write(f->s, call_claim, &early), 0);
        assert_int_equal(early.next, at + want[i]); /* when to look again */
        assert_int_equal(am_job_get(am_store_read(f->s), "job_a", keep_reason, text), 0);
        char expect[200];
        snprintf(expect, sizeof expect,
                 "queued {\"attempt\":%zu,\"code\":\"worker-hung\",\"detail\":\"silent\"} %zu %d", i + 1, i + 1,
                 (int)(at + want[i]));
        assert_string_equal(text, expect);
        at += want[i];
    }
    assert_string_equal(claim(f, AM_LANE_ANY, at), "job_a");
    assert_int_equal(am_store_write(f->s, call_requeue, &c), -AM_E_ATTEMPTS);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_event WHERE type = 'job.requeued'"), 4);
    assert_int_equal(am_job_get(am_store_read(f->s), "job_a", keep_reason, text), 0);
    assert_string_equal(text, "running - 4 0");
    c.uid = "job_none";
    assert_int_equal(am_store_write(f->s, call_requeue, &c), -AM_E_NOT_FOUND);
}

static void one_attempt_is_never_requeued(void **state)
{
    struct fixture *f = *state;
    struct am_job_new j = job_of("job_a", "merge", 50);
    j.max_attempts = 1;
    assert_int_equal(am_store_write(f->s, call_job, &j), 0);
    struct requeue_call c = {.uid = "job_a", .now = 5, .reason = "{}"};
    assert_int_equal(am_store_write(f->s, call_requeue, &c), -AM_E_CONFLICT); /* it does not run */
    assert_string_equal(claim(f, AM_LANE_ANY, 2000), "job_a");
    assert_int_equal(am_store_write(f->s, call_requeue, &c), -AM_E_ATTEMPTS);
    assert_int_equal(read_int(f, "SELECT state = 'running' AND failures = 0 FROM job"), 1);
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

static void cancel_and_finish_race(void **state)
{
    struct fixture *f = *state;
    struct claim_call c = {.lane = AM_LANE_ANY};
    enum am_job_state s;
    add_job(f, "job_a", "merge", 50);
    add_job(f, "job_b", "merge", 50);
    add_job(f, "job_q", "merge", 60);
    am_store_write(f->s, call_claim, &c);
    am_store_write(f->s, call_claim, &c);
    assert_int_equal(finish(f, "job_a", AM_SUCCEEDED), 0); /* finish first */
    assert_int_equal(cancel(f, "job_a", &s), -AM_E_JOB_TERMINAL);
    assert_int_equal(s, AM_STATES);              /* untouched */
    assert_int_equal(cancel(f, "job_b", &s), 0); /* cancel first */
    assert_int_equal(s, AM_CANCELLING);
    assert_int_equal(finish(f, "job_b", AM_SUCCEEDED), -AM_E_CONFLICT);
    assert_int_equal(cancel(f, "job_b", &s), 0); /* again: nothing happens */
    assert_int_equal(s, AM_CANCELLING);
    assert_int_equal(finish(f, "job_b", AM_CANCELLED_), 0);
    assert_int_equal(cancel(f, "job_q", &s), 0);
    assert_int_equal(s, AM_CANCELLED_);
    assert_int_equal(cancel(f, "job_none", &s), -AM_E_NOT_FOUND);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_event WHERE type = 'job.cancelling'"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_event WHERE json_extract(data, '$.by') = 'o\"ps'"), 2);
}

static int call_recover(struct am_db *db, void *arg)
{
    return am_job_recover(db, 9500, 2, arg);
}

static void recovery_requeues_within_bounds(void **state)
{
    struct fixture *f = *state;
    int64_t n = 0;
    const char *uids[] = {"job_r", "job_x", "job_c", "job_q", "job_s"};
    for (size_t i = 0; i < 5; i++)
        add_job(f, uids[i], "merge", 50);
    assert_int_equal(write_sql(f, "UPDATE job SET state = 'running', attempt = 1 WHERE uid IN ('job_r', 'job_x');"
                                  "UPDATE job SET restarts = 2 WHERE uid = 'job_x';"
                                  "UPDATE job SET state = 'cancelling' WHERE uid = 'job_c';"
                                  "UPDATE job SET state = 'succeeded' WHERE uid = 'job_s'"),
                     0);
    assert_int_equal(am_store_write(f->s, call_recover, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(
        read_int(f, "SELECT state = 'queued' AND restarts = 1 AND failures = 0 FROM job WHERE uid = 'job_r'"), 1);
    assert_int_equal(
        read_int(f, "SELECT state = 'failed' AND json_extract(error, '$.code') = 'attempts-exhausted'"
                    " AND instr(json_extract(error, '$.detail'), 'stopped 3 times') FROM job WHERE uid = 'job_x'"),
        1);
    assert_int_equal(read_int(f, "SELECT state = 'cancelled' FROM job WHERE uid = 'job_c'"), 1);
    assert_int_equal(read_int(f, "SELECT state = 'queued' AND restarts = 0 FROM job WHERE uid = 'job_q'"), 1);
    assert_int_equal(am_store_write(f->s, call_recover, &n), 0);
    assert_int_equal(n, 0);
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
    assert_int_equal(read_int(f, "SELECT count(*) FROM job_count c WHERE n <>"
                                 " (SELECT count(*) FROM job WHERE state = c.state AND (type = 'task') = c.task)"),
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

static int join(void *ctx, const struct am_job_row *j)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 256 - n, "%s ", j->uid);
    return 0;
}

static void lists_filter_and_page(void **state)
{
    struct fixture *f = *state;
    add_job(f, "job_1", "merge", 50);
    add_job(f, "job_2", "edit", 50);
    add_job(f, "task_3", "task", 50);
    add_job(f, "job_4", "merge", 50);
    write_sql(f, "UPDATE job SET publish = '{\"model\":\"demo/else\"}', created_by = 'you', method = 'ties' WHERE uid "
                 "= 'job_4'");
    finish(f, "job_1", AM_RUNNING);
    const struct {
        struct am_job_filter filter;
        const char *want;
    } t[] = {
        {{.state = -1, .limit = 9}, "job_4 job_2 job_1 "},
        {{.state = -1, .limit = 2}, "job_4 job_2 "},
        {{.state = -1, .limit = 9, .after = "job_2"}, "job_1 "},
        {{.state = -1, .limit = 9, .type = "merge"}, "job_4 job_1 "},
        {{.state = -1, .limit = 9, .type = "task"}, "task_3 "},
        {{.state = AM_RUNNING, .limit = 9}, "job_1 "},
        {{.state = AM_QUEUED, .limit = 9, .type = "merge"}, "job_4 "},
        {{.state = -1, .limit = 9, .model = "demo/out"}, "job_2 job_1 "},
        {{.state = -1, .limit = 9, .created_by = "you"}, "job_4 "},
        {{.state = -1, .limit = 9, .method = "linear", .created_by = "ci", .model = "demo/out", .type = "edit"},
         "job_2 "},
        {{.state = AM_FAILED, .limit = 9}, ""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[256] = "";
        assert_int_equal(am_job_list(am_store_read(f->s), &t[i].filter, join, text), 0);
        assert_string_equal(text, t[i].want);
    }
    struct am_job_filter lost = {.state = -1, .limit = 9, .after = "job_none"};
    assert_int_equal(am_job_list(am_store_read(f->s), &lost, join, NULL), -AM_E_NOT_FOUND);
}

static int call_event(struct am_db *db, void *arg)
{
    return am_event_add(db, arg, 1500, "job.phase", "{\"phase\":\"merge\"}");
}

static int join_event(void *ctx, int64_t seq, int64_t at, const char *type, const char *data)
{
    size_t n = strlen(ctx);
    (void)seq;
    snprintf((char *)ctx + n, 256 - n, "%d %s %s;", (int)at, type, data);
    return 0;
}

static void events_replay(void **state)
{
    struct fixture *f = *state;
    char text[256] = "";
    add_job(f, "job_a", "merge", 50);
    add_job(f, "job_b", "merge", 50);
    assert_int_equal(am_store_write(f->s, call_event, "job_a"), 0);
    assert_int_equal(am_store_write(f->s, call_event, "job_none"), -AM_E_NOT_FOUND);
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_event_list(db, "job_a", 0, 9, join_event, text), 0);
    assert_string_equal(text, "1000 job.queued {};1500 job.phase {\"phase\":\"merge\"};");
    text[0] = '\0';
    assert_int_equal(am_event_list(db, "job_a", 1, 9, join_event, text), 0);
    assert_string_equal(text, "1500 job.phase {\"phase\":\"merge\"};");
    assert_int_equal(am_event_list(db, "job_none", 0, 9, join_event, text), -AM_E_NOT_FOUND);
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
        cmocka_unit_test(table_of_states), T(every_pair_on_rows),
        T(claims_by_priority_and_age),     T(three_attempts_and_no_more),
        T(failures_wait_longer_each_time), T(one_attempt_is_never_requeued),
        T(waiting_counts_as_priority),     T(nothing_starves),
        T(a_slot_for_short_jobs),          T(not_before_its_time),
        T(cancel_and_finish_race),         T(recovery_requeues_within_bounds),
        T(queue_limit_and_counts),         T(position_in_the_queue),
        T(lists_filter_and_page),          T(events_replay),
        T(one_of_each_kind_of_store_work), T(long_queue),
        T(long_queue_of_the_wrong_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
