/*
 * measured.c - stands in for amend-worker and measures the real one from outside, by wait4.
 *
 * The daemon starts it as `workers.program`. It starts the file `real` of its own folder with the same arguments,
 * descriptors and process group, waits, appends one JSON line to the file `records` of that folder, and ends as the
 * worker ended. With a file `nosync.so` in the folder the worker is started with it preloaded. It is small on purpose:
 * what wait4 calls the peak of memory includes the moment between fork and exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* "folder/name" into `path`; folder is that of this program. */
static int beside(const char *name, char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap - 1);
    if (n < 0)
        return -1;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    size_t left = cap - (size_t)(slash + 1 - path);
    int len = snprintf(slash + 1, left, "%s", name);
    return len < 0 || (size_t)len >= left ? -1 : 0;
}

/* The environment with LD_PRELOAD in front, when there is something to preload. */
static char **environment(const char *preload)
{
    static char line[PATH_MAX + 16];
    size_t n = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 2, sizeof *env);
    if (!env || access(preload, R_OK) < 0)
        return env ? environ : NULL;
    snprintf(line, sizeof line, "LD_PRELOAD=%s", preload);
    env[0] = line;
    memcpy(env + 1, environ, n * sizeof *env);
    return env;
}

static void record(const char *mode, double wall, int status, const struct rusage *u)
{
    char path[PATH_MAX], line[256];
    if (beside("records", path, sizeof path) < 0)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int len = snprintf(line, sizeof line,
                       "{\"mode\":\"%s\",\"wall\":%.6f,\"user\":%.6f,\"sys\":%.6f,\"maxrss_kb\":%ld,\"status\":%d}\n",
                       mode, wall, seconds(u->ru_utime), seconds(u->ru_stime), u->ru_maxrss, status);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        fprintf(stderr, "measured: cannot write %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    char real[PATH_MAX], preload[PATH_MAX];
    struct rusage usage;
    int status;
    const char *mode = argc > 1 ? argv[1] : "";
    if (beside("real", real, sizeof real) < 0 || beside("nosync.so", preload, sizeof preload) < 0)
        return 70;
    char **env = environment(preload);
    if (!env)
        return 70;
    if (strcmp(mode, "run") != 0) {
        execve(real, argv, env);
        return 70;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the worker asks the same of this process: neither outlives the daemon */
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execve(real, argv, env);
        fprintf(stderr, "measured: cannot start %s: %s\n", real, strerror(errno));
        _exit(70);
    }
    signal(SIGTERM, SIG_IGN); /* for the worker, which has it too: the daemon asks the whole process group */
    if (child < 0)
        return 70;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return 70;
    record(mode, now() - start, status, &usage);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}
