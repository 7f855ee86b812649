/*
 * test_lock.c - LOCK outlives its holder for the moment that a child of it has not yet executed its program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/sys.h"
#include "storage/store_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/amend-lock-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    return am_sys_rmtree(AT_FDCWD, folder);
}

static int take(char *why, size_t cap)
{
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    return am_lock_take(dir, folder, why, cap);
}

/* A holder that dies at once; its child keeps the descriptor for `ms`. */
static void holder_with_child(int ms)
{
    char why[256];
    pid_t holder = fork();
    assert_true(holder >= 0);
    if (holder == 0) {
        if (take(why, sizeof why) < 0)
            _exit(1);
        if (fork() == 0)
            nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(status, 0);
}

static void test_child_of_dead_holder_is_waited_for(void **state)
{
    char why[256] = "";
    (void)state;
    holder_with_child(300);
    int fd = take(why, sizeof why);
    assert_true(fd >= 0);
    am_sys_close(fd);
}

static void test_holder_that_stays_is_told(void **state)
{
    char why[256] = "";
    (void)state;
    int fd = take(why, sizeof why);
    assert_true(fd >= 0);
    assert_true(take(why, sizeof why) < 0);
    assert_non_null(strstr(why, "is in use by amendd with pid"));
    am_sys_close(fd);
}

static void test_stranger_is_told_after_a_second(void **state)
{
    char why[256] = "";
    (void)state;
    holder_with_child(1600);
    assert_true(take(why, sizeof why) < 0);
    assert_non_null(strstr(why, "is in use by another process that holds"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_child_of_dead_holder_is_waited_for, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_holder_that_stays_is_told, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_stranger_is_told_after_a_second, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
