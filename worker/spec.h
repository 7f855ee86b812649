/*
 * spec.h - the job as the daemon wrote it on descriptor 0 (contract.md), checked and as plain data.
 * Ownership: a spec owns its JSON and tables; every text is borrowed from the JSON. The done functions are safe on
 * zeroed structs.
 */
#ifndef AM_WORKER_SPEC_H
#define AM_WORKER_SPEC_H

#include "core/base/fault.h"
#include "core/tensor/model.h"
#include "worker/limits.h"

#include <jansson.h>

#define AM_FD_STAGING 4
#define AM_FD_FIRST 5 /* of the inputs */

struct am_spec_fds { /* every descriptor the spec names, once each */
    int *v;
    size_t n, cap;
};

struct am_spec_other { /* a file of the donor that is no weight file */
    struct am_file file;
    bool readable;
};

struct am_spec_input {
    const char *role, *label;
    uint32_t from, to;     /* of a part of a stack: its layers; else 0 */
    bool no_ends, none;    /* ... without what lies before and after them; without any tensor */
    size_t of;             /* role "adapter": the input that it is added to, */
    struct am_file config; /* and its adapter_config.json */
    json_t *params;        /* object or NULL */
    const char **module;   /* what the names of the tensors that it takes part in begin with; NULL: all */
    size_t modules;
    struct am_file *file;
    size_t files;
    struct am_spec_other *text; /* small files about its tokenizer, when the job asks about that */
    size_t texts;
};

struct am_spec_run {
    json_t *root, *params, *recipe;
    json_t *tokenizer;         /* options.tokenizer, or NULL */
    const char *chat_template; /* or NULL */
    bool truncate;             /* options.vocab */
    const char *type, *method, *model;
    unsigned threads;
    int out_dtype; /* -1 = the donor's */
    uint64_t shard_bytes, seed;
    double post_layers_t;
    const char *missing, *extra; /* "present" or "base", "keep" or "drop"; NULL: refused */
    double assemble_fraction;    /* 0: every file is written whole */
    unsigned max_blobs;
    const char **blob; /* SHA-256 of descriptor AM_FD_FIRST + i */
    size_t blobs;
    struct am_spec_input *input;
    size_t inputs, donor;
    struct am_spec_other *other;
    size_t others;
    struct am_spec_fds fds;
};

struct am_spec_import_file {
    const char *path;
    uint64_t bytes;
    int fd;
    const char *staged; /* the name in staging that it has already; NULL: it is to be copied there */
};

struct am_spec_import {
    json_t *root;
    struct am_st_limits limits;
    struct am_spec_import_file *file;
    size_t files;
    struct am_spec_fds fds;
};

/* Reads descriptor `fd` to its end, at most 64 MiB, and parses it. -AM_E_BAD_SPEC with a fault. */
int am_spec_load(int fd, json_t **ret, struct am_faults *faults);
/* The member `limits`, which all modes have. -AM_E_BAD_SPEC with a fault. */
int am_spec_limits(struct am_limits *ret, json_t *root, struct am_faults *faults);
/* `root` is taken. -AM_E_BAD_SPEC with faults (JSON Pointers into the spec), -AM_E_UNSUPPORTED for another proto. */
int am_spec_run(struct am_spec_run *ret, json_t *root, struct am_faults *faults);
int am_spec_import(struct am_spec_import *ret, json_t *root, struct am_faults *faults);
void am_spec_run_done(struct am_spec_run *s);
void am_spec_import_done(struct am_spec_import *s);

#endif
