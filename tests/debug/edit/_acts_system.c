/*
 * _acts_system.c - asks the kernel for what a worker must not get.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "tests/debug/edit/_acts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STAGING = 4, CHILDREN = 64 };
#define STEP ((size_t)4 << 20)
#define ENOUGH (4ULL << 30) /* a machine without limits is not to be hurt by their test */

/* What the log says; 0 when the kernel gave it, -AM_E_FORBIDDEN when not. */
static int told(const char *what, long answer)
{
    fprintf(stderr, "debug: %s: %s\n", what, answer < 0 ? strerror(errno) : "done");
    return answer < 0 ? -AM_E_FORBIDDEN : 0;
}

int am_act_memory(void)
{
    for (unsigned long long got = 0; got < ENOUGH; got += STEP) {
        char *more = malloc(STEP);
        if (!more) {
            fprintf(stderr, "debug: memory: %llu bytes\n", got);
            return -AM_E_OUT_OF_MEMORY;
        }
        memset(more, 1, STEP);
    }
    return 0;
}

int am_act_descriptors(void)
{
    unsigned n = 0;
    while (n < 65536 && dup(1) >= 0)
        n++;
    int why = errno;
    fprintf(stderr, "debug: descriptors: %u\n", n);
    errno = why;
    return n < 65536 ? -AM_E_CANNOT_WRITE : 0;
}

static int fill(int fd)
{
    static char block[1 << 16];
    for (unsigned long long bytes = 0; bytes < ENOUGH; bytes += sizeof(block)) {
        int rc = am_sys_write(fd, block, sizeof(block)), why = errno;
        if (rc == 0)
            continue;
        fprintf(stderr, "debug: disk: %llu bytes\n", bytes);
        errno = why;
        return rc;
    }
    return 0;
}

int am_act_disk(void)
{
    int fd = am_sys_open(STAGING, "endless", O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? fd : fill(fd);
}

int am_act_fork(void)
{
    int made = 0;
    pid_t pid = -1;
    for (int i = 0; i < CHILDREN; i++) {
        pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0)
            break;
        made++;
    }
    int why = errno;
    while (made > 0 && waitpid(-1, NULL, 0) > 0)
        made--;
    errno = why;
    return told("fork", pid);
}

int am_act_exec(void)
{
    char *const argv[] = {(char[]){"true"}, NULL}, *const env[] = {NULL};
    return told("exec", execve("/bin/true", argv, env));
}

int am_act_socket(void)
{
    return told("socket", socket(AF_INET, SOCK_STREAM, 0));
}

int am_act_store_file(void)
{
    int inside = openat(STAGING, "mine", O_RDWR | O_CREAT, 0600); /* that the folder itself is open proves the fence */
    if (inside < 0)
        return -AM_E_INTERNAL;
    return told("store file", openat(STAGING, "../../amendd.db", O_RDONLY));
}

int am_act_kill_daemon(void)
{
    return told("kill the daemon", kill(getppid(), SIGKILL));
}
