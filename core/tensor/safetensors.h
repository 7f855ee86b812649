/*
 * safetensors.h - reading and writing the header of a safetensors file (safetensors.md 1 to 3).
 * Not a JSON library and not a loader of tensor data. Runs in the worker, and in the client's `amend verify`.
 * Ownership: am_st owns its arrays until am_st_done(); safe on a zeroed struct.
 */
#ifndef AM_TENSOR_SAFETENSORS_H
#define AM_TENSOR_SAFETENSORS_H

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/tensor/dtype.h"

#include <stdint.h>

struct am_st_entry {
    const char *name; /* UTF-8, unescaped, NUL-terminated; in the arena of the am_st */
    const uint64_t *shape;
    uint8_t dtype, rank;
    uint64_t begin, end; /* bytes in the FILE (8 + N already added) */
};

struct am_st_meta {
    const char *key, *value;
};

struct am_st {
    uint64_t header_bytes; /* N */
    uint64_t file_bytes;
    struct am_st_entry *v; /* sorted by name (bytes) */
    size_t n;
    struct am_st_meta *meta; /* in file order */
    size_t meta_n;
    void *arena; /* opaque */
};

struct am_st_limits {
    uint64_t header_bytes; /* at most this N (rule header_limit); default 25,000,000; never above 100,000,000 */
    uint64_t tensors;      /* default 200,000 */
};
#define AM_ST_LIMITS_DEFAULT ((struct am_st_limits){25000000, 200000})

/* Reads exactly n bytes at `off`; 0 or a negative error. */
typedef int (*am_read_fn)(void *ctx, void *buf, size_t n, uint64_t off);

/*
 * Reads and checks a header. `file` is the name that faults carry.
 * Returns 0; -AM_E_MALFORMED with every fault (up to 20, in offset order, each with .reason = the rule of
 * safetensors.md 1.3, .tensor where it applies, .file) appended to `faults`; or the error of `read` /
 * -AM_E_OUT_OF_MEMORY. Memory: the names and about 60 bytes a tensor; the header itself is pulled in 64 KiB windows and
 * never held whole.
 */
int am_st_read(struct am_st *ret, am_read_fn read, void *ctx, uint64_t file_bytes, struct am_st_limits limits,
               const char *file, struct am_faults *faults);
const struct am_st_entry *am_st_find(const struct am_st *st, const char *name); /* NULL when absent */
void am_st_done(struct am_st *st);

/* A tensor to be written; begin/end are filled in by am_st_write_header (bytes in the file). */
struct am_st_out {
    const char *name;
    const uint64_t *shape;
    uint8_t dtype, rank;
    uint64_t begin, end;
};

/*
 * Lays out a file in the order of the reference writer (descending dtype, then name), appends the first 8 + N bytes to
 * `out`, sorts `v` into file order and fills in begin and end. meta_key/meta_value: one metadata pair ("format", "pt"),
 * or NULL for none. -AM_E_TOO_LARGE: header above 100,000,000 bytes.
 */
int am_st_write_header(struct am_st_out *v, size_t n, const char *meta_key, const char *meta_value, struct am_buf *out);

#endif
