/*
 * sys_record.c - see sys_record.h. A table of am_sys_ops that records and injects, put in place before main() when the
 * environment asks for it. Nothing of it is in a release build.
 */
#include "core/base/sys_record.h"

#ifdef AM_RECORD

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX (1ULL << 30) /* sparse: what is not used costs nothing */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool calls;              /* calls are recorded, not only failpoints */
static char *page;              /* the mapped record; NULL: not recording */
static struct am_inject *order; /* NULL: nothing to inject */

/* ---- injection ---- */

int am_inject_next(const char *call, bool may_be_short)
{
    if (!order || !__atomic_load_n(&order->armed, __ATOMIC_ACQUIRE) || !am_streq(order->call, call))
        return 0;
    if (order->error == AM_INJECT_SHORT && !may_be_short)
        return 0;
    if (__atomic_add_fetch(&order->count, 1, __ATOMIC_ACQ_REL) != order->k)
        return 0;
    __atomic_add_fetch(&order->fired, 1, __ATOMIC_ACQ_REL);
    if (order->error == AM_INJECT_KILL)
        kill(getpid(), SIGKILL);
    return order->error;
}

/* True: the call fails with errno. */
static bool refused(const char *call)
{
    int e = am_inject_next(call, false);
    if (e <= 0)
        return false;
    errno = e;
    return true;
}

/* ---- the record ---- */

void am_record_lock(void)
{
    pthread_mutex_lock(&lock);
}

void am_record_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

