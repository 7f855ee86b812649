/*
 * report_files.h - the stored files of a report, read a page at a time: its slices, which are lines of JSON, and its
 * samples, a table by columns (worker/contract.md) of which only the cells that are asked for are read.
 * Ownership: am_samples owns what it holds until am_samples_close(); safe on a zeroed struct with fd -1.
 */
#ifndef AM_SERVER_REPORT_FILES_H
#define AM_SERVER_REPORT_FILES_H

#include "storage/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Calls row() for each line from number `first` on (from 0), until it returns other than 0: negative is passed on,
   above 0 ends the walk well. The value is borrowed. -AM_E_STORE_DAMAGED: the file is not there or cannot be read. */
int am_slices_walk(struct am_store *store, const char *sha256, int64_t first,
                   int (*row)(void *ctx, int64_t number, json_t *slice), void *ctx);

enum am_sample_column {
    AM_SAMPLE_OFFSETS,
    AM_SAMPLE_BYTES,
    AM_SAMPLE_CELL,
    AM_SAMPLE_Y,
    AM_SAMPLE_OLD_P,
    AM_SAMPLE_NEW_P,
    AM_SAMPLE_OLD_LP,
    AM_SAMPLE_NEW_LP,
    AM_SAMPLE_OLD_S,
    AM_SAMPLE_NEW_S,
    AM_SAMPLE_D,
    AM_SAMPLE_K,
    AM_SAMPLE_COLUMNS
};

struct am_sample_slice {
    const char *key;
    json_t *values; /* borrowed from meta: list of text */
    uint64_t at;    /* of the column, in the file */
};

struct am_samples {
    int fd;
    uint64_t n, id_bytes;
    uint64_t at[AM_SAMPLE_COLUMNS]; /* of each column in the file; 0: it has none */
    json_t *header, *meta;
    struct am_sample_slice *slice;
    size_t slices;
};
int am_samples_open(struct am_samples *ret, struct am_store *store, const char *sha256);
void am_samples_close(struct am_samples *s);

/* Which samples: a set of cells as bits, and those of one slice. */
struct am_sample_filter {
    unsigned cells; /* bits 0 to 5, in the order of core/compat/cells.h */
    enum { AM_ANY_SLICE, AM_BY_LABEL, AM_BY_SLICE } by;
    uint64_t at; /* the I32 column, and the value that it must have */
    int32_t value;
};
#define AM_CELLS_ALL 63u
/* false: there is no such slice. `text` is key=value; "label=5" goes by the truth. */
bool am_samples_slice(const struct am_samples *s, const char *text, struct am_sample_filter *ret);
/* At most `max` row numbers from `first` on that pass, in order. Returns how many, or a negative error. */
int64_t am_samples_find(const struct am_samples *s, const struct am_sample_filter *f, uint64_t first, uint64_t *ret,
                        size_t max);
/* One row as an object (schema ReportSample). New reference; NULL: *ret_rc. */
json_t *am_samples_row(const struct am_samples *s, uint64_t row, int *ret_rc);

#endif
