/*
 * err.c - the texts and numbers of err.def as one table. See err.h.
 */
#include "core/base/err.h"

#include <errno.h>
#include <string.h>

struct row {
    const char *slug, *title;
    int status;
    bool retryable;
};

static const struct row rows[AM_E_COUNT] = {
    [AM_E_NONE] = {"none", "No error", 0, false},
#define AM_ERR(sym, http, text, again, words) [AM_E_##sym] = {text, words, http, again},
#include "core/base/err.def"
#undef AM_ERR
};

static const struct row *row_of(int err)
{
    if (err > -AM_E_COUNT && err < 0)
        err = -err;
    return &rows[err >= 0 && err < AM_E_COUNT ? err : AM_E_INTERNAL];
}

const char *am_err_slug(int err)
{
    return row_of(err)->slug;
}

const char *am_err_title(int err)
{
    return row_of(err)->title;
}

int am_err_status(int err)
{
    return row_of(err)->status;
}

bool am_err_retryable(int err)
{
    return row_of(err)->retryable;
}

int am_err_from_slug(const char *slug)
{
    for (int i = 1; slug && i < AM_E_COUNT; i++)
        if (strcmp(rows[i].slug, slug) == 0)
            return i;
    return 0;
}

int am_err_from_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return -AM_E_DISK;
    case ENOENT:
        return -AM_E_NOT_FOUND;
    case ENOMEM:
        return -AM_E_OUT_OF_MEMORY;
    case EFBIG: /* a limit of the process, not of the disk */
        return -AM_E_CANNOT_WRITE;
    default:
        return -AM_E_INTERNAL;
    }
}
