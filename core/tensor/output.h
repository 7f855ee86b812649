/*
 * output.h - the weight files of a result: laid out before any arithmetic, written by windows at fixed places, hashed
 * in file order. Writes model.safetensors, or model-00001-of-0000N.safetensors and model.safetensors.index.json when
 * shard_bytes is passed. Files are staged under plain names in one folder ("f0", "f1", ...); nothing is renamed here.
 * Or, with a plan, files in given places: whole ones under the donor's paths, and change blobs, which core/tensor/
 * assemble.h makes part of a file.
 * Ownership: am_output owns its descriptors and tables until am_output_done().
 */
#ifndef AM_TENSOR_OUTPUT_H
#define AM_TENSOR_OUTPUT_H

#include "core/base/hash.h"
#include "core/tensor/safetensors.h"

#include <stdbool.h>
#include <stdint.h>

#define AM_SHARDS_MAX 1000 /* each keeps a descriptor open until the end */

struct am_out_file {
    const char *path; /* in the version: "model-00001-of-00003.safetensors"; NULL: a change blob */
    char name[64];    /* what `path` points to when it is made here */
    uint32_t donor;   /* of a plan: the donor's file that this takes the place of, or changes */
    char staged[16];  /* in the staging folder */
    char sha256[65];  /* after am_output_finish */
    uint64_t bytes;
    int fd;
    struct am_hash *hash;
    uint64_t hashed; /* bytes hashed so far */
    size_t first, n; /* its tensors: am_output.t[first .. first + n) */
};

struct am_out_tensor {
    struct am_st_out st; /* begin/end: bytes in its file */
    uint32_t file;
    void *user; /* the caller's */
};

struct am_output {
    struct am_out_tensor *t; /* in the order of files and of bytes in them: the order to write in */
    size_t tensors;
    struct am_out_file *file;
    size_t files;
    uint64_t data_bytes;
    bool planned; /* opened with a plan: the donor's files that no file here names stay as they are */
    int dir;
};

/* What goes in, in the donor's order (which decides the shard); `user` comes back in am_out_tensor. Names and shapes
 * are borrowed. */
struct am_out_want {
    const char *name;
    const uint64_t *shape;
    uint8_t dtype, rank;
    void *user;
};

/* Where each tensor goes when the files are those of the donor. */
struct am_out_place {
    const char *path; /* borrowed; NULL: a change blob, which has no __metadata__ */
    uint32_t donor;
};
struct am_out_plan {
    const struct am_out_place *place;
    size_t files;
    const uint32_t *of; /* for each wanted tensor its place; ascending */
};

/* Lays out, creates and fallocates the files in folder `dir`, writes and hashes the headers. shard_bytes 0: one file.
   `first_number`: the n of the first staged name "f<n>". -AM_E_TOO_LARGE: more than AM_SHARDS_MAX
   files, more bytes than a file can have, or a header above 100,000,000 bytes. A failure leaves no file behind. */
int am_output_open(struct am_output *ret, int dir, unsigned first_number, const struct am_out_want *want, size_t n,
                   uint64_t shard_bytes);
/* The same with the files of a plan; there may be none. */
int am_output_open_as(struct am_output *ret, int dir, unsigned first_number, const struct am_out_want *want, size_t n,
                      const struct am_out_plan *plan);
/* Writes n bytes of tensor t at `off` in it. Thread-safe for disjoint ranges. */
int am_output_write(const struct am_output *o, const struct am_out_tensor *t, const void *bytes, size_t n,
                    uint64_t off);
/* Takes the bytes into the file's hash; must be called in file order, once for every byte of data. */
int am_output_hash(struct am_output *o, const struct am_out_tensor *t, const void *bytes, size_t n);
/* The `n` bytes that were hashed last go on their way to the disk, so that the sync at the end is short. */
void am_output_behind(const struct am_output *o, const struct am_out_tensor *t, uint64_t n);
/* fsync and close every file; fills in sha256. -AM_E_INTERNAL when a file was not hashed to its end (a bug). */
int am_output_finish(struct am_output *o);
/* The bytes of model.safetensors.index.json for free(). NULL: there is one file, or memory is short. */
char *am_output_index_json(const struct am_output *o);
void am_output_done(struct am_output *o);

#endif
