/*
 * work.h - what long work of the store (backup, verify, collect, check) shares: how it tells how far it is, and how it
 * is told to stop. It runs on the caller's thread and ends with -AM_E_CANCELLED soon after stop() says so.
 */
#ifndef AM_STORAGE_WORK_H
#define AM_STORAGE_WORK_H

#include <stdbool.h>
#include <stdint.h>

struct am_work_step {
    const char *phase, *unit;
    uint64_t done, total, bytes_done, bytes_total; /* 0: not known */
};

struct am_work { /* members may be NULL */
    bool (*stop)(void *arg);
    void (*progress)(void *arg, const struct am_work_step *step);
    void *arg;
};

static inline bool am_work_stopped(const struct am_work *w)
{
    return w->stop && w->stop(w->arg);
}

static inline void am_work_tell(const struct am_work *w, struct am_work_step step)
{
    if (w->progress)
        w->progress(w->arg, &step);
}

#endif
