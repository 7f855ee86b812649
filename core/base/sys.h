/*
 * sys.h - the one door to the file system: every open, read, write, sync, rename and unlink of the house goes through
 * here, so that a test can put a table of its own in its place (am_sys_swap). Not a cache and not buffered. Descriptors
 * are always close-on-exec. Errors: negative am_err (am_err_from_errno); errno still holds the cause for the caller's
 * message.
 */
#ifndef AM_BASE_SYS_H
#define AM_BASE_SYS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* dirfd may be AT_FDCWD. `flags` as open(2); O_CLOEXEC is added. Returns the descriptor or a negative error. */
int am_sys_open(int dirfd, const char *path, int flags, mode_t mode);
int am_sys_close(int fd);
void am_sys_closep(int *fd); /* for AM_CLEANUP: closes when >= 0 */

int am_sys_pread(int fd, void *buf, size_t n,
                 uint64_t off); /* all n bytes or an error (end of file = -AM_E_STORE_DAMAGED) */
int am_sys_pwrite(int fd, const void *buf, size_t n, uint64_t off); /* all n bytes or an error */
int am_sys_write(int fd, const void *buf, size_t n); /* all n bytes or an error; EINTR and short writes handled */
ssize_t am_sys_read(int fd, void *buf, size_t n);    /* up to n bytes; 0 = end of file */
int am_sys_fallocate(int fd, uint64_t bytes);        /* EOPNOTSUPP is success */
/* n bytes from one file to another, shared by the file system where it can, else copied; all or an error. */
int am_sys_copy(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t n);
/* Starts writing these bytes to the disk. Promises nothing and reports nothing: a sync does both. */
void am_sys_behind(int fd, uint64_t off, uint64_t n);
int am_sys_fsync(int fd);
int am_sys_fsync_dir(int dirfd, const char *path); /* opens, fsyncs, closes */
int am_sys_rename(int from_dir, const char *from, int to_dir, const char *to);
/* The same, but what has the new name already stays: -AM_E_CONFLICT. */
int am_sys_rename_new(int from_dir, const char *from, int to_dir, const char *to);
/* Each gets the other's name, at once. -AM_E_UNSUPPORTED: this file system cannot. */
int am_sys_exchange(int a_dir, const char *a, int b_dir, const char *b);
int am_sys_link(int fd, int to_dir, const char *to); /* one more name for an open file */
int am_sys_unlink(int dirfd, const char *path);
int am_sys_rmdir(int dirfd, const char *path);              /* an empty folder */
int am_sys_mkdir(int dirfd, const char *path, mode_t mode); /* an existing directory is success */
int am_sys_chmod(int fd, mode_t mode);
int am_sys_stat(int dirfd, const char *path, struct stat *ret); /* does not follow a last symbolic link */
int am_sys_rmtree(int dirfd, const char *path); /* removes a folder and all below; a missing one is success */
int am_sys_free_bytes(const char *path, uint64_t *ret_free,
                      uint64_t *ret_total); /* what an ordinary user may still write */

/* The system calls behind the functions above; tests swap single members. */
struct am_sys_ops {
    int (*openat)(int, const char *, int, mode_t);
    ssize_t (*pread)(int, void *, size_t, off_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    ssize_t (*write)(int, const void *, size_t);
    int (*fallocate)(int, int, off_t, off_t);
    int (*fsync)(int);
    int (*close)(int);
    int (*renameat)(int, const char *, int, const char *);
    int (*unlinkat)(int, const char *, int);
    int (*mkdirat)(int, const char *, mode_t);
};
/*
 * Where in a buffer that begins at a multiple of 64, and has AM_SYS_APART bytes more, what is read from that offset of
 * a file should begin, and what is written there: some processors (AMD Zen 3 among them) copy a page four times slower
 * whose target begins less than 32 bytes above its source, modulo the size of a page.
 */
#define AM_SYS_APART 32
static inline size_t am_sys_apart_read(uint64_t off)
{
    return off % 64 > 32 ? AM_SYS_APART : 0;
}
static inline size_t am_sys_apart_write(uint64_t off)
{
    return off % 64 > 0 && off % 64 < 32 ? AM_SYS_APART : 0;
}

/* Installs `ops` (NULL: the real ones) and returns what was there. Tests only; not thread-safe. */
const struct am_sys_ops *am_sys_swap(const struct am_sys_ops *ops);
extern const struct am_sys_ops am_sys_real;

#endif
