/*
 * report.h - the records on descriptor 3 (contract.md): hello, progress, heartbeat, fault, failed, done.
 * A thread of its own sends a heartbeat each 2 s. Any thread may report. A daemon that no longer listens is told
 * nothing more; am_reporter_broken() says so.
 */
#ifndef AM_WORKER_REPORT_H
#define AM_WORKER_REPORT_H

#include "core/base/fault.h"

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct am_reporter {
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t beat;
    bool beating, stop, broken;
    int64_t progress_ms; /* of the last progress record */
};

struct am_progress {
    const char *phase, *unit;
    uint64_t done, total, bytes_done, bytes_total;
};

/* Sends hello. `confinement` (taken): the list of what holds. */
int am_reporter_open(struct am_reporter *r, int fd, const char *registry_sha256, unsigned threads, json_t *confinement);
void am_reporter_progress(struct am_reporter *r,
                          const struct am_progress *p); /* at most 4 a second, but always the last of a phase */
bool am_reporter_broken(struct am_reporter *r);
/* The last words. They end the heartbeat; nothing may be reported after. */
void am_reporter_failed(struct am_reporter *r, int rc, const char *detail, const struct am_faults *faults);
void am_reporter_done(struct am_reporter *r, uint64_t bytes, const char *sha256, uint64_t records);
void am_reporter_close(struct am_reporter *r);

#endif
