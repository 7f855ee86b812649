/* test_store.c - opening, the lock, grouped writes, readers, the log. */
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TABLE "CREATE TABLE IF NOT EXISTS t (v INTEGER NOT NULL UNIQUE)"

static void folder_has_its_contents(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"LOCK", "amendd.db", "blobs", "staging", "logs"};
    struct stat st;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(am_sys_stat(am_store_dirfd(f->s), names[i], &st), 0);
    assert_int_equal(am_sys_stat(am_store_dirfd(f->s), "amendd.db", &st), 0);
    assert_int_equal(st.st_mode & 0137, 0); /* nobody else, whatever the umask */
    assert_string_equal(am_store_path(f->s), f->dir);
    assert_int_equal(am_store_check(f->s), 0);
    assert_true(am_store_staging(f->s) >= 0 && am_store_logs(f->s) >= 0);
    assert_string_equal(am_store_sqlite_version(), sqlite3_libversion());
}

static void second_store_is_refused_with_pid(void **state)
{
    struct fixture *f = *state;
    char why[512], pid[32];
    assert_null(am_store_open(f->dir, why, sizeof why));
    snprintf(pid, sizeof pid, "with pid %ld on host", (long)getpid());
    assert_non_null(strstr(why, pid));
    assert_non_null(strstr(why, f->dir));
    assert_non_null(strstr(why, " since 20"));
    assert_int_equal(am_store_check(f->s), 0); /* the first is unharmed */
}

static void missing_parent_is_a_clear_error(void **state)
{
    (void)state;
    char why[512];
    assert_null(am_store_open("/nonexistent-amend/x/y", why, sizeof why));
    assert_non_null(strstr(why, "/nonexistent-amend/x/y"));
    assert_non_null(strstr(why, "No such file"));
}

static void killed_holder_does_not_block(void **state)
{
    (void)state;
    char dir[] = "/tmp/amend-test-XXXXXX", why[512], pid[32], go;
    int ready[2];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ready[0]);
        struct fixture f = {.s = am_store_open(dir, why, sizeof why)};
        if (!f.s || write_sql(&f, TABLE "; INSERT INTO t VALUES (42)") < 0)
            _exit(1);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]); /* a child that fails is the end of the pipe */
    assert_int_equal(read(ready[0], &go, 1), 1);
    assert_null(am_store_open(dir, why, sizeof why));
    snprintf(pid, sizeof pid, "pid %ld ", (long)child);
    assert_non_null(strstr(why, pid));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct fixture f = {.s = am_store_open(dir, why, sizeof why)};
    assert_non_null(f.s);
    assert_int_equal(read_int(&f, "SELECT v FROM t"), 42); /* what was acknowledged is there */
    am_store_close(f.s);
    am_sys_rmtree(AT_FDCWD, dir);
    close(ready[0]);
}

static int insert_then_fail(struct am_db *db, void *arg)
{
    (void)arg;
    assert_int_equal(am_db_exec(db, "INSERT INTO t VALUES (?1)", "i", (int64_t)7), 0);
    return -AM_E_PRECONDITION_FAILED;
}

static void failing_command_undoes_itself_only(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(write_sql(f, TABLE), 0);
    assert_int_equal(am_store_write(f->s, insert_then_fail, NULL), -AM_E_PRECONDITION_FAILED);
    assert_int_equal(read_int(f, "SELECT count(*) FROM t"), 0);
    assert_int_equal(write_sql(f, "INSERT INTO t VALUES (1)"), 0);
    assert_int_equal(write_sql(f, "INSERT INTO t VALUES (1)"), -AM_E_CONFLICT);
    assert_int_equal(read_int(f, "SELECT count(*) FROM t"), 1);
}

struct job {
    struct fixture *f;
    pthread_t thread;
    int n, base, good, full;
};

static int insert_number(struct am_db *db, void *arg)
{
    int64_t v = *(int *)arg;
    int rc = am_db_exec(db, "INSERT INTO t VALUES (?1)", "i", v);
    return rc < 0 ? rc : v % 10 == 3 ? -AM_E_CANCELLED : 0; /* every tenth fails after it wrote */
}

static void *insert_many(void *arg)
{
    struct job *j = arg;
    for (int i = 0; i < j->n; i++) {
        int v = j->base + i;
        int rc = am_store_write(j->f->s, insert_number, &v);
        j->good += rc == 0;
        /* a writer sees its own row as soon as it has the answer */
        if (rc == 0 && am_db_exec(am_store_read(j->f->s), "SELECT 1 FROM t WHERE v = ?1", "i", (int64_t)v) < 0)
            j->good = -1000000;
    }
    return NULL;
}