uint64_t am_record_inode(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* The head of the file is its length, written last: a process that dies in between leaves no half record. */
static void put(const struct am_record_op *o)
{
    char head[160];
    struct timespec now;
    const char *name = o->name ? o->name : "", *other = o->other ? o->other : "";
    uint64_t *used = (uint64_t *)(void *)page;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(head, sizeof head, "%lld%09ld %s %llu %lld %lld %zu %zu %zu\n", (long long)now.tv_sec, now.tv_nsec,
                     o->op, (unsigned long long)o->inode, (long long)o->a, (long long)o->b, strlen(name), strlen(other),
                     o->data_n);
    const struct iovec v[] = {{head, (size_t)n},
                              {(void *)(uintptr_t)name, strlen(name)},
                              {(void *)(uintptr_t)other, strlen(other)},
                              {(void *)(uintptr_t)o->data, o->data_n}};
    uint64_t at = *used;
    for (size_t i = 0; i < 4; i++) {
        if (v[i].iov_len > RECORD_MAX - at) {
            fprintf(stderr, "AMEND_RECORD: the record is full\n");
            _exit(64);
        }
        if (v[i].iov_len)
            memcpy(page + at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    __atomic_store_n(used, at, __ATOMIC_RELEASE);
}

void am_record_put(const struct am_record_op *o)
{
    int keep = errno;
    if (calls)
        put(o);
    errno = keep;
}

void am_record_point(const char *name)
{
    am_record_lock();
    if (page)
        put(&(struct am_record_op){.op = "point", .name = name});
    am_record_unlock();
}

/* The absolute name of what `at` and `name` lead to. */
static const char *absolute(int at, const char *name, char *out, size_t cap)
{
    char link[40], dir[512];
    if (name[0] == '/' || at == AT_FDCWD) {
        snprintf(out, cap, "%s", name);
        return out;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, dir, sizeof dir - 1);
    dir[n > 0 ? n : 0] = 0;
    snprintf(out, cap, "%s%s%s", dir, am_streq(name, ".") ? "" : "/", am_streq(name, ".") ? "" : name);
    return out;
}

/* ---- the table ---- */

static int record_openat(int at, const char *path, int flags, mode_t mode)
{
    char name[1024];
    struct stat st;
    if (refused("openat"))
        return -1;
    if (!calls || !(flags & O_CREAT))
        return am_sys_real.openat(at, path, flags, mode);
    am_record_lock();
    bool was = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = am_sys_real.openat(at, path, flags, mode);
    if (fd >= 0 && !was)
        am_record_put(&(struct am_record_op){
            .op = "create", .name = absolute(at, path, name, sizeof name), .inode = am_record_inode(fd)});
    am_record_unlock();
    return fd;
}

static void put_write(int fd, ssize_t n, off_t off)
{
    if (n > 0)
        am_record_put(&(struct am_record_op){.op = "write", .inode = am_record_inode(fd), .a = off, .b = n});
}

static ssize_t record_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    int e = am_inject_next("pwrite64", true);
    if (e > 0) {
        errno = e;
        return -1;
    }
    if (e == AM_INJECT_SHORT && n > 1)
        n /= 2;
    if (!calls)
        return am_sys_real.pwrite(fd, buf, n, off);
    am_record_lock();
    ssize_t put = am_sys_real.pwrite(fd, buf, n, off);
    put_write(fd, put, off);
    am_record_unlock();
    return put;
}

static ssize_t record_write(int fd, const void *buf, size_t n)
{
    int e = am_inject_next("write", true);
    if (e > 0) {
        errno = e;
        return -1;
    }
    if (e == AM_INJECT_SHORT && n > 1)
        n /= 2;
    struct stat st;
    if (!calls || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return am_sys_real.write(fd, buf, n);
    am_record_lock();
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t put = am_sys_real.write(fd, buf, n);
    put_write(fd, put, at);
    am_record_unlock();
    return put;
}

static int record_fallocate(int fd, int mode, off_t off, off_t n)
{
    if (refused("fallocate"))
        return -1;
    am_record_lock();
    int rc = am_sys_real.fallocate(fd, mode, off, n);
    if (rc == 0)
        am_record_put(&(struct am_record_op){.op = "size", .inode = am_record_inode(fd), .a = off + n});
    am_record_unlock();
    return rc;
}

static int record_fsync(int fd)
{
    char name[1024] = "";
    struct stat st;
    bool dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    bool fails = refused("fsync");
    int e = errno;
    am_record_lock();
    int rc = fails ? -1 : am_sys_real.fsync(fd);
    am_record_put(&(struct am_record_op){.op = rc == 0 ? (dir ? "syncdir" : "sync") : "syncfail",
                                         .inode = st.st_ino,
                                         .name = absolute(fd, ".", name, sizeof name)});
    am_record_unlock();
    if (fails)
        errno = e;
    return rc;
}

static int record_close(int fd)
{
    /* As Linux does: the descriptor is gone whatever close says. */
    bool fails = refused("close");
    int e = errno;
    int rc = am_sys_real.close(fd);
    if (!fails)
        return rc;
    errno = e;
    return -1;
}

/* The content goes along: it is what the file holds when every block of it reaches the disk. */
static void put_rename(const char *from, const char *to, uint64_t inode, int fd)
{
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    char *data = size > 0 ? malloc((size_t)size) : NULL;
    ssize_t got = data ? am_sys_real.pread(fd, data, (size_t)size, 0) : 0;
    am_record_put(&(struct am_record_op){
        .op = "rename", .name = from, .other = to, .inode = inode, .data = data, .data_n = got > 0 ? (size_t)got : 0});
    free(data);
}

static int record_renameat(int from_at, const char *from, int to_at, const char *to)
{
    char a[1024], b[1024];
    struct stat st = {.st_ino = 0};
    if (refused("renameat"))
        return -1;
    if (!calls)
        return am_sys_real.renameat(from_at, from, to_at, to);
    am_record_lock();
    int fd = am_sys_real.openat(from_at, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd >= 0)
        fstat(fd, &st);
    absolute(from_at, from, a, sizeof a);
    absolute(to_at, to, b, sizeof b);
    int rc = am_sys_real.renameat(from_at, from, to_at, to);
    if (rc == 0)
        put_rename(a, b, st.st_ino, S_ISREG(st.st_mode) ? fd : -1);
    if (fd >= 0)
        am_sys_real.close(fd);
    am_record_unlock();
    return rc;
}

static int record_unlinkat(int at, const char *path, int flags)
{
    char name[1024];
    if (refused("unlinkat"))
        return -1;
    am_record_lock();
    absolute(at, path, name, sizeof name);
    int rc = am_sys_real.unlinkat(at, path, flags);
    if (rc == 0)
        am_record_put(&(struct am_record_op){.op = "unlink", .name = name});
    am_record_unlock();
    return rc;
}

static int record_mkdirat(int at, const char *path, mode_t mode)
{
    char name[1024];
    if (refused("mkdirat"))
        return -1;
    am_record_lock();
    int rc = am_sys_real.mkdirat(at, path, mode);
    if (rc == 0)
        am_record_put(&(struct am_record_op){.op = "mkdir", .name = absolute(at, path, name, sizeof name)});
    am_record_unlock();
    return rc;
}

static struct am_sys_ops table;

void *am_record_map(const char *path, size_t bytes)
{
    struct stat st;
    int fd = am_sys_real.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && (st.st_size >= (off_t)bytes || ftruncate(fd, (off_t)bytes) == 0);
    void *at = good ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at == MAP_FAILED)
        fprintf(stderr, "cannot map %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        am_sys_real.close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static void map_page(const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
    page = am_record_map(path, RECORD_MAX);
    if (!page)
        _exit(64);
    *(uint64_t *)(void *)page = sizeof(uint64_t);
}

/* Before main(): nobody runs yet who could use the table. */
__attribute__((constructor(200))) static void record_begin(void)
{
    const char *folder = getenv("AMEND_RECORD"), *points = getenv("AMEND_FAILPOINT_TRACE"),
               *inject = getenv("AMEND_INJECT");
    calls = folder != NULL;
    if (folder || points)
        map_page(folder ? folder : points);
    if (inject && !(order = am_record_map(inject, sizeof *order)))
        _exit(64);
    if (!calls && !order)
        return;
    table = am_sys_real;
    table.openat = record_openat;
    table.pwrite = record_pwrite;
    table.write = record_write;
    table.fallocate = record_fallocate;
    table.fsync = record_fsync;
    table.close = record_close;
    table.renameat = record_renameat;
    table.unlinkat = record_unlinkat;
    table.mkdirat = record_mkdirat;
    am_sys_swap(&table);
}

#endif
