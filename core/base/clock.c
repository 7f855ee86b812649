/*
 * clock.c - see clock.h.
 */
#include "core/base/clock.h"

#include "core/base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
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

int64_t am_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
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

/* Exactly n digits at *at, which moves on. -1: there are not that many. */
static int digits(const char **at, int n)
{
    int v = 0;
    for (; n > 0; n--, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        v = v * 10 + (**at - '0');
    }
    return v;
}

static bool skip(const char **at, const char *any)
{
    if (!**at || !strchr(any, **at))
        return false;
    (*at)++;
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "2026-11-23" into `t`. */
static bool parse_date(const char **at, struct tm *t)
{
    int year = digits(at, 4);
    if (year < 0 || !skip(at, "-"))
        return false;
    int month = digits(at, 2);
    if (month < 1 || month > 12 || !skip(at, "-"))
        return false;
    int day = digits(at, 2);
    if (day < 1 || day > days_of_month(year, month))
        return false;
    t->tm_year = year - 1900;
    t->tm_mon = month - 1;
    t->tm_mday = day;
    return true;
}

/* "02:48:10.123"; a leap second is the first of the next minute. */
static bool parse_clock(const char **at, struct tm *t, int *ret_ms)
{
    int weight = 100, ms = 0;
    t->tm_hour = digits(at, 2);
    if (t->tm_hour < 0 || t->tm_hour > 23 || !skip(at, ":"))
        return false;
    t->tm_min = digits(at, 2);
    if (t->tm_min < 0 || t->tm_min > 59 || !skip(at, ":"))
        return false;
    t->tm_sec = digits(at, 2);
    if (t->tm_sec < 0 || t->tm_sec > 60)
        return false;
    if (skip(at, ".")) {
        const char *first = *at;
        for (; **at >= '0' && **at <= '9'; (*at)++, weight /= 10)
            ms += weight * (**at - '0');
        if (*at == first)
            return false;
    }
    *ret_ms = ms;
    return true;
}

/* "Z" or "+01:00", in minutes. */
static bool parse_offset(const char **at, int *ret)
{
    int sign = **at == '-' ? -1 : 1;
    *ret = 0;
    if (skip(at, "Zz"))
        return true;
    if (!skip(at, "+-"))
        return false;
    int hours = digits(at, 2);
    if (hours < 0 || hours > 23 || !skip(at, ":"))
        return false;
    int minutes = digits(at, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret = sign * (hours * 60 + minutes);
    return true;
}

int am_time_parse(const char *text, int64_t *ret)
{
    struct tm t = {0};
    int ms, offset;
    const char *at = text;
    if (!parse_date(&at, &t) || !skip(&at, "Tt ") || !parse_clock(&at, &t, &ms) || !parse_offset(&at, &offset) || *at)
        return -AM_E_INVALID_REQUEST;
    *ret = ((int64_t)timegm(&t) - offset * 60) * 1000 + ms;
    return 0;
}
