/*
 * result.h - writes result.ndjson into the staging folder: one JSON object a line, hashed as it goes, with the ceilings
 * of contract.md. Ownership: am_result_put takes the record. am_result_done() is safe on a zeroed struct.
 */
#ifndef AM_WORKER_RESULT_H
#define AM_WORKER_RESULT_H

#include "core/base/buf.h"
#include "core/base/hash.h"

#include <jansson.h>
#include <stdint.h>

struct am_result {
    bool open;
    int fd;
    struct am_hash *hash;
    struct am_buf pending;
    uint64_t bytes, records;
    json_t *weights; /* SHA-256 of every weight file of the result, also of those that are kept */
};

int am_result_open(struct am_result *r, int dir);
/* -AM_E_TOO_LARGE: a line above 64 KiB or a file above 64 MiB. */
int am_result_put(struct am_result *r, json_t *record);
/* Remembers a weight file of the result; what a gate knows the candidate by (compare.h). */
int am_result_weight(struct am_result *r, const char *sha256);
/* Writes `end`, fsyncs and closes; bytes and records are final then. */
int am_result_end(struct am_result *r, char ret_sha256[65]);
void am_result_done(struct am_result *r);

#endif
