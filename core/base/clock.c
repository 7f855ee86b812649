/*
 * clock.c - see clock.h.
 */
#include "core/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t am_now_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t am_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

static unsigned two(int v)
{
    return (unsigned)v % 100;
}

void am_time_text(int64_t ms, char out[AM_TIME_TEXT])
{
    int64_t s = ms / 1000, rest = ms % 1000;
    if (rest < 0) { /* before 1970 the second is the one below */
        rest += 1000;
        s--;
    }
    struct tm t = {0};
    time_t when = (time_t)s;
    gmtime_r(&when, &t);
    snprintf(out, AM_TIME_TEXT, "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", t.tm_year + 1900, two(t.tm_mon + 1),
             two(t.tm_mday), two(t.tm_hour), two(t.tm_min), two(t.tm_sec), (unsigned)rest % 1000);
}
