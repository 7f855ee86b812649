/*
 * sys.c - see sys.h: the only file of the house that calls the file system.
 */
#include "core/base/sys.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RMTREE_DEPTH 64 /* one descriptor a level; the store is three deep */

static int real_openat(int at, const char *path, int flags, mode_t mode)
{
    return openat(at, path, flags, mode);
}

const struct am_sys_ops am_sys_real = {
    .openat = real_openat,
    .pread = pread,
    .pwrite = pwrite,
    .write = write,
    .fallocate = fallocate,
    .fsync = fsync,
    .close = close,
    .renameat = renameat,
    .unlinkat = unlinkat,
    .mkdirat = mkdirat,
};

static const struct am_sys_ops *ops = &am_sys_real;

const struct am_sys_ops *am_sys_swap(const struct am_sys_ops *with)
{
    const struct am_sys_ops *was = ops;
    ops = with ? with : &am_sys_real;
    return was;
}

static int fail(void)
{
    return am_err_from_errno(errno);
}

int am_sys_open(int at, const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = ops->openat(at, path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? fail() : fd;
}

int am_sys_close(int fd)
{
    /* After EINTR the descriptor is gone on Linux: calling again could close somebody else's. */
    return ops->close(fd) < 0 && errno != EINTR ? fail() : 0;
}

void am_sys_closep(int *fd)
{
    int keep = errno;
    if (*fd >= 0)
        ops->close(*fd);
    *fd = -1;
    errno = keep;
}

int am_sys_pread(int fd, void *buf, size_t n, uint64_t off)
{
    char *p = buf;
    while (n > 0) {
        ssize_t got = ops->pread(fd, p, n, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail();
        if (got == 0) {
            errno = EIO;
            return -AM_E_STORE_DAMAGED;
        }
        p += got;
        n -= (size_t)got;
        off += (uint64_t)got;
    }
    return 0;
}

/* off NULL: where the file is. */
static int put_all(int fd, const char *p, size_t n, off_t *off)
{
    while (n > 0) {
        ssize_t put = off ? ops->pwrite(fd, p, n, *off) : ops->write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return fail();
        p += put;
        n -= (size_t)put;
        if (off)
            *off += put;
    }
    return 0;
}

int am_sys_pwrite(int fd, const void *buf, size_t n, uint64_t off)
{
    off_t at = (off_t)off;
    return put_all(fd, buf, n, &at);
}

int am_sys_write(int fd, const void *buf, size_t n)
{
    return put_all(fd, buf, n, NULL);
}

ssize_t am_sys_read(int fd, void *buf, size_t n)
{
    ssize_t got;
    do
        got = read(fd, buf, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? fail() : got;
}

int am_sys_fallocate(int fd, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    int rc;
    do
        rc = ops->fallocate(fd, 0, 0, (off_t)bytes);
    while (rc < 0 && errno == EINTR);
    return rc < 0 && errno != EOPNOTSUPP ? fail() : 0;
}

/* By way of this process: between file systems that cannot do it themselves. */
static int copy_by_hand(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t n)
{
    char part[64 << 10];
    while (n > 0) {
        size_t some = n < sizeof part ? (size_t)n : sizeof part;
        AM_TRY(am_sys_pread(from, part, some, from_off));
        AM_TRY(am_sys_pwrite(to, part, some, to_off));
        from_off += some;
        to_off += some;
        n -= some;
    }
    return 0;
}

int am_sys_copy(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t n)
{
    off_t in = (off_t)from_off, out = (off_t)to_off;
    while (n > 0) {
        ssize_t put = copy_file_range(from, &in, to, &out, (size_t)n, 0);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
            return fail();
        if (put <= 0) /* it cannot, or the end is there too early, which reading tells better */
            return copy_by_hand(from, (uint64_t)in, to, (uint64_t)out, n);
        n -= (uint64_t)put;
    }
    return 0;
}

void am_sys_behind(int fd, uint64_t off, uint64_t n)
{
    (void)sync_file_range(fd, (off64_t)off, (off64_t)n, SYNC_FILE_RANGE_WRITE);
}

int am_sys_fsync(int fd)
{
    /* Never tried again, not even after EINTR: the kernel may have marked the lost pages clean. */
    return ops->fsync(fd) < 0 ? fail() : 0;
}

int am_sys_fsync_dir(int at, const char *path)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(at, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    return am_sys_fsync(fd);
}

int am_sys_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    return ops->renameat(from_dir, from, to_dir, to) < 0 ? fail() : 0;
}

static int rename_how(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (renameat2(from_dir, from, to_dir, to, flags) == 0)
        return 0;
    if (errno == EEXIST || errno == ENOTEMPTY)
        return -AM_E_CONFLICT;
    return errno == EINVAL || errno == ENOSYS ? -AM_E_UNSUPPORTED : fail();
}

int am_sys_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
    struct stat st;
    int rc = rename_how(from_dir, from, to_dir, to, RENAME_NOREPLACE);
    if (rc != -AM_E_UNSUPPORTED)
        return rc;
    /* an old network file system: the name is looked at first, which is nearly as good */
    return fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -AM_E_CONFLICT
                                                              : rename_how(from_dir, from, to_dir, to, 0);
}

int am_sys_exchange(int a_dir, const char *a, int b_dir, const char *b)
{
    return rename_how(a_dir, a, b_dir, b, RENAME_EXCHANGE);
}

int am_sys_link(int fd, int to_dir, const char *to)
{
    char from[40]; /* the name that needs no privilege and cannot be swapped */
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, from, to_dir, to, AT_SYMLINK_FOLLOW) < 0 ? fail() : 0;
}

