/* test_backup.c - online copies while others write, what a target may be, offline copies, and restore with its
 * refusals. */
#include "tests/unit/store_fixture.h"

#include "storage/backup.h"
#include "storage/blobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct am_work quiet;

static void insert_jobs(struct fixture *f, const char *prefix, int n)
{
    for (int i = 0; i < n; i++) {
        char sql[400];
        snprintf(sql, sizeof sql,
                 "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved, plan, created_at)"
                 " VALUES ('%s%d', 'merge', 'linear', 'queued', 'ci', '{}', zeroblob(32), '{}', json_quote(hex("
                 "randomblob(1500))), 1)",
                 prefix, i);
        assert_int_equal(write_sql(f, sql), 0);
    }
}

static int64_t ask_file(const char *path, const char *sql)
{
    char why[256];
    int64_t v = -1;
    struct am_db *db = am_db_open(path, false, why, sizeof why);
    assert_non_null(db);
    assert_true(am_db_int(db, &v, sql, "") >= 0);
    am_db_close(db);
    return v;
}

static void target(struct fixture *f, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", f->dir, name);
}

struct load {
    struct fixture *f;
    atomic_bool stop;
    atomic_int acknowledged;
};

static void *write_on(void *arg)
{
    struct load *l = arg;
    while (!atomic_load(&l->stop)) {

        char sql[300];
        int n = atomic_load(&l->acknowledged);
        snprintf(sql, sizeof sql,
                 "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved, plan, created_at)"
                 " VALUES ('during%d', 'merge', 'linear', 'queued', 'ci', '{}', zeroblob(32), '{}', '{}', 1)",
                 n);
        assert_int_equal(write_sql(l->f, sql), 0);
        atomic_store(&l->acknowledged, n + 1);
    }
    return NULL;
}

struct watch {
    struct load *load;
    int at_last_step, steps;
};

static void on_step(void *arg, const struct am_work_step *s)
{
    struct watch *w = arg;
    w->steps++;
    assert_string_equal(s->phase, "copy");
    if (s->done < s->total)
        w->at_last_step = atomic_load(&w->load->acknowledged);
}

/* Several steps of 256 pages with commits between them: what was acknowledged before the last one is in the copy. */
static void online_under_load(void **state)
{
    struct fixture *f = *state;
    struct load l = {.f = f};
    struct watch w = {.load = &l};
    struct am_work work = {.progress = on_step, .arg = &w};
    struct am_backed_up b = {0};
    pthread_t writer;
    char to[160], why[512], sql[100];
    insert_jobs(f, "before", 1500);
    target(f, "copy.db", to);
    assert_int_equal(pthread_create(&writer, NULL, write_on, &l), 0);
    while (atomic_load(&l.acknowledged) < 5)
        usleep(1000);
    assert_int_equal(am_backup(f->s, to, false, &work, &b, why, sizeof why), 0);
    atomic_store(&l.stop, true);
    pthread_join(writer, NULL);
    assert_true(w.steps >= 3);
    assert_true(w.at_last_step > 5);
    assert_true(b.at > 0);
    assert_int_equal(ask_file(to, "SELECT count(*) FROM job WHERE uid LIKE 'before%'"), 1500);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM job WHERE uid LIKE 'during%%'");
    assert_true(ask_file(to, sql) >= w.at_last_step);
    assert_int_equal(ask_file(to, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    struct stat st;
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_size, b.bytes);
    assert_int_equal(st.st_mode & 0777, 0640);
    char part[200];
    snprintf(part, sizeof part, "%s.part", to);
    assert_int_not_equal(stat(part, &st), 0);
    snprintf(part, sizeof part, "%s-wal", to);
    assert_int_not_equal(stat(part, &st), 0); /* a file for itself */
}

static bool stop_at_once(void *arg)
{
    (void)arg;
    return true;
}

static void stopped_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct am_work work = {.stop = stop_at_once};
    struct am_backed_up b = {0};
    struct stat st;
    char to[160], part[200], why[512];
    target(f, "copy.db", to);
    snprintf(part, sizeof part, "%s.part", to);
    assert_int_equal(am_backup(f->s, to, false, &work, &b, why, sizeof why), -AM_E_CANCELLED);
    assert_int_not_equal(stat(to, &st), 0);
    assert_int_not_equal(stat(part, &st), 0);
    insert_jobs(f, "after", 1); /* the writer is free again */
}

static void refused_targets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        int rc;
        const char *word;
    } table[] = {
        {"x.db", -AM_E_PATH_NOT_ALLOWED, "absolute"},           {"/", -AM_E_PATH_NOT_ALLOWED, "absolute"},
        {"/no/such/folder/x.db", -AM_E_NOT_FOUND, "no folder"}, {"@/blobs/x.db", -AM_E_PATH_NOT_ALLOWED, "store"},
        {"@/logs/x.db", -AM_E_PATH_NOT_ALLOWED, "store"},       {"@/amendd.db", -AM_E_CONFLICT, "exists"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char path[200], why[512] = "";
        struct am_backed_up b = {0};
        if (table[i].name[0] == '@')
            snprintf(path, sizeof path, "%s%s", f->dir, table[i].name + 1);
        else
            snprintf(path, sizeof path, "%s", table[i].name);
        assert_int_equal(am_backup(f->s, path, false, &quiet, &b, why, sizeof why), table[i].rc);
        assert_non_null(strstr(why, table[i].word));
    }
}

