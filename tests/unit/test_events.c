/* test_events.c - event rows: what writes them, their lists, their bounds, and the end of the old ones. */
#include "tests/unit/store_fixture.h"

#include "core/base/text.h"

static int call_job(struct am_db *db, void *arg)
{
    const char *sha = "0000000000000000000000000000000000000000000000000000000000000000";
    struct am_job_new j = {.uid = arg,
                           .type = am_starts(arg, "job_t") ? "task" : "merge",
                           .method = "linear",
                           .publish = "{\"model\":\"demo/out\"}",
                           .spec_sha256 = sha,
                           .now = 1000,
                           .queue_limit = 100};
    return am_job_insert(db, &j);
}

struct finish_call {
    const char *uid, *error;
    enum am_job_state to;
};
static int call_finish(struct am_db *db, void *arg)
{
    struct finish_call *c = arg;
    return am_job_finish(db, c->uid, c->to, 2000, NULL, c->error, NULL);
}

static int call_put(struct am_db *db, void *arg)
{
    return am_event_put(db, arg);
}

static int put(struct fixture *f, struct am_event_new e)
{
    return am_store_write(f->s, call_put, &e);
}

static int join_event(void *ctx, const struct am_event_row *e)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 1024 - n, "%d %s %s %s %s %d %d %s;", (int)e->seq, e->topic, e->type, e->subject,
             e->model ? e->model : "-", (int)e->revision, (int)e->job_seq, e->data);
    return 0;
}

static int join_seq(void *ctx, const struct am_event_row *e)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 1024 - n, "%d ", (int)e->seq);
    return 0;
}

static void moves_of_jobs_and_tasks(void **state)
{
    struct fixture *f = *state;
    char text[1024] = "";
    assert_int_equal(am_store_write(f->s, call_job, "job_a"), 0);
    assert_int_equal(am_store_write(f->s, call_job, "job_t"), 0);
    assert_int_equal(write_sql(f, "UPDATE job SET state = 'running'"), 0);
    struct finish_call c = {
        .uid = "job_a", .to = AM_FAILED, .error = "{\"code\":\"non-finite\",\"detail\":\"NaN in w\"}"};
    assert_int_equal(am_store_write(f->s, call_finish, &c), 0);
    c = (struct finish_call){.uid = "job_t", .to = AM_SUCCEEDED};
    assert_int_equal(am_store_write(f->s, call_finish, &c), 0);
    assert_int_equal(am_event_list(am_store_read(f->s), &(struct am_event_query){.limit = 9}, join_event, text), 0);
    assert_string_equal(text, "1 jobs job.queued job_a demo/out 1 1 {};"
                              "2 tasks task.queued job_t demo/out 1 1 {};"
                              "3 jobs job.failed job_a demo/out 2 2 "
                              "{\"attempt\":0,\"code\":\"non-finite\",\"detail\":\"NaN in w\"};"
                              "4 tasks task.finished job_t demo/out 2 2 {\"attempt\":0,\"status\":\"succeeded\"};");
}

static void models_and_refs(void **state)
{
    struct fixture *f = *state;
    char text[1024] = "", want[1024];
    struct insert_call v = {.v = {.model = make_model(f, "demo/m"), .branch = "main", .now = 1500, .created_by = "ci"}};
    assert_int_equal(am_store_write(f->s, call_insert, &v), 0);
    assert_int_equal(am_event_list(am_store_read(f->s), &(struct am_event_query){.limit = 9}, join_event, text), 0);
    char empty[41];
    {
        AM_STMT st = am_db_bind(am_store_read(f->s), "SELECT lower(hex(oid)) FROM version WHERE number = 0", "");
        assert_int_equal(am_db_row(st), 1);
        snprintf(empty, sizeof empty, "%s", am_col_text(st, 0));
    }
    snprintf(want, sizeof want,
             "1 models model.created demo/m demo/m 1 0 {};"
             "2 models model.version_created demo/m@%s demo/m 1 0 {\"commit\":\"%s\",\"number\":1,\"branch\":\"main\"};"
             "3 models model.ref_moved demo/m@main demo/m 2 0 {\"ref\":\"main\",\"kind\":\"branch\",\"from\":\"%s\","
             "\"to\":\"%s\",\"by\":\"ci\",\"reason\":\"commit\",\"decision\":null,\"forced\":false};",
             v.commit, v.commit, empty, v.commit);
    assert_string_equal(text, want);
    int64_t rev = 0;
    assert_int_equal(am_ref_revision(am_store_read(f->s), "demo/m", "main", &rev), 0);
    assert_int_equal(rev, 2);
    assert_int_equal(am_ref_revision(am_store_read(f->s), "demo/m", "none", &rev), -AM_E_NOT_FOUND);
}

