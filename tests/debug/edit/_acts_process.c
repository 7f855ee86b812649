/*
 * _acts_process.c - ends without words, and no end at all.
 */
#include "tests/debug/edit/_acts.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int am_act_segv(void)
{
    volatile int *nowhere = NULL;
    return *nowhere;
}

int am_act_abort(void)
{
    abort();
}

int am_act_exit_zero(void)
{
    _exit(0);
}

int am_act_spin(void)
{
    for (volatile unsigned long turns = 0;; turns = turns + 1)
        ;
}

int am_act_ignore_term(void)
{
    signal(SIGTERM, SIG_IGN);
    return am_act_spin();
}

int am_act_close_records(void)
{
    close(3);
    return am_act_spin();
}

static void stay(int sig)
{
    (void)sig;
    for (;;)
        pause();
}

/* A signal to the process goes to a thread that does not block it. In the handler it is blocked, so the next signal
 * finds the next thread, until only this one is left. */
static void stop_others(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR1, stay);
    for (int i = 0; i < 64; i++) {
        kill(getpid(), SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

int am_act_silent(void)
{
    stop_others();
    return am_act_spin();
}
