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
    bool hello, done, failed;
    int broken;    /* 0, or the positive error: the protocol was broken and nothing more is read */
    char why[256]; /* of broken */
    int64_t pid;
    char program[64], kernels[32];
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
/* The stream has ended: a line without end is a broken protocol. */
int am_records_end(struct am_records *r);
void am_records_done(struct am_records *r);

#endif