/* The attempt before ended between the rename and its row. */
static void again_takes_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct am_backed_up first = {0}, again = {0};
    char to[160], why[512];
    target(f, "copy.db", to);
    assert_int_equal(am_backup(f->s, to, false, &quiet, &first, why, sizeof why), 0);
    assert_int_equal(am_backup(f->s, to, true, &quiet, &again, why, sizeof why), 0);
    assert_int_equal(first.bytes, again.bytes);
    FILE *other = fopen(to, "w");
    fputs("not a database", other);
    fclose(other);
    assert_int_equal(am_backup(f->s, to, true, &quiet, &again, why, sizeof why), -AM_E_CONFLICT);
}

/* ---- offline and restore ---- */

static void offline_needs_the_lock(void **state)
{
    struct fixture *f = *state;
    struct am_backed_up b = {0};
    char to[160], why[512];
    bool busy = false;
    insert_jobs(f, "job", 3);
    target(f, "copy.db", to);
    assert_true(am_backup_offline(f->dir, to, &b, &busy, why, sizeof why) < 0);
    assert_true(busy);
    assert_non_null(strstr(why, "in use by amendd with pid"));
    am_store_close(f->s);
    assert_int_equal(am_backup_offline(f->dir, to, &b, &busy, why, sizeof why), 0);
    assert_false(busy);
    assert_int_equal(ask_file(to, "SELECT count(*) FROM job"), 3);
    f->s = am_store_open(f->dir, why, sizeof why);
    assert_non_null(f->s);
}

static void put_blob(struct fixture *f, const char *sha, int64_t bytes, bool file)
{
    char sql[500], path[200];
    snprintf(
        sql, sizeof sql,
        "INSERT INTO blob (sha256, bytes, created_at) VALUES (x'%s', %lld, 1);"
        "INSERT INTO layout (bytes, sha256) VALUES (%lld, x'%s');"
        "INSERT INTO span (layout, seq, at, blob, offset, bytes) VALUES (last_insert_rowid(), 0, 0, x'%s', 0, %lld)",
        sha, (long long)bytes, (long long)bytes, sha, sha, (long long)bytes);
    assert_int_equal(write_sql(f, sql), 0);
    if (!file)
        return;
    snprintf(path, sizeof path, "%s/blobs/%.2s", f->dir, sha);
    mkdir(path, 0750);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", f->dir, sha, sha);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (int64_t i = 0; i < bytes; i++)
        fputc('x', out);
    fclose(out);
}

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void count_missing(void *ctx, const char *sha256, int64_t bytes)
{
    assert_string_equal(sha256, SHA_B);
    assert_int_equal(bytes, 7);
    ++*(int *)ctx;
}

static void reopen(struct fixture *f)
{
    char why[512];
    f->s = am_store_open(f->dir, why, sizeof why);
    if (!f->s)
        print_error("%s\n", why);
    assert_non_null(f->s);
}

static void restore_brings_it_back(void **state)
{
    struct fixture *f = *state;
    struct am_backed_up b = {0};
    struct am_restored r = {0};
    char to[160], old[160], why[1024];
    int missing = 0;
    target(f, "copy.db", to);
    target(f, "amendd.db.before-restore", old);
    put_blob(f, SHA_A, 5, true);
    insert_jobs(f, "good", 4);
    assert_int_equal(am_backup(f->s, to, false, &quiet, &b, why, sizeof why), 0);
    insert_jobs(f, "later", 2);
    /* not under a running daemon */
    assert_true(am_restore(f->dir, to, false, count_missing, &missing, &r, why, sizeof why) < 0);
    assert_non_null(strstr(why, "in use by amendd with pid"));
    am_store_close(f->s);
    assert_int_equal(am_restore(f->dir, to, false, count_missing, &missing, &r, why, sizeof why), 0);
    assert_int_equal(r.jobs, 4);
    assert_int_equal(r.blobs, 1);
    assert_true(r.kept);
    assert_int_equal(ask_file(old, "SELECT count(*) FROM job"), 6);
    reopen(f);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job"), 4);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job WHERE uid LIKE 'later%'"), 0);
}

