/*
 * pack.h - the parts of mode `pack`: an uploaded prediction set (NDJSON, compat.md 2) is checked line by line and laid
 * out as columns. Private to pack*.c and to the fuzz target. Lines are read one at a time; the columns are held in
 * memory, within a budget. Every fault of every line is told, with its line number.
 */
#ifndef AM_WORKER_PACK_H
#define AM_WORKER_PACK_H

#include "core/base/fault.h"
#include "worker/files.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_PACK_LINE_MAX 65536
#define AM_PACK_ROWS_MAX 100000000
#define AM_PACK_ID_MAX 128
#define AM_PACK_LABELS_MAX 65536
#define AM_PACK_TOP_MAX 16
#define AM_PACK_SLICES_MAX 32
#define AM_PACK_SLICE_VALUES_MAX 1000

/* ---- pack_input.c: bytes -> lines ---- */

/* Up to n bytes, 0 at the end, or a negative error. */
typedef ssize_t am_pack_read(void *ctx, void *buf, size_t n);
struct am_pack_input;
/* NULL: out of memory. `gzip`: the bytes are gzip, also of several members. */
struct am_pack_input *am_pack_input_new(am_pack_read *read, void *ctx, bool gzip, size_t line_max);
void am_pack_input_free(struct am_pack_input *in);
/* 1: a line without its line feed, valid until the next call; 0: the end; -AM_E_TOO_LARGE: a line above
   line_max, skipped, so that reading may go on; -AM_E_MALFORMED_PREDICTIONS: broken gzip; or the error of
   `read`. */
int am_pack_next(struct am_pack_input *in, const char **ret, size_t *ret_n);
uint64_t am_pack_line_number(const struct am_pack_input *in); /* of the line just given, from 1 */
uint64_t am_pack_bytes_read(const struct am_pack_input *in);  /* as uploaded */

/* ---- pack_header.c: the first line ---- */

enum am_pack_task { AM_TASK_CLASSIFICATION, AM_TASK_CHOICE, AM_TASK_MULTILABEL, AM_TASK_GENERATIVE, AM_TASK_RETRIEVAL };

struct am_pack_header {
    json_t *json; /* with its defaults filled in; owned */
    enum am_pack_task task;
    uint64_t n;
    size_t labels; /* 0: none are named */
};
/* 0, or -AM_E_MALFORMED_PREDICTIONS with every fault. */
int am_pack_header_read(struct am_pack_header *ret, const char *line, size_t n, struct am_faults *f);
void am_pack_header_done(struct am_pack_header *h);
/* One fault at "#/<line>/<member>"; always -AM_E_MALFORMED_PREDICTIONS. member may be NULL. */
int am_pack_bad(struct am_faults *f, uint64_t line, const char *member, const char *fmt, ...) AM_PRINTF(4, 5);

/* ---- pack_line.c: every other line ---- */

enum am_pack_kind { AM_PACK_NONE, AM_PACK_INT, AM_PACK_SET, AM_PACK_HASH };

struct am_pack_value {
    enum am_pack_kind kind;
    int32_t number;
    unsigned char hash[32];
    const json_t *set; /* of numbers below the count of labels */
};

struct am_pack_row { /* texts and lists are borrowed from `json` */
    json_t *json;
    const char *id, *cluster; /* cluster NULL: none */
    struct am_pack_value y, p;
    int ok; /* -1: not given */
    bool has_s, has_lp;
    double s, lp, w;
    int32_t k;
    size_t top;
    int32_t top_class[AM_PACK_TOP_MAX];
    float top_logit[AM_PACK_TOP_MAX];
    json_t *slices; /* object of texts, or NULL */
};
/* 0, or -AM_E_MALFORMED_PREDICTIONS with every fault of the line. */
int am_pack_row_read(struct am_pack_row *ret, const char *line, size_t n, uint64_t number,
                     const struct am_pack_header *h, struct am_faults *f);
void am_pack_row_done(struct am_pack_row *r);

/* ---- pack_dict.c: texts -> numbers ---- */

