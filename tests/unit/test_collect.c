/* test_collect.c - what the collector removes and what it leaves, its order of calls, and its races with publications.
 */
#include "tests/unit/store_fixture.h"

#include "core/base/hash.h"
#include "storage/blobs.h"
#include "storage/collect.h"
#include "storage/store_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1000000000
#define HOUR 3600000
static const struct am_work quiet;

static void blob_path(struct fixture *f, const char *sha, char out[200])
{
    snprintf(out, 200, "%s/blobs/%.2s/%s", f->dir, sha, sha);
}

static bool on_disk(struct fixture *f, const char *sha)
{
    struct stat st;
    char path[200];
    blob_path(f, sha, path);
    return stat(path, &st) == 0;
}

static void age_file(const char *path, int64_t mtime_ms)
{
    struct timespec t[2] = {{.tv_sec = mtime_ms / 1000}, {.tv_sec = mtime_ms / 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void put_file(struct fixture *f, const char *text, int64_t mtime_ms, char sha[65])
{
    char path[200];
    am_sha256_hex(text, strlen(text), sha);
    snprintf(path, sizeof path, "%s/blobs/%.2s", f->dir, sha);
    mkdir(path, 0750);
    blob_path(f, sha, path);
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
    age_file(path, mtime_ms);
}

static void put_row(struct fixture *f, const char *sha, int64_t bytes, int64_t created)
{
    char sql[300];
    snprintf(sql, sizeof sql, "INSERT INTO blob (sha256, bytes, created_at) VALUES (x'%s', %lld, %lld)", sha,
             (long long)bytes, (long long)created);
    assert_int_equal(write_sql(f, sql), 0);
}

static void put_span(struct fixture *f, const char *sha, int64_t bytes)
{
    char sql[500];
    snprintf(sql, sizeof sql,
             "INSERT INTO layout (bytes, sha256) VALUES (%lld, x'%s'); INSERT INTO span (layout, seq, at, blob, offset,"
             " bytes) VALUES (last_insert_rowid(), 0, 0, x'%s', 0, %lld)",
             (long long)bytes, sha, sha, (long long)bytes);
    assert_int_equal(write_sql(f, sql), 0);
}

static struct am_collected collect(struct fixture *f, int64_t grace_ms)
{
    struct am_collected c = {0};
    const struct am_collect in = {.now = NOW, .grace_ms = grace_ms, .keep_logs_ms = grace_ms};
    char why[512] = "";
    int rc = am_collect(f->s, &in, &quiet, &c, why, sizeof why);
    if (rc < 0)
        print_error("%s\n", why);
    assert_int_equal(rc, 0);
    return c;
}

static void blobs_and_orphans(void **state)
{
    struct fixture *f = *state;
    char named[65], unnamed[65], young[65], orphan[65], young_orphan[65];
    put_file(f, "named", 0, named);
    put_row(f, named, 5, 0);
    put_span(f, named, 5);
    put_file(f, "unnamed", 0, unnamed);
    put_row(f, unnamed, 7, NOW - 2 * HOUR);
    put_file(f, "young", 0, young);
    put_row(f, young, 5, NOW - HOUR / 2);
    put_file(f, "orphan", NOW - 2 * HOUR, orphan);
    put_file(f, "young orphan", NOW - HOUR / 2, young_orphan);
    struct am_collected c = collect(f, HOUR);
    assert_int_equal(c.blobs, 1);
    assert_int_equal(c.blob_bytes, 7);
    assert_int_equal(c.orphans, 1);
    assert_int_equal(c.orphan_bytes, 6);
    assert_true(on_disk(f, named) && on_disk(f, young) && on_disk(f, young_orphan));
    assert_false(on_disk(f, unnamed) || on_disk(f, orphan));
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob"), 2);
    c = collect(f, 0);
    assert_int_equal(c.blobs, 1);
    assert_int_equal(c.orphans, 1);
    assert_true(on_disk(f, named));
    c = collect(f, 0);
    assert_int_equal(c.blobs + c.orphans, 0);
}

/* More rows than one transaction takes. */
static void many_batches(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 600; i++) {
        char text[32], sha[65];
        snprintf(text, sizeof text, "blob %d", i);
        put_file(f, text, 0, sha);
        put_row(f, sha, (int64_t)strlen(text), 0);
        if (i % 3 == 0)
            put_span(f, sha, (int64_t)strlen(text));
    }
    struct am_collected c = collect(f, 0);
    assert_int_equal(c.blobs, 400);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob"), 200);
}

static void files_that_are_not_ours_stay(void **state)
{
    struct fixture *f = *state;
    char path[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/blobs/ab", f->dir);
    mkdir(path, 0750);
    snprintf(path, sizeof path, "%s/blobs/ab/README", f->dir);
    fclose(fopen(path, "w"));
    age_file(path, 0);
    assert_int_equal(collect(f, 0).orphans, 0);
    assert_int_equal(stat(path, &st), 0);
}

static void make_job(struct fixture *f, const char *uid, const char *job_state, int attempt)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "INSERT INTO job (uid, type, method, state, attempt, created_by, spec, spec_sha256, resolved, plan,"
             " created_at) VALUES ('%s', 'merge', 'linear', '%s', %d, 'ci', '{}', zeroblob(32), '{}', '{}', 1)",
             uid, job_state, attempt);
    assert_int_equal(write_sql(f, sql), 0);
}

static bool there(struct fixture *f, const char *name)
{
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return stat(path, &st) == 0;
}

static void logs_and_staging(void **state)
{
    struct fixture *f = *state;
    static const char *const logs[] = {"done.1.log", "done.2.log", "run.1.log", "nobody.1.log", "notes.txt"};
    static const char *const folders[] = {"run.2", "run.1", "done.2", "nobody.1", "stray", "just.1", "just.2"};
    char path[200];
    make_job(f, "done", "succeeded", 2);
    make_job(f, "run", "running", 2);
    make_job(f, "just", "failed", 2); /* its worker may still be there */
    char sql[100];
    snprintf(sql, sizeof sql, "UPDATE job SET finished_at = %lld WHERE uid = 'just'", (long long)(NOW - HOUR / 2));
    assert_int_equal(write_sql(f, sql), 0);
    for (size_t i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "%s/staging/%s", f->dir, folders[i]);
        assert_int_equal(mkdir(path, 0750), 0);
        if (i >= 5)
            continue;
        snprintf(path, sizeof path, "%s/logs/%s", f->dir, logs[i]);
        fclose(fopen(path, "w"));
        age_file(path, i == 1 ? NOW - HOUR / 2 : NOW - 2 * HOUR);
    }
    struct am_collected c = collect(f, HOUR);
    assert_int_equal(c.logs, 2);
    assert_int_equal(c.staging, 5);
    assert_false(there(f, "logs/done.1.log") || there(f, "logs/nobody.1.log"));
    assert_true(there(f, "logs/done.2.log") && there(f, "logs/run.1.log") && there(f, "logs/notes.txt"));
    assert_true(there(f, "staging/run.2") && there(f, "staging/just.2"));
    assert_int_equal(collect(f, HOUR / 3).staging, 1);
    assert_false(there(f, "staging/just.2"));
}