int am_sys_rmdir(int at, const char *path)
{
    return ops->unlinkat(at, path, AT_REMOVEDIR) < 0 ? fail() : 0;
}

int am_sys_unlink(int at, const char *path)
{
    return ops->unlinkat(at, path, 0) < 0 ? fail() : 0;
}

int am_sys_mkdir(int at, const char *path, mode_t mode)
{
    if (ops->mkdirat(at, path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return fail();
    struct stat st;
    if (fstatat(at, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
        return 0;
    errno = ENOTDIR;
    return fail();
}

int am_sys_chmod(int fd, mode_t mode)
{
    return fchmod(fd, mode) < 0 ? fail() : 0;
}

int am_sys_stat(int at, const char *path, struct stat *ret)
{
    struct stat st;
    if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail();
    *ret = st;
    return 0;
}

static int rmtree(int at, const char *path, int depth);

static void close_dir(DIR **dir)
{
    int keep = errno;
    if (*dir)
        closedir(*dir);
    errno = keep;
}

static int rm_below(int at, const char *path, int depth)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    AM_CLEANUP(close_dir) DIR *dir = fdopendir(fd);
    if (!dir)
        return fail();
    fd = -1; /* the stream owns it now */
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e)
            return errno ? fail() : 0;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            AM_TRY(rmtree(dirfd(dir), e->d_name, depth + 1));
    }
}

/* A link is removed, never followed. */
static int rmtree(int at, const char *path, int depth)
{
    if (depth > RMTREE_DEPTH) {
        errno = ELOOP;
        return fail();
    }
    if (ops->unlinkat(at, path, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return fail();
    int rc = rm_below(at, path, depth);
    if (rc < 0 && rc != -AM_E_NOT_FOUND) /* somebody else may be removing it too */
        return rc;
    return ops->unlinkat(at, path, AT_REMOVEDIR) < 0 && errno != ENOENT ? fail() : 0;
}

int am_sys_rmtree(int at, const char *path)
{
    return rmtree(at, path, 0);
}

int am_sys_free_bytes(const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs v;
    if (statvfs(path, &v) < 0)
        return fail();
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
    return 0;
}
