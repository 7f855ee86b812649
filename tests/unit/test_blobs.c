/* test_blobs.c - publication: checks, the order of renames and syncs, and what each failing call leaves behind. */
#include "tests/unit/store_fixture.h"

#include "storage/blobs.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA(c) c "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ---- a recorder in front of the real calls; `fail_at` makes the n-th recorded call fail with EIO ---- */
static char trace[2048];
static int calls, fail_at;

static int record(const char *what, const char *name)
{
    size_t n = strlen(trace);
    snprintf(trace + n, sizeof trace - n, "%s%s%s ", what, *name ? ":" : "", name);
    if (++calls != fail_at)
        return 0;
    errno = EIO;
    return -1;
}

static int rec_fsync(int fd)
{
    char link[64], target[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    const char *base = n > 0 ? strrchr(target, '/') : NULL;
    return record("fsync", base ? base + 1 : "?") < 0 ? -1 : am_sys_real.fsync(fd);
}

static int rec_rename(int a, const char *from, int b, const char *to)
{
    return record("rename", from) < 0 ? -1 : am_sys_real.renameat(a, from, b, to);
}

static int rec_unlink(int fd, const char *path, int flags)
{
    return record("unlink", path) < 0 ? -1 : am_sys_real.unlinkat(fd, path, flags);
}

static int rec_mkdir(int fd, const char *path, mode_t mode)
{
    return record("mkdir", path) < 0 ? -1 : am_sys_real.mkdirat(fd, path, mode);
}

static void start_recording(int fail)
{
    static struct am_sys_ops ops;
    ops = am_sys_real;
    ops.fsync = rec_fsync;
    ops.renameat = rec_rename;
    ops.unlinkat = rec_unlink;
    ops.mkdirat = rec_mkdir;
    trace[0] = '\0';
    calls = 0;
    fail_at = fail;
    am_sys_swap(&ops);
}

static void stage(int dir, const char *name, const char *text)
{
    int fd = am_sys_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0);
    assert_int_equal(am_sys_write(fd, text, strlen(text)), 0);
    am_sys_close(fd);
}

static bool exists(int dir, const char *name)
{
    struct stat st;
    return am_sys_stat(dir, name, &st) == 0;
}

static void order_of_calls(void **state)
{
    struct fixture *f = *state;
    char why[256];
    int dir = am_staging_make(f->s, "job_1.1");
    assert_true(dir >= 0);
    stage(dir, "one", "1");
    stage(dir, "two", "22");
    stage(dir, "three", "333");
    struct am_blob_move m[] = {
        {"one", SHA("aa"), 1, false, true}, {"two", SHA("bb"), 2, false, true}, {"three", SHA("ab"), 3, false, true}};
    start_recording(0);
    int rc = am_blobs_publish(f->s, dir, m, 3, why, sizeof why);
    am_sys_swap(NULL);
    assert_int_equal(rc, 0);
    assert_string_equal(
        trace, "mkdir:aa rename:one mkdir:bb rename:two mkdir:ab rename:three fsync:aa fsync:ab fsync:bb fsync:blobs ");
    assert_false(m[0].was_there || m[1].was_there || m[2].was_there);
    int fd = am_blob_open(f->s, SHA("bb"));
    assert_true(fd >= 0);
    struct stat st;
    char text[3] = "";
    assert_int_equal(am_sys_pread(fd, text, 2, 0), 0);
    assert_string_equal(text, "22");
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0440);
    am_sys_close(fd);
    /* again: the bytes are there, the staged ones go away, and the folder is synced all the same */
    stage(dir, "again", "22");
    struct am_blob_move again = {"again", SHA("bb"), 2, false, false};
    start_recording(0);
    rc = am_blobs_publish(f->s, dir, &again, 1, why, sizeof why);
    am_sys_swap(NULL);
    assert_int_equal(rc, 0);
    assert_true(again.was_there);
    assert_string_equal(trace, "unlink:again fsync:bb ");
    assert_false(exists(dir, "again"));
    am_sys_close(dir);
}

