/*
 * verify.h - amend verify DIR: what can be checked of a model's directory without a daemon. The files are collected
 * once (verify_walk.c), the hashes that the directory tells of itself are read (verify_manifest.c), then each file is
 * checked (verify_file.c, verify_index.c). Nothing is changed and nothing is sent. Ownership: am_verify owns its files
 * and faults until am_verify_done(); safe on a zeroed one.
 */
#ifndef AM_CLI_VERIFY_H
#define AM_CLI_VERIFY_H

#include "cli/cli.h"
#include "core/base/fault.h"
#include "core/tensor/safetensors.h"

struct am_verify_file {
    char *path; /* inside the directory */
    uint64_t bytes;
    bool safetensors, index, listed; /* listed: a hash of it is known */
    bool parsed;                     /* `head` is a sound header */
    struct am_st head;
    char *want, *want_from;  /* a hash in hex, 64 digits of SHA-256 or 40 of a git blob; and who says so. Or NULL */
    char *said;              /* what was checked, in words */
    struct am_faults faults; /* of this file */
};

struct am_verify {
    struct am_cli *c;
    const char *dir;
    struct am_verify_file *file; /* sorted by path */
    size_t n, cap, left_out;
    uint64_t total, done; /* bytes to hash */
    int64_t start, drawn;
};

struct am_verify_file *am_verify_find(const struct am_verify *v, const char *path);
/* Each returns 0 or an exit code after it has said why; what is wrong with a file goes to its faults. */
int am_verify_walk(struct am_verify *v);
int am_verify_manifest(struct am_verify *v);
int am_verify_file(struct am_verify *v, struct am_verify_file *f);  /* header, JSON, hash */
int am_verify_index(struct am_verify *v, struct am_verify_file *f); /* after all headers were read */
/* One more thing that was checked. */
void am_verify_say(struct am_verify_file *f, const char *fmt, ...) AM_PRINTF(2, 3);
void am_verify_done(struct am_verify *v);

#endif