static void lists_by_topic_model_and_job(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"queue.paused",  "model.deleted", "report.created",
                                        "model.deleted", "gate.decided",  "queue.resumed"};
    static const char *const models[] = {NULL, "demo/a", "demo/a", "demo/b", "demo/b", NULL};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(put(f, (struct am_event_new){.at = 1, .type = types[i], .subject = "x", .model = models[i]}),
                         0);
    const struct {
        struct am_event_query q;
        const char *want;
    } t[] = {
        {{.limit = 9}, "1 2 3 4 5 6 "},
        {{.limit = 2}, "1 2 "},
        {{.after = 4, .limit = 9}, "5 6 "},
        {{.topics = AM_TOPIC_MODELS, .limit = 9}, "2 4 "},
        {{.topics = AM_TOPIC_MODELS | AM_TOPIC_REPORTS, .limit = 9}, "2 3 4 5 "},
        {{.topics = AM_TOPIC_MODELS | AM_TOPIC_REPORTS, .after = 2, .limit = 2}, "3 4 "},
        {{.topics = AM_TOPIC_TASKS, .limit = 9}, ""},
        {{.model = "demo/a", .limit = 9}, "2 3 "},
        {{.model = "demo/a", .topics = AM_TOPIC_REPORTS, .limit = 9}, "3 "},
        {{.model = "demo/none", .limit = 9}, ""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[1024] = "";
        assert_int_equal(am_event_list(am_store_read(f->s), &t[i].q, join_seq, text), 0);
        assert_string_equal(text, t[i].want);
    }
    assert_int_equal(put(f, (struct am_event_new){.type = "nonsense", .subject = "x"}), -AM_E_INVALID_REQUEST);
    assert_int_equal(put(f, (struct am_event_new){.type = "job.phase"}), -AM_E_NOT_FOUND);
    assert_int_equal(am_topic_parse("models"), AM_TOPIC_MODELS);
    assert_int_equal(am_topic_parse("model"), 0);
}

static int call_prune(struct am_db *db, void *arg)
{
    const int64_t *v = arg;
    return am_event_prune(db, v[0], (int)v[1]);
}

static void the_oldest_go_in_steps(void **state)
{
    struct fixture *f = *state;
    static const int64_t at[] = {10, 20, 30, 20, 50};
    int64_t last = -1, pruned = -1;
    assert_int_equal(am_event_bounds(am_store_read(f->s), &last, &pruned), 0);
    assert_int_equal(last, 0);
    assert_int_equal(pruned, 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(put(f, (struct am_event_new){.at = at[i], .type = "queue.paused", .subject = "queue"}), 0);
    const struct {
        int64_t v[2];
        int gone;
        int64_t pruned;
    } t[] = {{{5, 100}, 0, 0}, {{100, 1}, 1, 1}, {{25, 100}, 1, 2}, /* the fourth is old, but behind the third */
             {{100, 2}, 2, 4}, {{100, 9}, 1, 5}, {{100, 9}, 0, 5}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t v[2] = {t[i].v[0], t[i].v[1]};
        assert_int_equal(am_store_write(f->s, call_prune, v), t[i].gone);
        assert_int_equal(am_event_bounds(am_store_read(f->s), &last, &pruned), 0);
        assert_int_equal(last, 5);
        assert_int_equal(pruned, t[i].pruned);
    }
    assert_int_equal(put(f, (struct am_event_new){.at = 60, .type = "queue.paused", .subject = "queue"}), 0);
    assert_int_equal(read_int(f, "SELECT max(seq) FROM event"), 6); /* numbers are never given twice */
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

static void commits_are_told(void **state)
{
    struct fixture *f = *state;
    static int n; /* a call may be on its way until the store is closed */
    am_store_on_commit(f->s, count_call, &n);
    write_sql(f, "UPDATE job SET rev = rev");
    write_sql(f, "UPDATE job SET rev = rev"); /* the first was told before the second began */
    am_store_on_commit(f->s, NULL, NULL);
    assert_true(n >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moves_of_jobs_and_tasks, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(models_and_refs, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(lists_by_topic_model_and_job, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_oldest_go_in_steps, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(commits_are_told, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