static void every_failure_is_an_error(void **state)
{
    struct fixture *f = *state;
    for (int fail = 1; fail <= 8;
         fail++) { /* mkdir rename mkdir rename fsync fsync fsync: 7 calls, the 8th never comes */
        char why[256] = "", name[32];
        snprintf(name, sizeof name, "job_%d.1", fail);
        am_sys_rmtree(am_store_dirfd(f->s), "blobs/aa");
        am_sys_rmtree(am_store_dirfd(f->s), "blobs/bb");
        am_store_close(f->s); /* a store that knows of no synced folder */
        f->s = am_store_open(f->dir, why, sizeof why);
        int dir = am_staging_make(f->s, name);
        stage(dir, "one", "1");
        stage(dir, "two", "22");
        struct am_blob_move m[] = {{"one", SHA("aa"), 1, false, false}, {"two", SHA("bb"), 2, false, false}};
        start_recording(fail);
        int rc = am_blobs_publish(f->s, dir, m, 2, why, sizeof why);
        am_sys_swap(NULL);
        if (fail == 8) {
            assert_int_equal(rc, 0);
        } else {
            assert_true(rc < 0);
            assert_non_null(strstr(why, "Input/output error"));
            /* each file is whole in exactly one place: a second try brings the rest */
            struct am_blob_move rest[2];
            size_t n = 0;
            for (size_t i = 0; i < 2; i++) {
                int fd = am_blob_open(f->s, m[i].sha256);
                assert_int_not_equal(fd >= 0, exists(dir, m[i].staged));
                if (fd < 0)
                    rest[n++] = m[i];
                am_sys_close(fd);
            }
            assert_int_equal(am_blobs_publish(f->s, dir, rest, n, why, sizeof why), 0);
        }
        assert_int_equal(calls, fail < 8 ? fail : 7);
        am_sys_close(dir);
    }
}

