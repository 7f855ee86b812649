/*
 * test_idempotency.c - answers kept under keys: found again, refused to other requests, gone after their time.
 */
#include "storage/idempotency.h"
#include "tests/unit/store_fixture.h"

static const char one[] = "1111111111111111111111111111111111111111111111111111111111111111";
static const char two[] = "2222222222222222222222222222222222222222222222222222222222222222";

struct put {
    struct am_idem_row row;
    int64_t since;
};

static int put(struct am_db *db, void *arg)
{
    const struct put *p = arg;
    return am_idem_put(db, &p->row, p->since);
}

static void keep(struct fixture *f, const char *key, const char *fingerprint, const char *body, int64_t at,
                 int64_t since)
{
    struct put p = {{"local", key, fingerprint, 202, body, at}, since};
    assert_int_equal(am_store_write(f->s, put, &p), 0);
}

struct got {
    int status;
    char body[64];
    int64_t at;
};

static int take(void *ctx, const struct am_idem_row *row)
{
    struct got *g = ctx;
    g->status = row->status;
    g->at = row->created_at;
    snprintf(g->body, sizeof g->body, "%s", row->body);
    return 0;
}

static int get(struct fixture *f, const char *key, const char *fingerprint, int64_t since, struct got *ret)
{
    *ret = (struct got){0};
    return am_idem_get(am_store_read(f->s), "local", key, fingerprint, since, take, ret);
}

static int64_t rows(struct fixture *f)
{
    int64_t n = -1;
    assert_int_equal(am_db_int(am_store_read(f->s), &n, "SELECT count(*) FROM idempotency", ""), 1);
    return n;
}

static void test_found_again(void **state)
{
    struct fixture *f = *state;
    struct got g;
    keep(f, "k", one, "{\"a\":1}", 1000, 0);
    assert_int_equal(get(f, "k", one, 0, &g), 1);
    assert_int_equal(g.status, 202);
    assert_int_equal(g.at, 1000);
    assert_string_equal(g.body, "{\"a\":1}");
    assert_int_equal(get(f, "other", one, 0, &g), 0);
    assert_int_equal(get(f, "k", two, 0, &g), -AM_E_KEY_REUSED);
    assert_int_equal(am_idem_get(am_store_read(f->s), "somebody", "k", one, 0, take, &g), 0);
}

static void test_gone_after_its_time(void **state)
{
    struct fixture *f = *state;
    struct got g;
    keep(f, "k", one, "{}", 1000, 0);
    assert_int_equal(get(f, "k", one, 1000, &g), 1);
    assert_int_equal(get(f, "k", one, 1001, &g), 0);
    assert_int_equal(get(f, "k", two, 1001, &g), 0); /* and free for another request */
    keep(f, "k", two, "{\"b\":2}", 2000, 1001);
    assert_int_equal(get(f, "k", two, 1001, &g), 1);
    assert_string_equal(g.body, "{\"b\":2}");
}

static void test_pruned_in_passing(void **state)
{
    struct fixture *f = *state;
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "old%d", i);
        keep(f, key, one, "{}", 100 + i, 0);
    }
    assert_int_equal(rows(f), 20);
    keep(f, "new1", one, "{}", 5000, 4000);
    assert_int_equal(rows(f), 20 - 8 + 1); /* a few each time, the oldest first */
    keep(f, "new2", one, "{}", 5001, 4000);
    keep(f, "new3", one, "{}", 5002, 4000);
    assert_int_equal(rows(f), 3);
}

/* Kept with what it answers for, or not at all. */
static int put_and_fail(struct am_db *db, void *arg)
{
    AM_TRY(put(db, arg));
    return -AM_E_QUEUE_FULL;
}

static void test_shares_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct got g;
    struct put p = {{"local", "k", one, 202, "{}", 1000}, 0};
    assert_int_equal(am_store_write(f->s, put_and_fail, &p), -AM_E_QUEUE_FULL);
    assert_int_equal(get(f, "k", one, 0, &g), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_found_again), TEST(test_gone_after_its_time),
                                       TEST(test_pruned_in_passing), TEST(test_shares_the_transaction)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
