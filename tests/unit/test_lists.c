/*
 * test_lists.c - the lists of reports, decisions and prediction sets by what people ask for: an index answers, so a
 * filter that few rows pass costs the same in a large store. Steps of SQLite's machine are counted, not time.
 */
#include "tests/unit/store_fixture.h"

#include "storage/gates.h"
#include "storage/predictions.h"
#include "storage/reports.h"

enum { ROWS = 4000, STEPS = ROWS }; /* a walk over all rows takes several steps for each */

#define MANY "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000) "

static void fill(struct fixture *f)
{
    assert_int_equal(
        write_sql(f, MANY "INSERT INTO report (uid, type, method, job, old, new, dataset, n, body, sha256, created_by,"
                          " created_at) SELECT 'rep_' || i, 'evaluate', 'compare', 'job_' || i, 'old' || i, 'new',"
                          " 'data' || i, 1, '{}', zeroblob(32), 'ci', i FROM n"),
        0);
    assert_int_equal(
        write_sql(f, MANY "INSERT INTO decision (uid, old, new, verdict, body, created_by, created_at) SELECT 'gdc_' ||"
                          " i, 'old', 'new', iif(i = 7, 'promote', 'hold'), '{}', 'ci', i FROM n"),
        0);
    assert_int_equal(
        write_sql(f, MANY "INSERT INTO prediction_set (uid, model, dataset, task, n, ids, header, source, created_by,"
                          " created_at) SELECT 'prd_' || i, 'model' || i, 'data' || i, 'classification', 1, 1, '{}',"
                          " 'upload', 'ci', i FROM n"),
        0);
}

/* Of all statements of the connection, since it was asked before. */
static int64_t steps(struct am_db *db)
{
    int64_t n = 0;
    for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(am_db_handle(db), st));)
        n += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
    return n;
}

static int count_report(void *ctx, const struct am_report_row *r)
{
    assert_non_null(r->uid);
    ++*(int *)ctx;
    return 0;
}

static int count_decision(void *ctx, const struct am_decision_row *d)
{
    assert_non_null(d->uid);
    ++*(int *)ctx;
    return 0;
}

static int count_set(void *ctx, const struct am_prediction_row *p)
{
    assert_non_null(p->uid);
    ++*(int *)ctx;
    return 0;
}

static void test_reports(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct am_db *db = am_store_read(f->s);
    const struct {
        struct am_report_filter filter;
        int rows;
    } of[] = {
        {{.version = 999, .limit = 20}, 0},
        {{.old_version = 999, .limit = 20}, 0},
        {{.new_version = 999, .method = "compare", .limit = 1}, 0},
        {{.dataset = "data7", .limit = 20}, 1},
        {{.dataset = "data7", .method = "compare", .after = 7, .limit = 20}, 0},
        {{.job = "job_7", .limit = 20}, 1},
        {{.limit = 20}, 20},
        {{.after = 3, .limit = 20}, 2},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int n = 0;
        steps(db);
        assert_int_equal(am_report_list(db, &of[i].filter, count_report, &n), 0);
        assert_int_equal(n, of[i].rows);
        assert_in_range(steps(db), 1, STEPS);
    }
    int n = 0;
    assert_int_equal(
        am_report_list(db, &(struct am_report_filter){.old_external = "old7", .limit = 20}, count_report, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(am_report_list(db,
                                    &(struct am_report_filter){.external = "new", .new_external = "new", .limit = 5000},
                                    count_report, &n),
                     0);
    assert_int_equal(n, 1 + ROWS);
}

static void test_decisions(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct am_db *db = am_store_read(f->s);
    const struct {
        struct am_decision_filter filter;
        int rows;
    } of[] = {
        {{.version = 999, .limit = 20}, 0},
        {{.verdict = "promote", .limit = 20}, 1},
        {{.verdict = "inconclusive", .limit = 20}, 0},
        {{.limit = 20}, 20},
        {{.verdict = "hold", .after = 3, .limit = 20}, 2},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int n = 0;
        steps(db);
        assert_int_equal(am_decision_list(db, &of[i].filter, count_decision, &n), 0);
        assert_int_equal(n, of[i].rows);
        assert_in_range(steps(db), 1, STEPS);
    }
}

static void test_predictions(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct am_db *db = am_store_read(f->s);
    const struct {
        struct am_prediction_filter filter;
        int rows;
    } of[] = {
        {{.version = 999, .limit = 20}, 0},
        {{.version = 999, .dataset = "data7", .dataset_version = 5, .limit = 1}, 0},
        {{.external = "model7", .limit = 20}, 1},
        {{.external = "model7", .dataset = "data8", .limit = 1}, 0},
        {{.dataset = "data7", .limit = 20}, 1},
        {{.dataset = "other", .dataset_id = 5, .limit = 20}, 0},
        {{.limit = 20}, 20},
        {{.after = 3, .limit = 20}, 2},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int n = 0;
        steps(db);
        assert_int_equal(am_prediction_list(db, &of[i].filter, count_set, &n), 0);
        assert_int_equal(n, of[i].rows);
        assert_in_range(steps(db), 1, STEPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reports, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_decisions, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_predictions, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
