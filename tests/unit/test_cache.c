/* test_cache.c - kept answers: stamps, room, references; with the counter of a store, never an older state. */
#include "tests/unit/store_fixture.h"

#include "server/cache.h"

#include <pthread.h>
#include <sched.h>

#define AT(store, engine) ((struct am_stamp){store, engine})

static void put(struct am_cache *c, const char *key, struct am_stamp at, const char *text)
{
    struct am_answer *a = am_answer_new(strlen(text), text);
    assert_non_null(a);
    memcpy(a->text, text, a->n);
    am_cache_put(c, key, at, at, a);
    am_answer_unref(a);
}

/* 1: the text is kept there; 0: nothing is. */
static int holds(struct am_cache *c, const char *key, struct am_stamp at, const char *text)
{
    struct am_answer *a = am_cache_get(c, key, at);
    if (!a)
        return 0;
    assert_int_equal(a->n, strlen(text));
    assert_memory_equal(a->text, text, a->n);
    assert_string_equal(a->etag, text);
    am_answer_unref(a);
    return 1;
}

static void counts_under_its_own_stamp_only(void **state)
{
    struct am_cache *c = am_cache_new();
    (void)state;
    put(c, "/a", AT(2, 7), "one");
    assert_int_equal(holds(c, "/a", AT(2, 7), "one"), 1);
    assert_null(am_cache_get(c, "/a", AT(4, 7)));
    assert_null(am_cache_get(c, "/a", AT(2, 8)));
    assert_null(am_cache_get(c, "/A", AT(2, 7)));
    put(c, "/a", AT(4, 8), "two");
    assert_int_equal(holds(c, "/a", AT(4, 8), "two"), 1);
    put(c, "/a", AT(2, 7), "one"); /* from a thread that was held up */
    assert_int_equal(holds(c, "/a", AT(4, 8), "two"), 1);
    assert_null(am_cache_get(c, "/a", AT(2, 7)));
    am_cache_free(c);
}

static void nothing_counts_while_something_changes(void **state)
{
    struct am_cache *c = am_cache_new();
    struct am_answer *a = am_answer_new(0, "a");
    (void)state;
    put(c, "/a", AT(3, 7), "one");
    assert_null(am_cache_get(c, "/a", AT(3, 7)));
    am_cache_put(c, "/a", AT(2, 7), AT(4, 7), a);
    am_cache_put(c, "/a", AT(2, 7), AT(2, 8), a);
    am_cache_put(c, "/a", AT(2, 7), AT(3, 7), a);
    am_cache_put(c, "/a", AT(3, 7), AT(4, 7), a);
    for (uint64_t store = 0; store < 6; store++)
        for (uint64_t engine = 6; engine < 10; engine++)
            assert_null(am_cache_get(c, "/a", AT(store, engine)));
    am_answer_unref(a);
    am_cache_free(c);
}

static void makes_room_by_age_of_use(void **state)
{
    struct am_cache *c = am_cache_new();
    char key[32];
    (void)state;
    for (int i = 0; i < AM_CACHE_ENTRIES; i++) {
        snprintf(key, sizeof key, "/%d", i);
        put(c, key, AT(0, 0), key);
    }
    assert_int_equal(holds(c, "/0", AT(0, 0), "/0"), 1); /* used again: /1 is the oldest now */
    put(c, "/new", AT(0, 0), "new");
    assert_int_equal(holds(c, "/0", AT(0, 0), "/0"), 1);
    assert_int_equal(holds(c, "/new", AT(0, 0), "new"), 1);
    assert_null(am_cache_get(c, "/1", AT(0, 0)));
    for (int i = 2; i < AM_CACHE_ENTRIES; i++) {
        snprintf(key, sizeof key, "/%d", i);
        assert_int_equal(holds(c, key, AT(0, 0), key), 1);
    }
    am_cache_free(c);
}

static void large_texts_and_long_keys_are_not_kept(void **state)
{
    struct am_cache *c = am_cache_new();
    char key[AM_CACHE_KEY + 1];
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct am_answer *a = am_answer_new(AM_ANSWER_MAX + over, "x");
        memset(a->text, 'x', a->n);
        am_cache_put(c, over ? "/over" : "/full", AT(0, 0), AT(0, 0), a);
        am_answer_unref(a);
        memset(key, 'k', sizeof key);
        key[AM_CACHE_KEY - 1 + over] = 0;
        put(c, key, AT(0, 0), "long");
        assert_int_equal(holds(c, key, AT(0, 0), "long"), over == 0);
    }
    struct am_answer *a = am_cache_get(c, "/full", AT(0, 0));
    assert_int_equal(a->n, AM_ANSWER_MAX);
    assert_null(am_cache_get(c, "/over", AT(0, 0)));
    am_cache_free(c);
    assert_int_equal(a->text[AM_ANSWER_MAX - 1], 'x'); /* a reference outlives the table */
    am_answer_unref(a);
}

static void same_key_takes_one_place(void **state)
{
    struct am_cache *c = am_cache_new();
    (void)state;
    put(c, "/kept", AT(0, 0), "kept");
    for (unsigned i = 0; i < 4 * AM_CACHE_ENTRIES; i++)
        put(c, "/again", AT(2 * i, 0), "again");
    assert_int_equal(holds(c, "/kept", AT(0, 0), "kept"), 1);
    am_cache_free(c);
}

/* ---- with a store: a row and what is kept of it ---- */

struct scene {
    struct fixture *f;
    struct am_cache *c;
    atomic_llong written; /* by a write that has returned */
    atomic_bool over;
    atomic_int hits, reads, wrong;
};

