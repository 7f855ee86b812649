/*
 * err.h - the errors of the house, by number and by name. The list is err.def.
 * Functions return 0 or a negative error (-AM_E_...). Nothing here allocates.
 */
#ifndef AM_BASE_ERR_H
#define AM_BASE_ERR_H

#include <stdbool.h>

enum am_err {
    AM_E_NONE = 0,
#define AM_ERR(sym, status, slug, retryable, title) AM_E_##sym,
#include "core/base/err.def"
#undef AM_ERR
    AM_E_COUNT
};

/* All take the positive or the negative number; unknown numbers read as INTERNAL. */
const char *am_err_slug(int err);
const char *am_err_title(int err);
int am_err_status(int err); /* HTTP status; 0 for errors of jobs */
bool am_err_retryable(int err);
int am_err_from_slug(const char *slug); /* positive number, or 0 when unknown */
int am_err_from_errno(
    int errno_value); /* negative: ENOSPC/EDQUOT -> -AM_E_DISK, ENOENT -> -AM_E_NOT_FOUND,
                         ENOMEM -> -AM_E_OUT_OF_MEMORY, EFBIG -> -AM_E_CANNOT_WRITE, all else -> -AM_E_INTERNAL */

/* Returns from the calling function when `x` is negative. */
#define AM_TRY(x)                                                                                                      \
    do {                                                                                                               \
        int am_try_rc_ = (x);                                                                                          \
        if (am_try_rc_ < 0)                                                                                            \
            return am_try_rc_;                                                                                         \
    } while (0)

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define AM_CLEANUP(fn) __attribute__((cleanup(fn)))

#define AM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#endif
