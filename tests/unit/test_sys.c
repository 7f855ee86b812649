/*
 * test_sys.c - the door to the file system: whole reads and writes, errors, and a table of calls that fails on purpose.
 */
#include "core/base/err.h"
#include "core/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    static char dir[] = "/tmp/am-test-sys-XXXXXX";
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    return am_sys_rmtree(AT_FDCWD, *state);
}

static int calls;

/* One byte at a time, every second call interrupted. */
static ssize_t short_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    if (calls++ % 2) {
        errno = EINTR;
        return -1;
    }
    return pwrite(fd, buf, n > 1 ? 1 : n, off);
}

static ssize_t short_pread(int fd, void *buf, size_t n, off_t off)
{
    if (calls++ % 2) {
        errno = EINTR;
        return -1;
    }
    return pread(fd, buf, n > 1 ? 1 : n, off);
}

static ssize_t full_write(int fd, const void *buf, size_t n)
{
    (void)fd, (void)buf, (void)n;
    errno = ENOSPC;
    return -1;
}

static int no_fallocate(int fd, int mode, off_t off, off_t n)
{
    (void)fd, (void)mode, (void)off, (void)n;
    errno = calls ? calls : EOPNOTSUPP;
    return -1;
}

static int bad_fsync(int fd)
{
    (void)fd;
    calls++;
    errno = EINTR;
    return -1;
}

