/*
 * _packed.h - a packed prediction set (worker/contract.md, `pack`) and the dictionary of its ids, as columns in memory.
 * This program wrote them, and they are held to their sizes, dtypes and ranges all the same: the worker trusts no
 * bytes. What the metadata says comes in as plain data, since JSON is the caller's. Columns of 4 bytes are loaded;
 * wider ones are read window by window.
 * Ownership: a set owns its columns until am_packed_done(), which is safe on a zeroed one; descriptors and the meta are
 * the caller's.
 */
#ifndef AM_EVALUATE_PACKED_H
#define AM_EVALUATE_PACKED_H

#include "core/tensor/safetensors.h"

#include <stdbool.h>

#define AM_PACKED_ROWS_MAX 100000000
#define AM_PACKED_ID_MAX 128
#define AM_PACKED_TOP 16
#define AM_PACKED_KEYS_MAX 32

struct am_packed_key { /* one key of slices */
    const char *key, *tensor;
    const char *const *values;
    size_t values_n;
};

struct am_packed_meta {
    uint64_t rows, ids, clusters;
    const char *ids_sha256;
    const char *const *labels; /* names of the classes; labels_n 0: they have none */
    size_t labels_n;
    struct am_packed_key key[AM_PACKED_KEYS_MAX];
    size_t keys;
};

enum am_packed_col {
    AM_PACKED_Y,
    AM_PACKED_P,
    AM_PACKED_S,
    AM_PACKED_LP,
    AM_PACKED_W,
    AM_PACKED_K,
    AM_PACKED_CLUSTER,
    AM_PACKED_SLICE, /* and AM_PACKED_KEYS_MAX of them */
    AM_PACKED_COLS = AM_PACKED_SLICE + AM_PACKED_KEYS_MAX
};

struct am_packed {
    int fd;
    uint64_t bytes;
    const char *name; /* that faults carry */
    struct am_st head;
    const struct am_packed_meta *meta;
    size_t rows;
    uint64_t *correct; /* bitset, bits beyond the rows 0; NULL: only scores are known */
    uint32_t *id;      /* of each row, into the dictionary; NULL: row i has id i */
    void *col[AM_PACKED_COLS];
};

/* Reads the header; the caller then finds the metadata in head.meta. -AM_E_STORE_DAMAGED with a fault for everything
   that is not as it was written, here and below. */
int am_packed_open(struct am_packed *ret, int fd, uint64_t bytes, const char *name, struct am_faults *f);
/* Loads the columns of 4 bytes and checks each value. `meta` is borrowed. */
int am_packed_load(struct am_packed *p, const struct am_packed_meta *meta, struct am_faults *f);
void am_packed_done(struct am_packed *p);

static inline const int32_t *am_packed_i32(const struct am_packed *p, unsigned col)
{
    return p->col[col];
}
static inline const float *am_packed_f32(const struct am_packed *p, unsigned col)
{
    return p->col[col];
}
static inline bool am_bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

/* ---- wide columns: y_digest, digest, y_bits, p_bits, top_class, top_logit ---- */

struct am_wide {
    const struct am_packed *set;
    const struct am_st_entry *entry;
    size_t bytes; /* of a row */
    char *window;
    size_t first, n; /* the rows in the window */
};
/* A column of `dtype`, `width` elements a row. 0; 1: the set has none; or a negative error. */
int am_wide_open(struct am_wide *ret, const struct am_packed *set, const char *name, uint8_t dtype, size_t width,
                 struct am_faults *f);
/* Row `row` as it lies in the file (before any join), until the next call. Quick when rows ascend. NULL: it cannot be
   read. */
const void *am_wide_row(struct am_wide *w, size_t row);
void am_wide_done(struct am_wide *w);

/* ---- ids ---- */

struct am_ids {
    size_t n;
    uint64_t *at; /* n + 1 places in bytes */
    char *bytes;
};
/* Ascending, each once, 1 to AM_PACKED_ID_MAX bytes. */
int am_ids_load(struct am_ids *ret, int fd, uint64_t bytes, const char *name, uint64_t n, struct am_faults *f);
void am_ids_done(struct am_ids *ids);
static inline size_t am_id_len(const struct am_ids *ids, size_t i)
{
    return (size_t)(ids->at[i + 1] - ids->at[i]);
}
/* Order of their bytes. */
int am_id_compare(const struct am_ids *a, size_t i, const struct am_ids *b, size_t k);

/* One fault that a file is not what was written; always -AM_E_STORE_DAMAGED. */
int am_packed_bad(struct am_faults *f, const char *name, const char *what, const char *why);

#endif