static void restore_wants_its_blobs(void **state)
{
    struct fixture *f = *state;
    struct am_backed_up b = {0};
    struct am_restored r = {0};
    char to[160], why[1024];
    int missing = 0;
    target(f, "copy.db", to);
    put_blob(f, SHA_A, 5, true);
    put_blob(f, SHA_B, 7, false);
    assert_int_equal(am_backup(f->s, to, false, &quiet, &b, why, sizeof why), 0);
    insert_jobs(f, "later", 2);
    am_store_close(f->s);
    assert_true(am_restore(f->dir, to, false, count_missing, &missing, &r, why, sizeof why) < 0);
    assert_int_equal(missing, 1);
    assert_non_null(strstr(why, "1 of the 2 blobs"));
    reopen(f);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job"), 2); /* nothing was changed */
    am_store_close(f->s);
    assert_int_equal(am_restore(f->dir, to, true, count_missing, &missing, &r, why, sizeof why), 0);
    assert_int_equal(r.missing, 1);
    reopen(f);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job"), 0);
}

static void restore_refuses(struct fixture *f, const char *file, const char *word)
{
    struct am_restored r = {0};
    struct stat st;
    char why[1024], left[200];
    int missing = 0;
    am_store_close(f->s);
    assert_true(am_restore(f->dir, file, true, count_missing, &missing, &r, why, sizeof why) < 0);
    if (!strstr(why, word))
        print_error("%s\n", why);
    assert_non_null(strstr(why, word));
    snprintf(left, sizeof left, "%s/amendd.db.restore", f->dir);
    assert_int_not_equal(stat(left, &st), 0);
    reopen(f);
    assert_int_equal(read_int(f, "SELECT count(*) FROM job"), 1);
}

static void change_file(const char *path, const char *sql)
{
    char why[256];
    struct am_db *db = am_db_open(path, true, why, sizeof why);
    assert_non_null(db);
    assert_int_equal(am_db_script(db, sql), 0);
    am_db_close(db);
}

static void restore_refuses_what_is_no_backup(void **state)
{
    struct fixture *f = *state;
    struct am_backed_up b = {0};
    char to[160], wal[200], why[512];
    target(f, "copy.db", to);
    insert_jobs(f, "job", 1);
    restore_refuses(f, "/no/such/file", "cannot read");
    assert_int_equal(am_backup(f->s, to, false, &quiet, &b, why, sizeof why), 0);
    change_file(to, "PRAGMA user_version = 99");
    restore_refuses(f, to, "Use a newer amendd");
    change_file(to, "PRAGMA user_version = 1; PRAGMA application_id = 7");
    restore_refuses(f, to, "not a database of amend");
    FILE *out = fopen(to, "r+");
    fseek(out, 4096 * 3, SEEK_SET);
    for (int i = 0; i < 4096 * 4; i++)
        fputc(0x5a, out);
    fclose(out);
    restore_refuses(f, to, "damaged");
    out = fopen(to, "w");
    fputs("words", out);
    fclose(out);
    restore_refuses(f, to, "cannot be read as a database");
    snprintf(wal, sizeof wal, "%s-wal", to);
    out = fopen(wal, "w");
    fputs("log", out);
    fclose(out);
    restore_refuses(f, to, "in use, not a backup");
}

/* ---- the order of calls ---- */

static char trace[1024];

static int rec_fsync(int fd)
{
    struct stat st;
    size_t n = strlen(trace);
    fstat(fd, &st);
    snprintf(trace + n, sizeof trace - n, "%s ", S_ISDIR(st.st_mode) ? "sync-folder" : "sync-file");
    return am_sys_real.fsync(fd);
}

static int rec_rename(int a, const char *from, int b, const char *to)
{
    size_t n = strlen(trace);
    snprintf(trace + n, sizeof trace - n, "rename ");
    return am_sys_real.renameat(a, from, b, to);
}

static void fsyncs_before_rename(void **state)
{
    struct fixture *f = *state;
    static struct am_sys_ops ops;
    struct am_backed_up b = {0};
    struct am_restored r = {0};
    char to[160], why[512];
    int missing = 0;
    target(f, "copy.db", to);
    ops = am_sys_real;
    ops.fsync = rec_fsync;
    ops.renameat = rec_rename;
    trace[0] = 0;
    am_sys_swap(&ops);
    int rc = am_backup(f->s, to, false, &quiet, &b, why, sizeof why);
    am_sys_swap(NULL);
    assert_int_equal(rc, 0);
    assert_string_equal(trace, "sync-file rename sync-folder ");
    am_store_close(f->s);
    trace[0] = 0;
    am_sys_swap(&ops);
    rc = am_restore(f->dir, to, false, count_missing, &missing, &r, why, sizeof why);
    am_sys_swap(NULL);
    assert_int_equal(rc, 0);
    /* the copy; the old one kept, and its folder; the copy again (the check opened it), folder, swap, folder */
    assert_string_equal(trace, "sync-file sync-file sync-folder sync-file sync-folder rename sync-folder ");
    reopen(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(online_under_load),         T(stopped_leaves_nothing),  T(refused_targets),
        T(again_takes_what_is_there), T(fsyncs_before_rename),    T(offline_needs_the_lock),
        T(restore_brings_it_back),    T(restore_wants_its_blobs), T(restore_refuses_what_is_no_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
