/*
 * registry.c - see registry.h.
 */
#include "server/registry.h"

#include "core/base/buf.h"
#include "core/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char *am_worker_path(const char *configured)
{
    static const char *const places[] = {"amend-worker", "../libexec/amend-worker"};
    char self[PATH_MAX], *path = NULL;
    if (configured[0])
        return strdup(configured);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return NULL;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        free(path);
        if (asprintf(&path, "%s/%s", self, places[i]) < 0)
            return NULL;
        if (access(path, X_OK) == 0)
            return path;
    }
    return path;
}

/* Standard output of `worker MODE`, at most 16 MiB. */
static int ask(const char *worker, const char *mode, struct am_buf *out)
{
    char kernels[40], chunk[65536];
    const char *pinned = getenv("AMEND_KERNELS");
    char *argv[] = {(char *)(uintptr_t)worker, (char *)(uintptr_t)mode, NULL},
         *env[] = {"OPENBLAS_NUM_THREADS=1", pinned ? kernels : NULL, NULL}; /* as executor_local.c */
    posix_spawn_file_actions_t files;
    int ends[2], status = 0, rc = 0;
    pid_t pid;
    ssize_t n;
    snprintf(kernels, sizeof kernels, "AMEND_KERNELS=%.20s", pinned ? pinned : "");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -AM_E_INTERNAL;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    int spawned = posix_spawn(&pid, worker, &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (spawned != 0) {
        close(ends[0]);
        errno = spawned;
        return -AM_E_NOT_FOUND;
    }
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0 && rc == 0)
        rc = am_buf_put(out, chunk, (size_t)n);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ? -AM_E_INTERNAL : 0;
}

int am_registry_check(const char *worker, const char *want_sha256, char *why, size_t why_cap)
{
    struct am_buf b;
    char have[65];
    am_buf_init(&b, 16u << 20);
    int rc = ask(worker, "describe", &b);
    if (rc == -AM_E_NOT_FOUND)
        snprintf(why, why_cap, "cannot start the worker %s: %s; name it with --workers.program=", worker,
                 strerror(errno));
    else if (rc < 0)
        snprintf(why, why_cap, "%s describe failed; run it by hand to see why", worker);
    else {
        am_sha256_hex(b.data ? b.data : "", b.len, have);
        if (strcmp(have, want_sha256) != 0) {
            snprintf(why, why_cap,
                     "%s is not of the same build as this amendd: their methods differ; install both from one build",
                     worker);
            rc = -AM_E_CONFLICT;
        }
    }
    am_buf_done(&b);
    return rc;
}

static int tell(const char *worker, const char *mode, size_t least, char *ret, size_t cap, char *why, size_t why_cap)
{
    struct am_buf b;
    am_buf_init(&b, 256);
    int rc = ask(worker, mode, &b);
    if (rc == 0 && (b.len < least || b.len >= cap))
        rc = -AM_E_INTERNAL;
    if (rc == 0)
        snprintf(ret, cap, "%.*s", (int)b.len, b.len ? b.data : "");
    else
        snprintf(why, why_cap, "%s %s failed; run it by hand to see why", worker, mode);
    am_buf_done(&b);
    return rc;
}

int am_registry_kernels(const char *worker, char *ret, size_t cap, char *why, size_t why_cap)
{
    return tell(worker, "kernels", 1, ret, cap, why, why_cap);
}

int am_registry_blas(const char *worker, char *ret, size_t cap, char *why, size_t why_cap)
{
    return tell(worker, "blas", 0, ret, cap, why, why_cap);
}
