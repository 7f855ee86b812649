/*
 * confine.h - what the kernel keeps this process from, for good: Landlock (files: the staging folder, and what is
 * already open) and a seccomp filter (no sockets, no programs, no processes, no signals to others). Hardening beside
 * the limits (limits.h), not in their place: a kernel may lack either.
 */
#ifndef AM_WORKER_CONFINE_H
#define AM_WORKER_CONFINE_H

#include <stdbool.h>

struct am_confined {
    bool landlock, seccomp; /* in force */
};

/* Before the first thread, and after the last file outside `staging` (a folder) was opened. What the kernel lacks is
 * skipped; the answer says what holds. Sanitizer builds hold neither: their runtime reads files and makes processes. */
struct am_confined am_confine(int staging);

#endif
