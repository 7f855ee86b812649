/* test_jobs.c - jobs as rows: the table of states, attempts, races, recovery, lists, events. Their order is
 * test_queue.c. */
#include "tests/unit/jobs_fixture.h"

/* engineering.md 7.7, written out again; and queued to failed, when what it waits for does not succeed. */
static bool allowed(const char *from, const char *to)
{
    static const char *const pairs[][2] = {
        {"queued", "running"},     {"queued", "cancelled"},     {"queued", "failed"},
        {"running", "succeeded"},  {"running", "failed"},       {"running", "queued"},
        {"running", "cancelling"}, {"cancelling", "cancelled"}, {"cancelling", "failed"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (am_streq(pairs[i][0], from) && am_streq(pairs[i][1], to))
            return true;
    }
    return false;
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
    assert_int_equal(read_int(f, "SELECT count(*) FROM event"), AM_STATES * AM_STATES + moves);
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.requeued'"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE (state IN ('succeeded', 'failed', 'cancelled'))"
                                 " <> (finished_at IS NOT NULL) AND rev > 1"),
                     0);
    assert_int_equal(finish(f, "job_none", AM_FAILED), -AM_E_NOT_FOUND);
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
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.requeued'"), 4);
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
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE type = 'job.cancelling'"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM event WHERE json_extract(data, '$.by') = 'o\"ps'"), 2);
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
        {{.limit = 9}, "job_4 job_2 job_1 "},
        {{.limit = 2}, "job_4 job_2 "},
        {{.limit = 9, .after = "job_2"}, "job_1 "},
        {{.limit = 9, .type = "merge"}, "job_4 job_1 "},
        {{.limit = 9, .type = "task"}, "task_3 "},
        {{.states = 1u << AM_RUNNING | 1u << AM_QUEUED, .limit = 9}, "job_4 job_2 job_1 "},
        {{.limit = 9, .since = 1000}, "job_4 job_2 job_1 "},
        {{.limit = 9, .since = 1001}, ""},
        {{.limit = 9, .archived = true}, ""},
        {{.limit = 9, .pair = {{"k", "v"}}}, ""},
        {{.states = 1u << AM_RUNNING, .limit = 9}, "job_1 "},
        {{.states = 1u << AM_QUEUED, .limit = 9, .type = "merge"}, "job_4 "},
        {{.limit = 9, .model = "demo/out"}, "job_2 job_1 "},
        {{.limit = 9, .created_by = "you"}, "job_4 "},
        {{.limit = 9, .method = "linear", .created_by = "ci", .model = "demo/out", .type = "edit"}, "job_2 "},
        {{.states = 1u << AM_FAILED, .limit = 9}, ""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[256] = "";
        assert_int_equal(am_job_list(am_store_read(f->s), &t[i].filter, join, text), 0);
        assert_string_equal(text, t[i].want);
    }
    struct am_job_filter lost = {.limit = 9, .after = "job_none"};
    assert_int_equal(am_job_list(am_store_read(f->s), &lost, join, NULL), -AM_E_NOT_FOUND);
}

/* Rows of jobs are large and most are not what is asked for: a list that looks at each of them reads the whole table.
 */