static void wrong_files_move_nothing(void **state)
{
    struct fixture *f = *state;
    char why[256];
    int dir = am_staging_make(f->s, "job_1.1");
    stage(dir, "good", "1");
    stage(dir, "short", "1");
    assert_int_equal(symlinkat("good", dir, "link"), 0);
    assert_int_equal(mkdirat(dir, "folder", 0700), 0);
    const struct {
        struct am_blob_move m;
        const char *says;
    } bad[] = {
        {{"short", SHA("bb"), 2, false, false}, "has 1 bytes; its worker said 2"},
        {{"link", SHA("bb"), 4, false, false}, "link is not a regular file"},
        {{"folder", SHA("bb"), 4096, false, false}, "folder is not a regular file"},
        {{"none", SHA("bb"), 1, false, false}, "none: No such file"},
        {{"../LOCK", SHA("bb"), 256, false, false}, "not a plain name"},
        {{"short", "BB", 1, false, false}, "no SHA-256"},
        {{"short", SHA("BB"), 1, false, false}, "no SHA-256"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct am_blob_move m[] = {{"good", SHA("aa"), 1, false, false}, bad[i].m};
        assert_int_equal(am_blobs_publish(f->s, dir, m, 2, why, sizeof why), -AM_E_PUBLISH);
        assert_non_null(strstr(why, bad[i].says));
        assert_true(exists(dir, "good")); /* all are checked before one moves */
    }
    assert_true(am_blob_open(f->s, SHA("aa")) < 0);
    assert_true(am_blob_open(f->s, "../../LOCK") < 0);
    am_sys_close(dir);
}

static void damaged_blob_is_told(void **state)
{
    struct fixture *f = *state;
    char why[256];
    int dir = am_staging_make(f->s, "job_1.1");
    stage(dir, "one", "1");
    stage(dir, "two", "22");
    struct am_blob_move one = {"one", SHA("aa"), 1, false, false}, two = {"two", SHA("aa"), 2, false, false};
    assert_int_equal(am_blobs_publish(f->s, dir, &one, 1, why, sizeof why), 0);
    assert_int_equal(am_blobs_publish(f->s, dir, &two, 1, why, sizeof why), -AM_E_STORE_DAMAGED);
    assert_non_null(strstr(why, "1 bytes instead of 2"));
    am_sys_close(dir);
}

static void staging_folders(void **state)
{
    struct fixture *f = *state;
    int dir = am_staging_make(f->s, "job_1.1");
    stage(dir, "left", "1");
    am_sys_close(dir);
    dir = am_staging_make(f->s, "job_1.1");
    assert_false(exists(dir, "left"));
    stage(dir, "left", "1");
    am_sys_close(dir);
    am_sys_close(am_staging_make(f->s, "job_2.1"));
    assert_true(am_staging_make(f->s, "../x") < 0);
    assert_true(am_staging_drop(f->s, "..") < 0);
    assert_int_equal(am_staging_drop(f->s, "job_2.1"), 0);
    assert_int_equal(am_staging_drop(f->s, "job_2.1"), 0);
    assert_true(exists(am_store_staging(f->s), "job_1.1"));
    assert_int_equal(am_staging_clear(f->s), 0);
    assert_int_equal(am_staging_clear(f->s), 0);
    assert_false(exists(am_store_staging(f->s), "job_1.1"));
    assert_true(exists(am_store_dirfd(f->s), "staging"));
}

/* Marked as damaged: the same name is no reason to throw the good bytes away, nor is another length. */
static void a_broken_blob_is_replaced(void **state)
{
    struct fixture *f = *state;
    static const char *const before[] = {"X", "longer"};
    for (size_t i = 0; i < 2; i++) {
        char why[256], name[16], text[2] = "";
        snprintf(name, sizeof name, "job.%zu", i);
        int dir = am_staging_make(f->s, name);
        stage(dir, "bad", before[i]);
        struct am_blob_move bad = {
            .staged = "bad", .sha256 = SHA("cc"), .bytes = (int64_t)strlen(before[i]), .broken = true};
        assert_int_equal(am_blobs_publish(f->s, dir, &bad, 1, why, sizeof why), 0);
        stage(dir, "good", "g");
        struct am_blob_move good = {.staged = "good", .sha256 = SHA("cc"), .bytes = 1, .broken = true};
        assert_int_equal(am_blobs_publish(f->s, dir, &good, 1, why, sizeof why), 0);
        assert_true(good.was_there);
        int fd = am_blob_open(f->s, SHA("cc"));
        assert_int_equal(am_sys_pread(fd, text, 1, 0), 0);
        assert_string_equal(text, "g");
        am_sys_close(fd);
        am_blobs_unpin(f->s, dir);
        am_sys_close(dir);
    }
}

/* A blob with a second name may be changed through it, as after a move that a crash cut off: it is not relied on. */
static void a_blob_with_a_second_name_is_replaced(void **state)
{
    struct fixture *f = *state;
    char why[256], text[2] = "";
    int dir = am_staging_make(f->s, "job_4.1");
    assert_true(dir >= 0);
    stage(dir, "first", "x");
    struct am_blob_move m = {.staged = "first", .sha256 = SHA("dd"), .bytes = 1};
    int outside = am_sys_open(dir, "first", O_RDWR, 0);
    assert_int_equal(am_sys_link(outside, dir, "second-name"), 0);
    assert_int_equal(am_blobs_publish(f->s, dir, &m, 1, why, sizeof why), 0);
    assert_int_equal(am_sys_pwrite(outside, "y", 1, 0), 0);
    stage(dir, "again", "x");
    struct am_blob_move again = {.staged = "again", .sha256 = SHA("dd"), .bytes = 1};
    assert_int_equal(am_blobs_publish(f->s, dir, &again, 1, why, sizeof why), 0);
    assert_true(again.was_there);
    assert_false(exists(dir, "again"));
    int fd = am_blob_open(f->s, SHA("dd"));
    assert_int_equal(am_sys_pread(fd, text, 1, 0), 0);
    assert_string_equal(text, "x");
    am_sys_close(fd);
    am_sys_close(outside);
    am_blobs_unpin(f->s, dir);
    am_sys_close(dir);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(order_of_calls),
        T(every_failure_is_an_error),
        T(wrong_files_move_nothing),
        T(damaged_blob_is_told),
        T(a_broken_blob_is_replaced),
        T(staging_folders),
        T(a_blob_with_a_second_name_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