struct am_pack_dict { /* zero is an empty one */
    char *text;       /* each with its NUL */
    uint64_t *at;     /* of entry i in text */
    uint32_t *slot;   /* hash table: entry + 1, 0 = free; at most half full */
    size_t n, cap, slots, bytes, bytes_cap;
};
/* The number of a text, given in the order of their first use. -AM_E_TOO_LARGE: it would be the entry after `max`. */
int am_pack_dict_take(struct am_pack_dict *d, const char *text, size_t max, uint32_t *ret);
/* ret[entry] = its rank among the sorted entries; for free(). NULL: out of memory. */
uint32_t *am_pack_dict_ranks(const struct am_pack_dict *d);
json_t *am_pack_dict_sorted(const struct am_pack_dict *d); /* its texts in that order; NULL: out of memory */
const char *am_pack_dict_text(const struct am_pack_dict *d, size_t entry);
uint64_t am_pack_dict_memory(const struct am_pack_dict *d);
void am_pack_dict_done(struct am_pack_dict *d);

/* ---- pack_cols.c: rows in memory ---- */

enum am_pack_col { /* columns of a fixed width */
                   AM_COL_LINE,
                   AM_COL_Y,
                   AM_COL_P,
                   AM_COL_Y_DIGEST,
                   AM_COL_DIGEST,
                   AM_COL_Y_BITS,
                   AM_COL_P_BITS,
                   AM_COL_CORRECT, /* a byte a row here */
                   AM_COL_S,
                   AM_COL_LP,
                   AM_COL_W,
                   AM_COL_K,
                   AM_COL_CLUSTER,
                   AM_COL_TOP_CLASS,
                   AM_COL_TOP_LOGIT,
                   AM_COL_SLICE, /* and AM_PACK_SLICES_MAX of them */
                   AM_COLS = AM_COL_SLICE + AM_PACK_SLICES_MAX
};

struct am_pack_cols {
    const struct am_pack_header *h;
    uint64_t budget; /* bytes that all of this may take, with what sorting needs */
    size_t n, cap;
    char *ids; /* one after the other */
    size_t ids_n, ids_cap;
    uint64_t *id_at; /* n + 1 places in ids */
    void *col[AM_COLS];
    struct am_pack_dict clusters, slice[AM_PACK_SLICES_MAX], slice_keys;
    unsigned shape;      /* which of y, p, ok, s the first row has, and of which kind */
    uint64_t shape_line; /* where it stands */
};
/* Adds a row that was read well. -AM_E_MALFORMED_PREDICTIONS with faults; -AM_E_TOO_LARGE with a fault: over the
   budget; -AM_E_OUT_OF_MEMORY. */
int am_pack_cols_add(struct am_pack_cols *c, const struct am_pack_row *r, uint64_t line, struct am_faults *f);
size_t am_pack_col_bytes(const struct am_pack_cols *c, enum am_pack_col col); /* of one row */
void am_pack_cols_done(struct am_pack_cols *c);

/* ---- pack_sort.c ---- */

/* order[i] = the row that is the i-th by (id, k), and by the row for what is there twice. Of the columns only ids,
   id_at and k are looked at. */
int am_pack_sort(const struct am_pack_cols *c, uint32_t *order);
/* The rows in the order of (id, k), for free(); every pair that is there twice is a fault. NULL: a negative code in
 *ret_rc. */
uint32_t *am_pack_order(const struct am_pack_cols *c, struct am_faults *f, int *ret_rc);
bool am_pack_same_id(const struct am_pack_cols *c, size_t a, size_t b);

/* ---- pack_write.c ---- */

struct am_pack_counts {
    uint64_t ids;
    int64_t correct;                             /* -1: not known */
    uint64_t offsets_at, bytes_at, row_at, y_at; /* where these columns begin in their files; y_at 0: there is none */
    uint32_t columns;                            /* of core/table/plan_compare.h */
};
/* The dictionary alone; of the columns only ids and id_at are looked at. */
int am_pack_write_ids(struct am_pack_cols *c, const uint32_t *order, int dir, unsigned number, struct am_staged *ret,
                      struct am_pack_counts *ret_counts);
/* The two files into folder `dir`, as f<first> (ids) and the next number (packed), synced. The columns are changed:
   texts are numbered by rank. */
int am_pack_write(struct am_pack_cols *c, const uint32_t *order, int dir, unsigned first, struct am_staged ret[2],
                  struct am_pack_counts *ret_counts);

#endif