static void lists_pass_over_rows_unread(void **state)
{
    struct fixture *f = *state;
    static const struct am_job_filter filters[] = {
        {.limit = 3, .archived = true},
        {.limit = 3, .since = 2000},
        {.limit = 3, .pair = {{"run", "7"}}},
        {.limit = 3, .pair = {{"run", "7"}, {"team", "a"}}, .type = "merge"},
        {.limit = 3, .method = "linear", .states = 1u << AM_CANCELLED_},
        {.limit = 3, .states = 1u << AM_FAILED | 1u << AM_CANCELLED_},
    };
    assert_int_equal(
        write_sql(f, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
                     " INSERT INTO job (uid, type, method, state, priority, created_by, spec, spec_sha256, resolved,"
                     " plan, metadata, publish, max_attempts, created_at) SELECT 'job_' || i, 'merge', 'linear',"
                     " 'succeeded', 50, 'ci', json_quote(hex(zeroblob(4000))), zeroblob(32), '{}', '{}',"
                     " json_object('run', CAST(i AS TEXT), 'team', 'a', 'n', 7), '{}', 1, 1000 FROM n"),
        0);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        char text[256] = "";
        int before = 0, after = 0, high;
        struct am_db *db = am_store_read(f->s);
        sqlite3_db_status(am_db_handle(db), SQLITE_DBSTATUS_CACHE_MISS, &before, &high, 0);
        assert_int_equal(am_job_list(db, &filters[i], join, text), 0);
        sqlite3_db_status(am_db_handle(db), SQLITE_DBSTATUS_CACHE_MISS, &after, &high, 0);
        assert_string_equal(text, filters[i].pair[0].key ? "job_7 " : "");
        assert_true(after - before < 100); /* of more than 800 pages */
    }
    /* the pairs follow the job */
    char text[256] = "";
    assert_int_equal(write_sql(f, "UPDATE job SET metadata = '{\"run\": \"8\"}' WHERE uid = 'job_7'"), 0);
    const struct am_job_filter moved = {.limit = 9, .pair = {{"run", "8"}}};
    assert_int_equal(am_job_list(am_store_read(f->s), &filters[2], join, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(am_job_list(am_store_read(f->s), &moved, join, text), 0);
    assert_string_equal(text, "job_8 job_7 ");
}

static int call_event(struct am_db *db, void *arg)
{
    return am_event_put(
        db, &(struct am_event_new){.at = 1500, .type = "job.phase", .job = arg, .data = "{\"phase\":\"merge\"}"});
}

static int join_event(void *ctx, const struct am_event_row *e)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 256 - n, "%d %d %s %s;", (int)e->at, (int)e->job_seq, e->type, e->data);
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
    struct am_event_query q = {.job = "job_a", .limit = 9};
    assert_int_equal(am_event_list(db, &q, join_event, text), 0);
    assert_string_equal(text, "1000 1 job.queued {};1500 2 job.phase {\"phase\":\"merge\"};");
    text[0] = '\0';
    q.after = 1;
    assert_int_equal(am_event_list(db, &q, join_event, text), 0);
    assert_string_equal(text, "1500 2 job.phase {\"phase\":\"merge\"};");
    q.job = "job_none";
    assert_int_equal(am_event_list(db, &q, join_event, text), -AM_E_NOT_FOUND);
}

/* Only what the schedule made counts, of one kind, whatever became of it. */
static void times_of_scheduled_tasks(void **state)
{
    struct fixture *f = *state;
    struct am_task_times t = {.made = 1};
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_task_times(db, "scrub", &t), 0);
    assert_int_equal(t.made + t.succeeded + t.first + t.open, 0);
    assert_int_equal(
        write_sql(f, "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved, plan,"
                     " created_at) SELECT column1, column2, column3, column4, 'ci', '{}', zeroblob(32), column5, '{}',"
                     " column6 FROM (VALUES ('a', 'merge', 'scrub', 'queued', '{\"scheduled\":true}', 50),"
                     " ('b', 'task', 'scrub', 'succeeded', '{\"scheduled\":true}', 100),"
                     " ('c', 'task', 'scrub', 'failed', '{\"scheduled\":true}', 200),"
                     " ('d', 'task', 'scrub', 'succeeded', '{}', 300),"
                     " ('e', 'task', 'backup', 'running', '{\"scheduled\":true}', 400))"),
        0);
    assert_int_equal(am_task_times(db, "scrub", &t), 0);
    assert_int_equal(t.first, 50);
    assert_int_equal(t.made, 200);
    assert_int_equal(t.succeeded, 100);
    assert_false(t.open);
    assert_int_equal(am_task_times(db, "backup", &t), 0);
    assert_int_equal(t.made, 400);
    assert_int_equal(t.succeeded, 0);
    assert_true(t.open);
}

