/*
 * slow_sync.c - a library for LD_PRELOAD: every fsync and fdatasync takes SLOW_SYNC_MS longer, as on a slow disk, and
 * is counted. SLOW_SYNC_COUNT names a file of two numbers of 8 bytes: syncs of a database log (-wal), all syncs.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t *count;
static long wait_ms;

__attribute__((constructor)) static void slow_sync_begin(void)
{
    const char *path = getenv("SLOW_SYNC_COUNT"), *ms = getenv("SLOW_SYNC_MS");
    wait_ms = ms ? strtol(ms, NULL, 10) : 0;
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    count = at == MAP_FAILED ? NULL : at;
    if (fd >= 0)
        close(fd);
}

static void note(int fd)
{
    char link[40], name[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    name[n > 0 ? n : 0] = 0;
    if (count && n > 4 && strcmp(name + n - 4, "-wal") == 0)
        __atomic_add_fetch(&count[0], 1, __ATOMIC_RELAXED);
    if (count)
        __atomic_add_fetch(&count[1], 1, __ATOMIC_RELAXED);
    nanosleep(&(struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000}, NULL);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    note(fd);
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    note(fd);
    return real(fd);
}
