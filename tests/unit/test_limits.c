/*
 * test_limits.c - what a worker keeps itself from, tried in a child process each: limits and fences hold for good.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "worker/confine.h"
#include "worker/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define MIB ((uint64_t)1 << 20)
static const struct am_limits ample = {.memory_bytes = 1 << 30, .file_bytes = 1 << 30, .descriptors = 256};

/* In the child a failed check ends it with a line on standard error. */
#define NEED(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "line %d: %s (errno %s)\n", __LINE__, #what, strerror(errno));                             \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void in_child(void (*test)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        test();
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static rlim_t most(int what)
{
    struct rlimit lim;
    NEED(getrlimit((__rlimit_resource_t)what, &lim) == 0 && lim.rlim_cur == lim.rlim_max);
    return lim.rlim_cur;
}

/* ---- limits ---- */

static void memory_child(void)
{
    const struct am_limits l = {.memory_bytes = 32 * MIB, .file_bytes = MIB, .descriptors = 64};
    uint64_t got = 0;
    NEED(am_limits_begin() == 0 && am_limits_set(&l, 2) == 0);
    NEED(am_limits_memory() == (SANITIZED ? 0 : most(RLIMIT_DATA)));
    if (SANITIZED)
        return;
    for (char *more; got < 1024 * MIB && (more = malloc(MIB)); got += MIB)
        memset(more, 1, MIB);
    NEED(got >= 32 * MIB && got <= (32 + 64 + 5 * 8) * MIB);
    NEED(!malloc(64 * MIB) && errno == ENOMEM);
}

static void memory_is_what_was_planned(void **state)
{
    (void)state;
    in_child(memory_child);
}

static void file_child(void)
{
    const struct am_limits l = {.memory_bytes = MIB, .file_bytes = 100000, .descriptors = 64};
    char name[] = "/tmp/amend-limits-XXXXXX", *bytes = calloc(1, 100000);
    int fd = mkstemp(name);
    NEED(fd >= 0 && am_sys_unlink(AT_FDCWD, name) == 0);
    NEED(am_limits_begin() == 0 && am_limits_set(&l, 1) == 0);
    NEED(am_sys_write(fd, bytes, 100000) == 0);
    NEED(am_sys_write(fd, bytes, 1) == -AM_E_CANNOT_WRITE && errno == EFBIG); /* and no signal */
    NEED(am_sys_fallocate(fd, 100001) == -AM_E_CANNOT_WRITE);
    free(bytes);
}

static void a_longer_file_is_an_error(void **state)
{
    (void)state;
    in_child(file_child);
}

static void descriptors_child(void)
{
    const struct am_limits l = {.memory_bytes = MIB, .file_bytes = MIB, .descriptors = 40};
    int last = -1;
    NEED(am_limits_begin() == 0 && am_limits_set(&l, 1) == 0);
    for (int fd; (fd = dup(1)) >= 0;)
        last = fd;
    NEED(errno == EMFILE && last == 39);
}

static void descriptors_end(void **state)
{
    (void)state;
    in_child(descriptors_child);
}

/* `extra` is open beside those of the spec (5 and 6), or -1. */
static void check_fds(int extra)
{
    const int spec[] = {5, 6};
    int found = -1;
    close_range(3, ~0U, 0);
    for (int fd = 3; fd <= 6; fd++)
        NEED(dup2(1, fd) == fd);
    NEED(am_limits_begin() == 0);
    NEED(extra < 0 || dup2(1, extra) == extra);
    int rc = am_limits_check_fds(spec, 2, &found);
    NEED(extra < 0 ? rc == 0 : rc == -AM_E_INTERNAL && found == extra);
}

static void clean_child(void)
{
    check_fds(-1);
}

static void leaked_child(void)
{
    check_fds(11);
}

static void a_leaked_descriptor_is_named(void **state)
{
    (void)state;
    in_child(clean_child);
    in_child(leaked_child);
}

