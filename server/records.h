/*
 * records.h - what a worker says on descriptor 3 (worker/contract.md), one JSON object a line. The worker is not
 * trusted: lines have a ceiling, members are checked, a broken protocol stays broken. A pure parser: bytes in, state
 * and calls out; knows neither libuv nor rows. Ownership: am_records owns its texts until am_records_done(). One thread
 * at a time.
 */
#ifndef AM_SERVER_RECORDS_H
#define AM_SERVER_RECORDS_H

#include "core/base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_RECORD_LINE 4096        /* bytes of a line without its line feed */
#define AM_RECORD_UNKNOWN_MAX 1000 /* records of unknown kinds that are ignored before the worker counts as broken */

/* What a worker may say without a break: all faults of a bad spec, and then progress and heartbeats. */
#define AM_RECORD_BURST (1 << 20)
#define AM_RECORD_BYTES_A_SECOND (16 << 10)

enum am_holds { /* what bounds a worker, as its hello says: am_holds_names has the words, in this order */
                AM_HOLDS_RLIMITS = 1,
                AM_HOLDS_OOM = 2,
                AM_HOLDS_LANDLOCK = 4,
                AM_HOLDS_SECCOMP = 8
};
extern const char *const am_holds_names[]; /* NULL-terminated */

enum am_record {
    AM_RECORD_HELLO,
    AM_RECORD_PROGRESS,
    AM_RECORD_HEARTBEAT,
    AM_RECORD_FAULT,
    AM_RECORD_FAILED,
    AM_RECORD_DONE,
    AM_RECORD_UNKNOWN
};

struct am_record_progress {
    char phase[32], unit[16];
    uint64_t done, total, bytes_done, bytes_total;
};

struct am_record_done {
    uint64_t bytes, records; /* of result.ndjson */
    char sha256[65];
    double cpu_seconds;        /* negative: not said */
    int64_t peak_memory_bytes; /* negative: not said */
};

struct am_records {
    char registry[65]; /* what hello must name; empty: any */
    char line[AM_RECORD_LINE];
    size_t len;
    uint64_t bytes; /* of all lines so far */
    bool hello, done, failed;
    int broken;    /* 0, or the positive error: the protocol was broken and nothing more is read */
    char why[256]; /* of broken */
    int64_t pid;
    char program[64], kernels[32];
    unsigned holds;                     /* enum am_holds */
    struct am_record_progress progress; /* the latest */
    struct am_faults faults;
    int code; /* of failed: positive */
    char *detail, *tensor;
    bool retryable;
    struct am_record_done result;
    uint64_t unknown;
};

void am_records_init(struct am_records *r, const char *registry_sha256 /* NULL: any */);
/* Calls on(arg, kind) after each good record. 0, or a negative error from the first bad one on (r->why says what). */
int am_records_feed(struct am_records *r, const char *bytes, size_t n, void (*on)(void *arg, enum am_record kind),
                    void *arg);
/* Before n more bytes are fed, `ms` after the worker's start: -AM_E_CRASHED and broken when it says more than it can
 * have to say. */
int am_records_pace(struct am_records *r, size_t n, int64_t ms);
/* The stream has ended: a line without end is a broken protocol. */
int am_records_end(struct am_records *r);
void am_records_done(struct am_records *r);

#endif