static void test_files(void **state)
{
    int dir = am_sys_open(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
    assert_true(dir >= 0);
    assert_true(fcntl(dir, F_GETFD) & FD_CLOEXEC);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(am_sys_fallocate(fd, 8), 0);
    assert_int_equal(am_sys_pwrite(fd, "12345678", 8, 0), 0);
    char b[9] = "";
    assert_int_equal(am_sys_pread(fd, b, 8, 0), 0);
    assert_string_equal(b, "12345678");
    assert_int_equal(am_sys_pread(fd, b, 8, 1), -AM_E_STORE_DAMAGED);
    assert_int_equal(am_sys_pread(-1, b, 1, 0), -AM_E_INTERNAL);
    assert_int_equal(errno, EBADF);
    assert_int_equal(am_sys_write(fd, "AB", 2), 0);
    assert_int_equal(am_sys_read(fd, b, 8), 6);
    assert_int_equal(am_sys_read(fd, b, 8), 0);
    assert_int_equal(am_sys_fsync(fd), 0);
    assert_int_equal(am_sys_chmod(fd, 0440), 0);
    struct stat st;
    assert_int_equal(am_sys_stat(dir, "a", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0440);
    assert_int_equal(am_sys_rename(dir, "a", dir, "b"), 0);
    assert_int_equal(am_sys_stat(dir, "a", &st), -AM_E_NOT_FOUND);
    assert_int_equal(am_sys_open(dir, "a", O_RDONLY, 0), -AM_E_NOT_FOUND);
    assert_int_equal(am_sys_fsync_dir(dir, "."), 0);
    assert_int_equal(am_sys_fsync_dir(dir, "b"), -AM_E_INTERNAL);
    assert_int_equal(am_sys_unlink(dir, "b"), 0);
    assert_int_equal(am_sys_unlink(dir, "b"), -AM_E_NOT_FOUND);
    uint64_t left = 0, total = 0;
    assert_int_equal(am_sys_free_bytes(*state, &left, &total), 0);
    assert_true(total > 0 && left <= total);
    assert_int_equal(am_sys_close(dir), 0);
}

static void test_tree(void **state)
{
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
    assert_int_equal(am_sys_mkdir(dir, "t", 0700), 0);
    assert_int_equal(am_sys_mkdir(dir, "t", 0700), 0);
    assert_int_equal(am_sys_mkdir(dir, "t/u", 0700), 0);
    assert_int_equal(am_sys_close(am_sys_open(dir, "t/u/f", O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(am_sys_close(am_sys_open(dir, "outside", O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(am_sys_mkdir(dir, "outside", 0700), -AM_E_INTERNAL);
    assert_int_equal(symlinkat("../../outside", dir, "t/u/link"), 0);
    assert_int_equal(symlinkat("..", dir, "t/loop"), 0);
    assert_int_equal(am_sys_rmtree(dir, "t"), 0);
    struct stat st;
    assert_int_equal(am_sys_stat(dir, "t", &st), -AM_E_NOT_FOUND);
    assert_int_equal(am_sys_stat(dir, "outside", &st), 0); /* links are not followed */
    assert_int_equal(am_sys_rmtree(dir, "t"), 0);
}

static void test_swapped(void **state)
{
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, "s", O_RDWR | O_CREAT, 0600);
    struct am_sys_ops ops = am_sys_real;
    ops.pwrite = short_pwrite;
    ops.pread = short_pread;
    ops.write = full_write;
    ops.fallocate = no_fallocate;
    ops.fsync = bad_fsync;
    assert_ptr_equal(am_sys_swap(&ops), &am_sys_real);
    char b[6] = "";
    assert_int_equal(am_sys_pwrite(fd, "hello", 5, 0), 0);
    assert_int_equal(am_sys_pread(fd, b, 5, 0), 0);
    assert_string_equal(b, "hello");
    assert_int_equal(am_sys_write(fd, "x", 1), -AM_E_DISK);
    calls = 0;
    assert_int_equal(am_sys_fallocate(fd, 100), 0);
    calls = ENOSPC;
    assert_int_equal(am_sys_fallocate(fd, 100), -AM_E_DISK);
    calls = 0;
    assert_int_equal(am_sys_fsync(fd), -AM_E_INTERNAL);
    assert_int_equal(calls, 1); /* never a second time */
    assert_ptr_equal(am_sys_swap(NULL), &ops);
    assert_int_equal(am_sys_fsync(fd), 0);
}

/* The folder goes away between the look at it and its opening: somebody else removes it at the same moment. */
static int open_after_rmdir(int at, const char *path, int flags, mode_t mode)
{
    if (flags & O_DIRECTORY)
        am_sys_real.unlinkat(at, path, AT_REMOVEDIR);
    return am_sys_real.openat(at, path, flags, mode);
}

static void test_tree_of_two(void **state)
{
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
    struct am_sys_ops ops = am_sys_real;
    struct stat st;
    ops.openat = open_after_rmdir;
    assert_int_equal(am_sys_mkdir(dir, "both", 0700), 0);
    am_sys_swap(&ops);
    int rc = am_sys_rmtree(dir, "both");
    am_sys_swap(NULL);
    assert_int_equal(rc, 0);
    assert_int_equal(am_sys_stat(dir, "both", &st), -AM_E_NOT_FOUND);
}

static int put(int dir, const char *name, const char *text)
{
    int fd = am_sys_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(am_sys_write(fd, text, strlen(text)), 0);
    return fd;
}

static void test_names_and_copies(void **state)
{
    int dir = am_sys_open(AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
    int a = put(dir, "a", "0123456789"), b = put(dir, "b", "B");
    char got[11] = "";
    struct stat st;
    assert_int_equal(am_sys_copy(a, 2, b, 1, 5), 0);
    assert_int_equal(am_sys_pread(b, got, 6, 0), 0);
    assert_string_equal(got, "B23456");
    assert_int_equal(am_sys_copy(a, 8, b, 0, 3), -AM_E_STORE_DAMAGED); /* one byte more than there is */
    assert_int_equal(am_sys_rename_new(dir, "a", dir, "b"), -AM_E_CONFLICT);
    assert_int_equal(am_sys_rename_new(dir, "missing", dir, "c"), -AM_E_NOT_FOUND);
    assert_int_equal(am_sys_rename_new(dir, "a", dir, "c"), 0);
    assert_int_equal(am_sys_exchange(dir, "b", dir, "c"), 0);
    assert_int_equal(am_sys_stat(dir, "b", &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(am_sys_link(a, dir, "d"), 0);
    assert_int_equal(am_sys_stat(dir, "d", &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_true(am_sys_link(a, dir, "d") < 0);
    assert_int_equal(am_sys_mkdir(dir, "full", 0700), 0);
    assert_int_equal(am_sys_rename_new(dir, "d", dir, "full/d"), 0);
    assert_true(am_sys_rmdir(dir, "full") < 0);
    am_sys_close(a);
    am_sys_close(b);
    am_sys_close(dir);
}

/* Wherever a buffer begins and a tensor lies in its file, no target is a few bytes above its source. */
static void test_apart(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 4096; at += 64)
        for (unsigned off = 0; off < 4096; off++) {
            unsigned in = at + (unsigned)am_sys_apart_read(off), out = at + (unsigned)am_sys_apart_write(off);
            unsigned above = (in - off) % 4096, below = (off - out) % 4096;
            assert_true((above == 0 || above >= 32) && (below == 0 || below >= 32));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_tree),
                                       cmocka_unit_test(test_tree_of_two),
                                       cmocka_unit_test(test_swapped),
                                       cmocka_unit_test(test_names_and_copies),
                                       cmocka_unit_test(test_apart)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