static int add_up(void *ctx, const char *type, const char *state, int band, int64_t n)
{
    char text[80];
    snprintf(text, sizeof text, "%s %s %d %lld;", type, state, band, (long long)n);
    strncat(ctx, text, 399 - strlen(ctx));
    return 0;
}

/* The tally follows every way a row may change. */
static void tally(void **state)
{
    struct fixture *f = *state;
    char text[400] = "";
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_job_tally(db, add_up, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(add_job(f, "job_a", "merge", 0), 0);
    assert_int_equal(add_job(f, "job_b", "merge", 24), 0);
    assert_int_equal(add_job(f, "job_c", "merge", 25), 0);
    assert_int_equal(add_job(f, "job_d", "edit", 100), 0);
    assert_int_equal(write_sql(f, "UPDATE job SET state = 'running' WHERE uid = 'job_a'"), 0);
    assert_int_equal(finish(f, "job_a", AM_SUCCEEDED), 0);
    assert_int_equal(write_sql(f, "UPDATE job SET priority = 99 WHERE uid = 'job_c'"), 0);
    assert_int_equal(write_sql(f, "UPDATE job SET priority = 75, state = 'running' WHERE uid = 'job_c'"), 0);
    assert_int_equal(write_sql(f, "DELETE FROM event"), 0);
    assert_int_equal(write_sql(f, "DELETE FROM job WHERE uid = 'job_d'"), 0);
    assert_int_equal(am_job_tally(db, add_up, text), 0);
    assert_string_equal(text, "merge queued 0 1;merge running 3 1;merge succeeded 0 1;");
}

static int take_origin(void *ctx, const struct am_job_row *j)
{
    snprintf(ctx, 120, "%s %s", j->request_id ? j->request_id : "-", j->traceparent ? j->traceparent : "-");
    return 0;
}

static int set_origin(struct am_db *db, void *arg)
{
    (void)arg;
    return am_job_origin(db, "job_a", "01a20616d80b7f0a9b1c2d3e4f506172",
                         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

static void origin(void **state)
{
    struct fixture *f = *state;
    char text[120];
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(add_job(f, "job_a", "merge", 50), 0);
    assert_int_equal(am_job_get(db, "job_a", take_origin, text), 0);
    assert_string_equal(text, "- -");
    assert_int_equal(am_store_write(f->s, set_origin, NULL), 0);
    assert_int_equal(am_job_get(db, "job_a", take_origin, text), 0);
    assert_string_equal(text,
                        "01a20616d80b7f0a9b1c2d3e4f506172 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_int_equal(write_sql(f, "UPDATE job SET traceparent = 'none'"), -AM_E_CONFLICT);
}

static void last_task(void **state)
{
    struct fixture *f = *state;
    struct am_db *db = am_store_read(f->s);
    int64_t at = 1;
    assert_int_equal(am_task_last(db, "backup", &at), 0);
    assert_int_equal(at, 0);
    assert_int_equal(
        write_sql(f, "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved, plan,"
                     " created_at, finished_at) SELECT column1, column2, 'backup', column3, 'ci', '{}', zeroblob(32),"
                     " '{}', '{}', 1, column4 FROM (VALUES ('a', 'task', 'succeeded', 50),"
                     " ('b', 'task', 'succeeded', 70), ('c', 'task', 'failed', 90), ('d', 'merge', 'succeeded', 95))"),
        0);
    assert_int_equal(am_task_last(db, "backup", &at), 0);
    assert_int_equal(at, 70);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_states),
        T(every_pair_on_rows),
        T(three_attempts_and_no_more),
        T(failures_wait_longer_each_time),
        T(one_attempt_is_never_requeued),
        T(cancel_and_finish_race),
        T(recovery_requeues_within_bounds),
        T(lists_filter_and_page),
        T(lists_pass_over_rows_unread),
        T(events_replay),
        T(times_of_scheduled_tasks),
        T(tally),
        T(origin),
        T(last_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