static void rest_child(void)
{
    struct rlimit low = {5000, 5000};
    struct am_limits l = ample;
    char score[16] = "";
    int deathsig = 0;
    l.cpu_seconds = 7;
    NEED(setrlimit(RLIMIT_FSIZE, &low) == 0);
    NEED(am_limits_begin() == 0 && am_limits_set(&l, 1) == 0);
    NEED(most(RLIMIT_FSIZE) == 5000); /* never raised above what the daemon has */
    NEED(most(RLIMIT_CORE) == 0 && most(RLIMIT_CPU) == 7 && most(RLIMIT_NOFILE) == 256);
    NEED(prctl(PR_GET_PDEATHSIG, &deathsig) == 0 && deathsig == SIGKILL);
    NEED(am_limits_oom_first());
    int fd = am_sys_open(AT_FDCWD, "/proc/self/oom_score_adj", O_RDONLY, 0);
    NEED(fd >= 0 && am_sys_read(fd, score, sizeof(score) - 1) > 0 && strcmp(score, "800\n") == 0);
    NEED(!am_cancelled() && raise(SIGTERM) == 0 && am_cancelled());
}

static void the_rest_of_the_limits(void **state)
{
    (void)state;
    in_child(rest_child);
}

/* ---- fences ---- */

static bool kernel_has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static bool refused(long answer, int why)
{
    return answer < 0 && errno == why;
}

static char folder[] = "/tmp/amend-fence-XXXXXX"; /* the parent makes and removes it */

static void files_child(void)
{
    char byte;
    int staging = am_sys_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    int before = am_sys_open(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
    NEED(staging >= 0 && before >= 0);
    struct am_confined c = am_confine(staging);
    NEED(c.landlock == (kernel_has_landlock() && !SANITIZED));
    int mine = am_sys_open(staging, "mine", O_RDWR | O_CREAT, 0600);
    NEED(mine >= 0 && am_sys_write(mine, "x", 1) == 0 && am_sys_pread(mine, &byte, 1, 0) == 0 && byte == 'x');
    NEED(am_sys_pread(before, &byte, 1, 0) == 0); /* what was handed over stays readable */
    if (c.landlock) {
        NEED(refused(openat(AT_FDCWD, "/etc/passwd", O_RDONLY), EACCES));
        NEED(refused(openat(staging, "..", O_RDONLY | O_DIRECTORY), EACCES));
        NEED(refused(openat(AT_FDCWD, "/proc/self/mem", O_RDWR), EACCES));
        NEED(refused(renameat(staging, "mine", AT_FDCWD, "/tmp/amend-fence-out"), EACCES));
        NEED(refused(mkdirat(staging, "deeper", 0700), EACCES) && refused(symlinkat("/etc", staging, "link"), EACCES));
    }
    NEED(am_sys_unlink(staging, "mine") == 0);
}

static void files_outside_staging_are_gone(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    in_child(files_child);
    assert_int_equal(am_sys_rmtree(AT_FDCWD, folder), 0);
}

static void *answer_one(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static void calls_child(void)
{
    char *const argv[] = {NULL};
    int ran = 0;
    pthread_t thread;
    struct rlimit lim;
    struct am_confined c = am_confine(am_sys_open(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY, 0));
    NEED(c.seccomp == !SANITIZED);
    NEED(pthread_create(&thread, NULL, answer_one, &ran) == 0 && pthread_join(thread, NULL) == 0 && ran == 1);
    NEED(kill(getpid(), 0) == 0 && getrlimit(RLIMIT_CORE, &lim) == 0);
    if (!c.seccomp)
        return;
    NEED(refused(fork(), EPERM) && refused(syscall(SYS_clone3, NULL, 0), ENOSYS));
    NEED(refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM));
    NEED(refused(execve("/bin/true", argv, argv), EPERM));
    NEED(refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) && refused(socket(AF_UNIX, SOCK_STREAM, 0), EPERM));
    NEED(refused(syscall(SYS_io_uring_setup, 1, NULL), EPERM));
    NEED(refused(kill(getppid(), 0), EPERM) && refused(kill(-1, 0), EPERM) && refused(kill(0, 0), EPERM));
    NEED(refused(syscall(SYS_tgkill, getppid(), getppid(), 0), EPERM));
    NEED(refused(prlimit(getppid(), RLIMIT_CORE, &lim, NULL), EPERM));
    NEED(refused(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM));
}

static void no_processes_no_sockets_no_signals(void **state)
{
    (void)state;
    in_child(calls_child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_what_was_planned),
        cmocka_unit_test(a_longer_file_is_an_error),
        cmocka_unit_test(descriptors_end),
        cmocka_unit_test(a_leaked_descriptor_is_named),
        cmocka_unit_test(the_rest_of_the_limits),
        cmocka_unit_test(files_outside_staging_are_gone),
        cmocka_unit_test(no_processes_no_sockets_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
