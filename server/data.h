/*
 * data.h - the samples of a dataset's version as far as the daemon knows them: ids, classes, values of fields and
 * places of lines, out of the columns that the worker laid out (worker/contract.md). The columns are read in small
 * windows; nothing is held whole. "Entry" is a number in the order of the ids, "row" one in the order of the file.
 */
#ifndef AM_SERVER_DATA_H
#define AM_SERVER_DATA_H

#include "core/base/err.h"
#include "storage/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define AM_SAMPLE_ID_MAX 128
#define AM_SAMPLE_NO_LABEL INT32_MIN

struct am_column { /* n numbers of `size` bytes at `at` of a file; not owned */
    int fd;
    uint64_t at, n;
    unsigned size;
    uint64_t first, have; /* what of it the window holds */
    unsigned char window[4096];
};
/* -AM_E_STORE_DAMAGED: it is not in a file of `bytes`. */
int am_column_open(struct am_column *ret, int fd, uint64_t bytes, int64_t at, unsigned size, uint64_t n);
int am_column_get(struct am_column *c, uint64_t i, void *ret);

struct am_ids { /* texts in the order of their bytes: a dictionary */
    uint64_t n;
    struct am_column offset, bytes;
};
int am_ids_open(struct am_ids *ret, int fd, uint64_t file_bytes, int64_t offsets_at, int64_t bytes_at, uint64_t n);
/* Entry i as a text. */
int am_ids_get(struct am_ids *d, uint64_t i, char ret[AM_SAMPLE_ID_MAX + 1]);
/* The place of `id` at `from` or later: 1 found, 0 not there; *ret is where it is or would be. Near ones are fast. */
int am_ids_find(struct am_ids *d, const char *id, uint64_t from, uint64_t *ret);

struct am_data {
    int64_t version, number, rows, layout;
    char dataset[200], sha256[65], ids_sha256[65];
    bool lines; /* JSON Lines */
    json_t *about;
    int ids_fd, rows_fd;
    uint64_t rows_bytes;
    struct am_ids ids;
    struct am_column row, entry; /* U32: of an entry its row, and the other way round */
};
/* A version of a dataset by the id of its row. On failure a sentence in `why`. */
int am_data_open(struct am_data *ret, struct am_store *store, int64_t version, char *why, size_t why_cap);
/* "label" or "line" or that of a field; -AM_E_NOT_FOUND: it has none. */
int am_data_column(const struct am_data *s, const char *name, struct am_column *ret);
/* Where `text` stands in a list of `about`, whose texts are in the order of their bytes: the number that its column has
   of it. -1: it is not there. */
int64_t am_data_rank(const json_t *texts, const char *text);
void am_data_done(struct am_data *s);

#endif
