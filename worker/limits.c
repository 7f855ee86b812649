/*
 * limits.c - self-limitation (the daemon's uv_spawn cannot set limits for it).
 */
#include "worker/limits.h"

#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#define FILES_OWN 1024 /* a shard each, libuv's pipes, and some */

static volatile sig_atomic_t cancel_asked;

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
    if (sigaction(SIGTERM, &term, NULL) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0)
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

int am_limits_begin(void)
{
    struct rlimit none = {0, 0};
    AM_TRY(die_with_parent());
    AM_TRY(take_signals());
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return -AM_E_INTERNAL;
#ifdef __SSE2__
    _mm_setcsr(0x1f80); /* round to nearest, nothing flushed to zero; threads inherit it */
#endif
    return 0;
}

int am_limits_files(const int *fd, size_t n)
{
    struct rlimit lim;
    int highest = 4;
    for (size_t i = 0; i < n; i++)
        highest = fd[i] > highest ? fd[i] : highest;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return -AM_E_INTERNAL;
    rlim_t want = (rlim_t)highest + 1 + FILES_OWN;
    if (want > lim.rlim_max)
        want = lim.rlim_max;
    lim = (struct rlimit){want, want};
    return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? -AM_E_INTERNAL : 0;
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
    int own = am_sys_open(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY, 0), rc = 0;
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    if (!dir)
        return own >= 0 ? am_sys_close(own), -AM_E_INTERNAL : own;
    for (struct dirent *e = readdir(dir); e && rc == 0; e = readdir(dir)) {
        uint64_t number;
        if (am_parse_u64(e->d_name, &number) < 0 || number == (uint64_t)own || named(fd, n, number))
            continue;
        *ret_fd = (int)number;
        rc = -AM_E_INTERNAL;
    }
    closedir(dir);
    return rc;
}