static int add_one(struct am_db *db, void *arg)
{
    (void)arg;
    return am_db_script(db, "UPDATE t SET v = v + 1");
}

static void *write_many(void *arg)
{
    struct scene *s = arg;
    for (int i = 0; i < 150; i++) {
        if (am_store_write(s->f->s, add_one, NULL) < 0)
            atomic_fetch_add(&s->wrong, 1);
        atomic_fetch_add(&s->written, 1);
        if (i % 3 == 0)
            sched_yield();
    }
    atomic_store(&s->over, true);
    return NULL;
}

/* As reply.c does it. */
static long long look(struct scene *s)
{
    char text[32];
    int64_t v = -1;
    struct am_stamp before = AT(am_store_generation(s->f->s), 0);
    struct am_answer *a = am_cache_get(s->c, "/row", before);
    if (a) {
        v = strtoll(a->etag, NULL, 10);
        am_answer_unref(a);
        atomic_fetch_add(&s->hits, 1);
        return v;
    }
    if (am_db_int(am_store_read(s->f->s), &v, "SELECT v FROM t", "") < 0)
        atomic_fetch_add(&s->wrong, 1);
    snprintf(text, sizeof text, "%lld", (long long)v);
    a = am_answer_new(0, text);
    am_cache_put(s->c, "/row", before, AT(am_store_generation(s->f->s), 0), a);
    am_answer_unref(a);
    atomic_fetch_add(&s->reads, 1);
    return v;
}

static void *read_many(void *arg)
{
    struct scene *s = arg;
    long long seen = 0;
    while (!atomic_load(&s->over)) {
        long long least = atomic_load(&s->written), v = look(s);
        if (v < least || v < seen) /* older than a write that had returned, or than what was seen before */
            atomic_fetch_add(&s->wrong, 1);
        seen = v;
    }
    return NULL;
}

static void never_older_than_a_write_that_returned(void **state)
{
    struct scene s = {.f = *state, .c = am_cache_new()};
    pthread_t writer, reader[6];
    assert_int_equal(write_sql(s.f, "CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (0)"), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_many, &s), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_many, &s), 0);
    pthread_join(writer, NULL);
    for (int i = 0; i < 6; i++)
        pthread_join(reader[i], NULL);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_true(atomic_load(&s.hits) > 0 && atomic_load(&s.reads) > 0);
    assert_int_equal(look(&s), 150);
    am_cache_free(s.c);
}

static int take_generation(struct am_db *db, void *arg)
{
    struct scene *s = arg;
    (void)db;
    atomic_store(&s->written, (long long)am_store_generation(s->f->s));
    return 0;
}

static void generation_is_even_at_rest_and_grows_with_commits(void **state)
{
    struct fixture *f = *state;
    struct scene s = {.f = f};
    uint64_t was = am_store_generation(f->s);
    assert_int_equal(was % 2, 0);
    assert_int_equal(am_store_generation(f->s), was); /* reading alone changes nothing */
    assert_int_equal(write_sql(f, "CREATE TABLE t (v INTEGER)"), 0);
    uint64_t now = am_store_generation(f->s);
    assert_true(now > was && now % 2 == 0);
    assert_int_equal(am_store_aside(f->s, take_generation, &s), 0); /* it may write as it likes: odd meanwhile */
    assert_int_equal(atomic_load(&s.written) % 2, 1);
    uint64_t after = am_store_generation(f->s);
    assert_true(after > now && after % 2 == 0);
}

/* What another connection says at the moment that am_db_commit() tells. */
struct moment {
    struct fixture *f;
    int64_t count;
    int calls;
};

static void look_from_outside(void *arg)
{
    struct moment *m = arg;
    m->calls++;
    m->count = read_int(m->f, "SELECT count(*) FROM t");
}

static void synced_is_before_visible(void **state)
{
    struct fixture *f = *state;
    char path[128], why[256];
    assert_int_equal(write_sql(f, "CREATE TABLE t (v INTEGER)"), 0);
    snprintf(path, sizeof path, "%s/amendd.db", f->dir);
    struct am_db *db = am_db_open(path, true, why, sizeof why);
    assert_non_null(db);
    for (int i = 0; i < 3; i++) {
        struct moment m = {.f = f};
        if (i == 1) /* the log begins anew: its header is synced first */
            assert_int_equal(am_db_checkpoint(db, true), 0);
        assert_int_equal(am_db_script(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)"), 0);
        assert_int_equal(am_db_commit(db, look_from_outside, &m), 0);
        assert_int_equal(m.calls, 1);
        assert_int_equal(m.count, i);
        assert_int_equal(read_int(f, "SELECT count(*) FROM t"), i + 1);
        m.calls = 0;
        assert_int_equal(am_db_script(db, "BEGIN IMMEDIATE"), 0);
        assert_int_equal(am_db_commit(db, look_from_outside, &m), 0); /* nothing to commit */
        assert_int_equal(am_db_script(db, "INSERT INTO t VALUES (2); DELETE FROM t WHERE v = 2"), 0);
        assert_int_equal(m.calls, 0); /* others' commits are not told */
    }
    am_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_under_its_own_stamp_only),
        cmocka_unit_test(nothing_counts_while_something_changes),
        cmocka_unit_test(makes_room_by_age_of_use),
        cmocka_unit_test(large_texts_and_long_keys_are_not_kept),
        cmocka_unit_test(same_key_takes_one_place),
        cmocka_unit_test_setup_teardown(never_older_than_a_write_that_returned, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(synced_is_before_visible, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(generation_is_even_at_rest_and_grows_with_commits, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
