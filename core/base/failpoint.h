/*
 * failpoint.h - named places where a test build can be made to die, stop or wait, so that a fault meets a phase that
 * chance would never hit. In every other build the functions below are empty and leave no symbol (tools/check-links).
 *
 * AMEND_FAILPOINT=name:kill[:k],name:stop[:k],name:sleep:ms,name:once
 *     k: only at the k-th passage in this process (default 1); once: kill, but only the first of all processes
 * AMEND_FAILPOINT_TRACE=folder: passages are recorded there (sys_record.h), and what `once` has struck, in the file
 * once.
 *
 * Names are <part>.<place>, e.g. publish.before_row; tests/faults/README.md lists them.
 */
#ifndef AM_BASE_FAILPOINT_H
#define AM_BASE_FAILPOINT_H

#include <stddef.h>

#ifdef AM_FAILPOINTS

void am_failpoint(const char *name);
/* Appends what this process was told to the environment of a child, whose list of `cap` ends with NULL. */
void am_failpoint_env(char **env, size_t cap);

#else

static inline void am_failpoint(const char *name)
{
    (void)name;
}

static inline void am_failpoint_env(char **env, size_t cap)
{
    (void)env;
    (void)cap;
}

#endif
#endif