static void sixteen_threads_write_together(void **state)
{
    enum { THREADS = 16 };
    struct fixture *f = *state;
    const char *per = getenv("AMEND_TEST_COMMITS");
    int n = per ? (int)strtol(per, NULL, 10) : 200, good = 0;
    struct job j[THREADS];
    struct timespec a, b;
    assert_int_equal(write_sql(f, TABLE), 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < THREADS; i++) {
        j[i] = (struct job){.f = f, .n = n, .base = i * n};
        assert_int_equal(pthread_create(&j[i].thread, NULL, insert_many, &j[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(j[i].thread, NULL);
        good += j[i].good;
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    print_message("%d commands in %.3f s: %.0f/s\n", THREADS * n, s, THREADS * n / s);
    assert_int_equal(good, THREADS * n - THREADS * n / 10);
    assert_int_equal(read_int(f, "SELECT count(*) FROM t"), good);
    assert_int_equal(read_int(f, "SELECT count(*) FROM t WHERE v % 10 = 3"), 0);
}

static sem_t entered, gate;
static atomic_int refused;

static int wait_at_gate(struct am_db *db, void *arg)
{
    (void)db;
    (void)arg;
    sem_post(&entered);
    sem_wait(&gate);
    return 0;
}

static void *block_writer(void *arg)
{
    struct job *j = arg;
    j->good = am_store_write(j->f->s, wait_at_gate, NULL);
    return NULL;
}

static void *one_check(void *arg)
{
    struct job *j = arg;
    int rc = am_store_check(j->f->s);
    j->good = rc == 0;
    j->full = rc == -AM_E_QUEUE_FULL;
    atomic_fetch_add(&refused, j->full);
    return NULL;
}

static void queue_has_a_ceiling(void **state)
{
    enum { N = 1034 };
    struct fixture *f = *state;
    struct job blocker = {.f = f}, *j = calloc(N, sizeof *j);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    sem_init(&entered, 0, 0);
    sem_init(&gate, 0, 0);
    pthread_create(&blocker.thread, NULL, block_writer, &blocker);
    sem_wait(&entered);
    for (int i = 0; i < N; i++) {
        j[i].f = f;
        assert_int_equal(pthread_create(&j[i].thread, &small, one_check, &j[i]), 0);
    }
    int full = 0, good = 0;
    for (int i = 0; i < 10000 && atomic_load(&refused) < N - 1024; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    sem_post(&gate);
    for (int i = 0; i < N; i++) {
        pthread_join(j[i].thread, NULL);
        full += j[i].full;
        good += j[i].good;
    }
    pthread_join(blocker.thread, NULL);
    pthread_attr_destroy(&small);
    free(j);
    assert_int_equal(blocker.good, 0);
    assert_int_equal(good, 1024);
    assert_int_equal(full, N - 1024);
}

static int write_inside(struct am_db *db, void *arg)
{
    (void)db;
    return am_store_check(arg);
}

static void command_inside_a_command_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(am_store_write(f->s, write_inside, f->s), -AM_E_INTERNAL);
    assert_int_equal(am_store_check(f->s), 0);
}

static void readers_cannot_write(void **state)
{
    struct fixture *f = *state;
    assert_true(am_db_script(am_store_read(f->s), "CREATE TABLE x (a)") < 0);
    assert_ptr_equal(am_store_read(f->s), am_store_read(f->s));
}

static void read_without_end_is_ended(void **state)
{
    struct fixture *f = *state;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int rc = am_db_exec(am_store_read(f->s),
                        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c", "");
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_int_equal(rc, -AM_E_INTERNAL);
    assert_in_range(b.tv_sec - a.tv_sec, 1, 4);
    assert_int_equal(read_int(f, "SELECT 1"), 1); /* the connection is as good as before */
}

static off_t log_size(struct fixture *f)
{
    struct stat st;
    return am_sys_stat(am_store_dirfd(f->s), "amendd.db-wal", &st) == 0 ? st.st_size : -1;
}

static void log_is_kept_short(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(write_sql(f, "CREATE TABLE big (b BLOB)"), 0);
    for (int i = 0; i < 30; i++) /* 30 x 250 pages: without checkpoints 7,500 frames */
        assert_int_equal(write_sql(f, "INSERT INTO big VALUES (zeroblob(1000000))"), 0);
    assert_true(log_size(f) < 2500 * 4120);
    assert_true(log_size(f) > 0);
    for (int i = 0; i < 40 && log_size(f) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_int_equal(log_size(f), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM big"), 30);
}

static void same_walk_may_nest(void **state)
{
    struct fixture *f = *state;
    struct am_db *db = am_store_read(f->s);
    const char *sql = "SELECT column1 FROM (VALUES (1), (2), (3))";
    int pairs = 0;
    AM_STMT outer = am_db_bind(db, sql, "");
    while (am_db_row(outer) > 0) {
        AM_STMT inner = am_db_bind(db, sql, "");
        while (am_db_row(inner) > 0)
            pairs++;
    }
    assert_int_equal(pairs, 9);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_holder_does_not_block),
        cmocka_unit_test(missing_parent_is_a_clear_error),
        T(folder_has_its_contents),
        T(second_store_is_refused_with_pid),
        T(failing_command_undoes_itself_only),
        T(sixteen_threads_write_together),
        T(queue_has_a_ceiling),
        T(command_inside_a_command_is_refused),
        T(readers_cannot_write),
        T(read_without_end_is_ended),
        T(log_is_kept_short),
        T(same_walk_may_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
