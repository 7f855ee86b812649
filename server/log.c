/*
 * log.c - see log.h.
 */
#include "server/log.h"

#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum am_log_level threshold = AM_LOG_INFO; /* set once, before any thread starts */
static bool text;                                 /* the same */

bool am_log_shows(enum am_log_level level)
{
    return level <= threshold;
}

/* What a line begins with. */
static int head_of(char *line, size_t cap, enum am_log_level level)
{
    static const char *const names[] = {
        [AM_LOG_ERROR] = "error", [AM_LOG_WARN] = "warn", [AM_LOG_INFO] = "info", [AM_LOG_DEBUG] = "debug"};
    char at[AM_TIME_TEXT];
    if (!text)
        return snprintf(line, cap, "<%d>", (int)level);
    am_time_text(am_now_ms(), at);
    return snprintf(line, cap, "%s %s ", at, names[level]);
}

void am_log_init(const char *level, bool journal)
{
    text = !journal;
    static const struct {
        const char *name;
        enum am_log_level level;
    } levels[] = {{"error", AM_LOG_ERROR}, {"warn", AM_LOG_WARN}, {"info", AM_LOG_INFO}, {"debug", AM_LOG_DEBUG}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (am_streq(level, levels[i].name))
            threshold = levels[i].level;
}

void am_log(enum am_log_level level, const char *fmt, ...)
{
    char line[2048];
    if (level > threshold)
        return;
    int head = head_of(line, sizeof line, level);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + head, sizeof line - (size_t)head - 1, fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    size_t n = strlen(line);
    line[n++] = '\n';
    /* one write: lines of threads do not mix; a lost line is no reason to fail */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}
