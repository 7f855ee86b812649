/*
 * failpoint.c - see failpoint.h. Nothing of it is in a release build.
 */
#include "core/base/failpoint.h"

#ifdef AM_FAILPOINTS

#include "core/base/sys_record.h"
#include "core/base/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POINTS_MAX = 16 };

struct point {
    char name[48], action[8];
    long arg; /* passage, or milliseconds */
    long passed;
};

static struct point point[POINTS_MAX];
static size_t points;
static uint32_t *mark; /* of each point: struck already (`once`); shared by all processes */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Before main(), since a worker may soon open no file any more. */
__attribute__((constructor(250))) static void failpoint_begin(void)
{
    const char *folder = getenv("AMEND_FAILPOINT_TRACE");
    char path[512];
    const char *at = getenv("AMEND_FAILPOINT");
    while (at && *at && points < POINTS_MAX) {
        struct point p = {.arg = 1};
        if (sscanf(at, "%47[^:]:%7[^:,]:%ld", p.name, p.action, &p.arg) < 2) {
            fprintf(stderr, "AMEND_FAILPOINT: \"%s\" is not name:action[:number]\n", at);
            _exit(64);
        }
        point[points++] = p;
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    snprintf(path, sizeof path, "%s/once", folder ? folder : "");
    if (folder && !(mark = am_record_map(path, POINTS_MAX * sizeof *mark)))
        _exit(64);
}

static long passage(struct point *p)
{
    pthread_mutex_lock(&lock);
    long n = ++p->passed;
    pthread_mutex_unlock(&lock);
    return n;
}

static bool strikes(struct point *p)
{
    if (am_streq(p->action, "once"))
        return mark && __atomic_exchange_n(&mark[p - point], 1, __ATOMIC_ACQ_REL) == 0;
    return passage(p) == p->arg;
}

static void act(struct point *p)
{
    if (am_streq(p->action, "sleep")) {
        nanosleep(&(struct timespec){p->arg / 1000, p->arg % 1000 * 1000000}, NULL);
        return;
    }
    if (strikes(p))
        kill(getpid(), am_streq(p->action, "stop") ? SIGSTOP : SIGKILL);
}

void am_failpoint(const char *name)
{
    am_record_point(name);
    for (size_t i = 0; i < points; i++)
        if (am_streq(point[i].name, name))
            act(&point[i]);
}

void am_failpoint_env(char **env, size_t cap)
{
    static const char *const passed_on[] = {"AMEND_FAILPOINT", "AMEND_RECORD=", "AMEND_INJECT="};
    size_t n = 0;
    while (env[n])
        n++;
    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
            if (n + 1 < cap && am_starts(*e, passed_on[i]))
                env[n++] = *e;
    env[n] = NULL;
}

#endif