/* ---- races ---- */

static int stage(struct fixture *f, const char *text, struct am_blob_move *m, char sha[65])
{
    int dir = am_staging_make(f->s, "job.1");
    int fd = am_sys_open(dir, "f0", O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_int_equal(am_sys_write(fd, text, strlen(text)), 0);
    am_sys_close(fd);
    am_sha256_hex(text, strlen(text), sha);
    *m = (struct am_blob_move){.staged = "f0", .sha256 = sha, .bytes = (int64_t)strlen(text)};
    return dir;
}

/* Moved, and the transaction not there yet: as old as it looks, the collector leaves it. */
static void a_pinned_file_stays(void **state)
{
    struct fixture *f = *state;
    struct am_blob_move m;
    char sha[65], why[256], path[200];
    int dir = stage(f, "result", &m, sha);
    assert_int_equal(am_blobs_publish(f->s, dir, &m, 1, why, sizeof why), 0);
    blob_path(f, sha, path);
    age_file(path, 0);
    assert_int_equal(collect(f, 0).orphans, 0);
    assert_true(on_disk(f, sha));
    put_row(f, sha, 6, 0);
    put_span(f, sha, 6);
    am_blobs_unpin(f->s, dir);
    assert_int_equal(collect(f, 0).orphans, 0);
    assert_true(on_disk(f, sha));
    am_sys_close(dir);
}

static void a_failed_publication_is_collected(void **state)
{
    struct fixture *f = *state;
    struct am_blob_move m;
    char sha[65], why[256], path[200];
    int dir = stage(f, "result", &m, sha);
    assert_int_equal(am_blobs_publish(f->s, dir, &m, 1, why, sizeof why), 0);
    am_blobs_unpin(f->s, dir);
    blob_path(f, sha, path);
    age_file(path, 0);
    assert_int_equal(collect(f, 0).orphans, 1);
    assert_false(on_disk(f, sha));
    am_sys_close(dir);
}

static int one_more_row(void *ctx, const char *sha256)
{
    (void)sha256;
    ++*(int *)ctx;
    return 1;
}

/* The publication committed and gave its pins back between the collector's look at the rows and its unlink. */
static void a_file_that_a_row_names_by_now_stays(void **state)
{
    struct fixture *f = *state;
    char sha[65];
    int asked = 0;
    put_file(f, "old", 0, sha);
    assert_int_equal(am_blob_remove(f->s, sha, one_more_row, &asked), 0);
    assert_int_equal(asked, 1);
    assert_true(on_disk(f, sha));
}

static int unlinks;
static struct fixture *racing;

/* As the collector is about to unlink, with the row gone: a publication of the same bytes must wait, then move its own.
 */
static int see_unlink(int at, const char *path, int flags)
{
    unlinks++;
    assert_int_equal(pthread_mutex_trylock(&((struct am_store *)racing->s)->pins.mutex), EBUSY);
    return am_sys_real.unlinkat(at, path, flags);
}

static void unlinks_under_the_mutex(void **state)
{
    struct fixture *f = *state;
    static struct am_sys_ops ops;
    char sha[65];
    put_file(f, "old", 0, sha);
    put_row(f, sha, 3, 0);
    ops = am_sys_real;
    ops.unlinkat = see_unlink;
    racing = f;
    unlinks = 0;
    am_sys_swap(&ops);
    struct am_collected c = collect(f, 0);
    am_sys_swap(NULL);
    assert_int_equal(c.blobs, 1);
    assert_int_equal(unlinks, 1);
}

struct publisher {
    struct fixture *f;
    atomic_bool stop;
    atomic_int rounds;
    atomic_bool ended;
};

static int add_row(struct am_db *db, void *arg)
{
    const char *sha = arg;
    unsigned char raw[32];
    size_t n = sizeof raw;
    for (int i = 0; i < 32; i++)
        sscanf(sha + 2 * i, "%2hhx", &raw[i]);
    AM_TRY(am_db_exec(db, "INSERT INTO blob (sha256, bytes, created_at) VALUES (?1, 6, 0) ON CONFLICT DO NOTHING", "b",
                      raw, n));
    AM_TRY(am_db_exec(db, "INSERT INTO layout (bytes, sha256) VALUES (6, ?1)", "b", raw, n));
    return am_db_exec(
        db, "INSERT INTO span (layout, seq, at, blob, offset, bytes) VALUES (last_insert_rowid(), 0, 0, ?1, 0, 6)", "b",
        raw, n);
}

/* Publishes the same bytes again and again, each time after the version before was forgotten. */
static void *publish_on(void *arg)
{
    struct publisher *p = arg;
    for (; !atomic_load(&p->stop); atomic_fetch_add(&p->rounds, 1)) {
        struct am_blob_move m;
        char sha[65], why[256];
        int dir = stage(p->f, "racing", &m, sha);
        assert_int_equal(am_blobs_publish(p->f->s, dir, &m, 1, why, sizeof why), 0);
        assert_int_equal(am_store_write(p->f->s, add_row, sha), 0);
        am_blobs_unpin(p->f->s, dir);
        am_sys_close(dir);
        if (!on_disk(p->f, sha)) { /* a row names it, so it must be there */
            atomic_store(&p->ended, true);
            return "a row names a file that was collected";
        }
        assert_int_equal(write_sql(p->f, "DELETE FROM span; DELETE FROM layout"), 0);
    }
    return NULL;
}

static void publications_against_the_collector(void **state)
{
    struct fixture *f = *state;
    struct publisher p = {.f = f};
    struct am_collected c = {0};
    const struct am_collect in = {.now = INT64_C(4000000000000), .grace_ms = 0, .keep_logs_ms = 0};
    pthread_t thread;
    void *said = NULL;
    char why[512];
    int64_t removed = 0;
    make_job(f, "job", "running", 1); /* owns the staging folder */
    assert_int_equal(pthread_create(&thread, NULL, publish_on, &p), 0);
    /* until both have met often enough; how often that is in a second depends on the machine */
    for (int i = 0; i < 100000 && (removed < 4 || atomic_load(&p.rounds) < 15) && !atomic_load(&p.ended); i++) {
        assert_int_equal(am_collect(f->s, &in, &quiet, &c, why, sizeof why), 0);
        removed += c.blobs + c.orphans;
    }
    atomic_store(&p.stop, true);
    pthread_join(thread, &said);
    if (said)
        fail_msg("%s", (char *)said);
    assert_true(p.rounds >= 15);
    assert_true(removed >= 4);
}

/* ---- order ---- */

static char trace[512];
static int rec_unlink(int at, const char *path, int flags)
{
    size_t n = strlen(trace);
    int64_t rows = read_int(racing, "SELECT count(*) FROM blob");
    snprintf(trace + n, sizeof trace - n, "unlink(rows=%lld) ", (long long)rows);
    return am_sys_real.unlinkat(at, path, flags);
}
static int rec_fsync(int fd)
{
    size_t n = strlen(trace);
    snprintf(trace + n, sizeof trace - n, "sync ");
    return am_sys_real.fsync(fd);
}

static void row_then_file_then_folder(void **state)
{
    struct fixture *f = *state;
    static struct am_sys_ops ops;
    char sha[65];
    put_file(f, "old", 0, sha);
    put_row(f, sha, 3, 0);
    ops = am_sys_real;
    ops.unlinkat = rec_unlink;
    ops.fsync = rec_fsync;
    racing = f;
    trace[0] = 0;
    am_sys_swap(&ops);
    collect(f, 0);
    am_sys_swap(NULL);
    assert_string_equal(trace, "unlink(rows=0) sync ");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(blobs_and_orphans),
        T(many_batches),
        T(files_that_are_not_ours_stay),
        T(logs_and_staging),
        T(a_pinned_file_stays),
        T(a_failed_publication_is_collected),
        T(a_file_that_a_row_names_by_now_stays),
        T(unlinks_under_the_mutex),
        T(publications_against_the_collector),
        T(row_then_file_then_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
