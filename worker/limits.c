/*
 * limits.c - self-limitation (the daemon's uv_spawn cannot set limits for it).
 */
#include "worker/limits.h"

#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#define OWN_BYTES (64ULL << 20)  /* what a worker holds before it has read a tensor, and what malloc keeps back */
#define STACK_BYTES (8ULL << 20) /* of a thread */
#define OWN_THREADS 3            /* main, heartbeat, and one of libuv */
#define OOM_SCORE "800"

static volatile sig_atomic_t cancel_asked;
static int listing = -1; /* /proc/self/fd: opened while files outside staging can be */
static int status = -1;  /* /proc/self/status, too; -1: there is none here */

static void on_term(int sig)
{
    (void)sig;
    cancel_asked = 1;
}

bool am_cancelled(void)
{
    return cancel_asked != 0;
}

static int take_signals(void)
{
    struct sigaction term = {.sa_handler = on_term}, ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGTERM, &term, NULL) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0 ||
        sigaction(SIGXFSZ, &ignore, NULL) < 0)
        return -AM_E_INTERNAL;
    return 0;
}

/* The signal comes when the parent dies from now on; a parent that is gone already shows as another parent. */
static int die_with_parent(void)
{
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -AM_E_INTERNAL;
    return getppid() == parent ? 0 : -AM_E_INTERNAL;
}

static int limit(int what, uint64_t most)
{
    struct rlimit lim;
    if (getrlimit((__rlimit_resource_t)what, &lim) < 0)
        return -AM_E_INTERNAL;
    lim.rlim_max = most < lim.rlim_max ? most : lim.rlim_max; /* never above what we were given */
    lim.rlim_cur = lim.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &lim) < 0 ? -AM_E_INTERNAL : 0;
}

int am_limits_begin(void)
{
    AM_TRY(die_with_parent());
    AM_TRY(take_signals());
    AM_TRY(limit(RLIMIT_CORE, 0));
    listing = am_sys_open(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY, 0);
    if (listing < 0)
        return -AM_E_INTERNAL;
    status = am_sys_open(AT_FDCWD, "/proc/self/status", O_RDONLY, 0);
#ifdef __SSE2__
    _mm_setcsr(0x1f80); /* round to nearest, nothing flushed to zero; threads inherit it */
#endif
    return 0;
}

/* Data, not address space: stacks and what malloc only reserves are no memory yet, but stacks count in full. The shadow
 * of a sanitizer is larger than any limit. */
static int limit_memory(uint64_t planned, unsigned threads)
{
#ifdef __SANITIZE_ADDRESS__
    (void)planned, (void)threads;
    return 0;
#else
    uint64_t own = OWN_BYTES + (threads + OWN_THREADS) * STACK_BYTES, all;
    AM_TRY(limit(RLIMIT_STACK, STACK_BYTES)); /* whatever the daemon was started with */
    return __builtin_add_overflow(planned, own, &all) ? 0 : limit(RLIMIT_DATA, all);
#endif
}

int am_limits_set(const struct am_limits *l, unsigned threads)
{
    AM_TRY(limit_memory(l->memory_bytes, threads));
    AM_TRY(limit(RLIMIT_FSIZE, l->file_bytes));
    AM_TRY(limit(RLIMIT_NOFILE, l->descriptors));
    return l->cpu_seconds ? limit(RLIMIT_CPU, l->cpu_seconds) : 0;
}

uint64_t am_limits_memory(void)
{
    struct rlimit lim;
    return getrlimit(RLIMIT_DATA, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY ? lim.rlim_cur : 0;
}

/* getrusage() would tell of the process before its exec too, and that was the daemon. */
uint64_t am_limits_peak(void)
{
    char text[4096];
    ssize_t n = status >= 0 ? am_sys_read(status, text, sizeof(text) - 1) : 0;
    text[n > 0 ? n : 0] = 0;
    const char *at = strstr(text, "VmHWM:");
    unsigned long long kib = 0;
    return at && sscanf(at, "VmHWM: %llu kB", &kib) == 1 ? (uint64_t)kib << 10 : 0;
}

bool am_limits_oom_first(void)
{
    int fd = am_sys_open(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY, 0);
    bool ok = fd >= 0 && am_sys_write(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1) == 0;
    am_sys_closep(&fd);
    return ok;
}

static bool named(const int *fd, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if ((uint64_t)fd[i] == number)
            return true;
    return number <= 4;
}

int am_limits_check_fds(const int *fd, size_t n, int *ret_fd)
{
    int rc = 0, own = listing;
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    if (!dir)
        return -AM_E_INTERNAL;
    listing = -1;
    for (struct dirent *e = readdir(dir); e && rc == 0; e = readdir(dir)) {
        uint64_t number;
        if (am_parse_u64(e->d_name, &number) < 0 || number == (uint64_t)own || number == (uint64_t)status ||
            named(fd, n, number))
            continue;
        *ret_fd = (int)number;
        rc = -AM_E_INTERNAL;
    }
    closedir(dir);
    return rc;
}
