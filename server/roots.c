/*
 * roots.c - see roots.h.
 */
#include "server/roots.h"

#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void am_roots_done(struct am_roots *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i]);
    r->n = 0;
}

void am_roots_read(struct am_roots *ret, const char *list)
{
    *ret = (struct am_roots){.list = list ? list : ""};
    for (const char *at = ret->list; *at && ret->n < AM_ROOTS_MAX;) {
        size_t n = strcspn(at, ":");
        char *one = strndup(at, n);
        if (one && one[0] == '/' && (ret->v[ret->n] = realpath(one, NULL)))
            ret->n++;
        free(one);
        at += n + (at[n] == ':');
    }
}

bool am_roots_hold(const struct am_roots *r, const char *real)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t n = strlen(r->v[i]);
        if (am_streq(r->v[i], "/") || (strncmp(real, r->v[i], n) == 0 && (real[n] == '/' || real[n] == 0)))
            return true;
    }
    return false;
}

bool am_roots_named(const struct am_roots *r, const char *path)
{
    for (const char *at = r->list; *at;) {
        size_t n = strcspn(at, ":");
        if (n && strncmp(path, at, n) == 0 && (path[n] == '/' || path[n] == 0 || at[n - 1] == '/'))
            return true;
        at += n + (at[n] == ':');
    }
    return am_roots_hold(r, path);
}

int am_roots_open(const struct am_roots *r, const char *real, int flags)
{
    char link[40], place[PATH_MAX];
    int fd = am_sys_open(AT_FDCWD, real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | flags, 0);
    if (fd < 0)
        return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, place, sizeof place - 1);
    place[n > 0 ? n : 0] = 0;
    if (n > 0 && am_roots_hold(r, place))
        return fd;
    am_sys_close(fd);
    return -AM_E_PATH_NOT_ALLOWED;
}

bool am_roots_is_one(const struct am_roots *r, const char *real)
{
    for (size_t i = 0; i < r->n; i++)
        if (am_streq(r->v[i], real))
            return true;
    return false;
}
