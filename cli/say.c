/*
 * say.c - how the client speaks to a person: errors with a cause and a fix, notes, memory that must be there,
 * interrupts. Not tables and values (out.c). Owns one flag that the handler of SIGINT sets.
 */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t g_interrupted;

static char *vtext(const char *fmt, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        fputs("amend: out of memory\n", stderr);
        exit(AM_EXIT_ERROR);
    }
    return text;
}

static void say_cause(const struct am_cli *c, const char *text)
{
    am_live_clear();
    fputs(c->err_color ? "\033[31mamend:\033[0m " : "amend: ", stderr);
    am_put_clean(stderr, text);
    fputc('\n', stderr);
}

void am_say_error(const struct am_cli *c, const char *fix, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AM_CLEANUP(am_xfreep) char *text = vtext(fmt, ap);
    va_end(ap);
    say_cause(c, text);
    if (fix) {
        fputs("  fix: ", stderr);
        am_put_clean(stderr, fix);
        fputc('\n', stderr);
    }
}

int am_say_usage(const struct am_cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AM_CLEANUP(am_xfreep) char *text = vtext(fmt, ap);
    va_end(ap);
    say_cause(c, text);
    if (!c->cmd) {
        fputs("  fix: see amend --help\n", stderr);
        return AM_EXIT_USAGE;
    }
    const char *noun = c->cmd->noun, *verb = c->cmd->verb ? c->cmd->verb : c->method;
    fprintf(stderr, "  usage: amend %s%s%s %s\n", noun, c->cmd->verb ? " " : "", c->cmd->verb ? verb : "",
            c->cmd->usage);
    fprintf(stderr, "  fix: see amend %s%s%s --help\n", noun, verb ? " " : "", verb ? verb : "");
    return AM_EXIT_USAGE;
}

void am_say_note(const struct am_cli *c, const char *fmt, ...)
{
    if (c->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    AM_CLEANUP(am_xfreep) char *text = vtext(fmt, ap);
    va_end(ap);
    am_live_clear();
    am_put_clean(stderr, text);
    fputc('\n', stderr);
}

static bool same_letters(const char *a, const char *b)
{
    int count[256] = {0};
    for (; *a; a++)
        count[(unsigned char)*a]++;
    for (; *b; b++)
        count[(unsigned char)*b]--;
    for (size_t i = 0; i < 256; i++)
        if (count[i])
            return false;
    return true;
}

const char *am_near(const char *word, const char *const *known, size_t n)
{
    const char *near = am_nearest(word, known, n);
    for (size_t i = 0; !near && i < n; i++)
        if (same_letters(word, known[i]))
            near = known[i];
    return near;
}

int am_say_unknown(const struct am_cli *c, const char *what, const char *word, const char *const *known, size_t n)
{
    const char *near = am_near(word, known, n);
    if (near)
        return am_say_usage(c, "unknown %s '%s'; did you mean %s?", what, word, near);
    return am_say_usage(c, "unknown %s '%s'", what, word);
}

void *am_xgrow(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q) {
        fputs("amend: out of memory\n", stderr);
        exit(AM_EXIT_ERROR);
    }
    return q;
}

void *am_xalloc(size_t n)
{
    void *p = am_xgrow(NULL, n);
    memset(p, 0, n);
    return p;
}

char *am_xdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(am_xalloc(n), s, n);
}

char *am_xprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = vtext(fmt, ap);
    va_end(ap);
    return text;
}

void am_xfreep(char **p)
{
    free(*p);
    *p = NULL;
}

void am_jsonp(json_t **p)
{
    json_decref(*p);
    *p = NULL;
}

static void on_interrupt(int sig)
{
    (void)sig;
    g_interrupted = 1;
}

void am_interrupt_watch(void)
{
    /* Once only: a person who presses twice means it. No SA_RESTART: a nap must end. */
    struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
}

bool am_interrupted(void)
{
    return g_interrupted != 0;
}

void am_nap(int64_t ms)
{
    if (ms <= 0 || am_interrupted())
        return;
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}
