/*
 * files.h - single files of a version on their way into staging: their class (hub.md 2.3), their hashes, their records.
 */
#ifndef AM_WORKER_FILES_H
#define AM_WORKER_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_STAGED_NAME 16
struct am_staged {
    char name[AM_STAGED_NAME]; /* in staging: "f<n>"; empty: assembled from spans */
    bool lfs;
    uint64_t bytes;
    char sha256[65], git_sha1[41]; /* git_sha1 is empty for class lfs */
};

/* Class lfs? `head`: the first bytes of the file, 512 of them or all. */
bool am_file_is_lfs(const char *path, uint64_t bytes, const void *head, size_t head_n);
/* A weight file of any format or its index: derived from other bytes, so it never goes into a result unchanged. */
bool am_file_is_weights(const char *path);

struct am_copy {
    int fd;           /* source, read from 0 to `bytes` */
    const char *path; /* in the version */
    uint64_t bytes;
    const char *staged; /* it is in the folder already, by this name, and is only hashed; NULL: it is not */
    int (*step)(void *ctx, uint64_t bytes); /* after each part; negative stops */
    void *ctx;
};
/* Copies into folder `dir` as f<number>, hashing, and fsyncs. -AM_E_STORE_DAMAGED: the source shrank or grew meanwhile.
 */
int am_stage_copy(struct am_staged *ret, int dir, unsigned number, const struct am_copy *copy);
/* The same for bytes in memory. */
int am_stage_bytes(struct am_staged *ret, int dir, unsigned number, const char *path, const void *bytes, size_t n);

json_t *am_file_record(const char *path, const struct am_staged *s, bool weights);
json_t *am_tensor_record(const char *name, uint8_t dtype, const uint64_t *shape, unsigned rank, uint64_t begin,
                         uint64_t end);

#endif
