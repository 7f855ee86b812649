/*
 * index.h - the parts of mode `index`: an uploaded dataset (JSON Lines or safetensors, api.md 3.5) is read once, every
 * row is checked, and what is asked of it later is laid out as columns: ids, labels, places of lines, values of fields.
 * Private to index*.c and to the fuzz target. What is held in memory is a few numbers and the id of each row, never the
 * samples. Every fault is told, with its row.
 */
#ifndef AM_WORKER_INDEX_H
#define AM_WORKER_INDEX_H

#include "core/base/buf.h"
#include "core/tensor/safetensors.h"
#include "worker/pack.h"

#define AM_INDEX_LINE_MAX (1u << 20)
#define AM_INDEX_ROWS_MAX AM_PACK_ROWS_MAX
#define AM_INDEX_FIELDS_MAX 256     /* members of the rows, or tensors */
#define AM_INDEX_CHOICES_MAX 32     /* fields by which rows can be chosen */
#define AM_INDEX_VALUES_MAX 1000    /* different values of such a field, ... */
#define AM_INDEX_VALUE_BYTES 256    /* ... each at most so long, ... */
#define AM_INDEX_VALUES_BYTES 65536 /* ... all of them together */
#define AM_INDEX_NAME_MAX 256
#define AM_INDEX_CLASSES_MAX 10000 /* of labels that are texts */
#define AM_INDEX_ABOUT_MAX (16u << 20)
#define AM_INDEX_NO_LABEL INT32_MIN

enum am_index_format { AM_INDEX_SAFETENSORS, AM_INDEX_JSONL };
enum am_index_labels { AM_LABELS_NONE, AM_LABELS_NUMBER, AM_LABELS_TEXT, AM_LABELS_OTHER /* no classes */ };

struct am_index_field {
    char *name;
    const char *kind; /* a dtype, or text, int, real, bool, list, object, null, mixed */
    json_t *shape;    /* of a tensor; else NULL */
    uint64_t rows;    /* that have it */
    bool choosable;   /* by `value`; else there are too many or too long ones, or they are no scalars */
    int32_t *value;   /* by row: number in `values`, -1 = none */
    size_t cap;
    struct am_pack_dict values;
};

/* Reading: `read` gives exact bytes of a file of `bytes`; `step` is called now and then, and may be NULL. */
struct am_index_source {
    am_read_fn read;
    void *ctx;
    uint64_t bytes;
    int (*step)(void *ctx, uint64_t rows, uint64_t bytes);
};

struct am_index { /* zero but for format and row_ids is an empty one */
    enum am_index_format format;
    bool row_ids; /* rows without ids are numbered */
    bool own_ids; /* they have ids */
    size_t n, cap;
    struct am_pack_cols ids; /* n, ids and id_at only */
    enum am_index_labels labels;
    int32_t *label; /* by row, or NULL; AM_INDEX_NO_LABEL */
    uint64_t labels_row;
    struct am_pack_dict names; /* of labels that are texts; label = number in it */
    uint64_t *line;            /* of JSON Lines: where row i begins; n + 1 */
    struct am_index_field field[AM_INDEX_FIELDS_MAX];
    size_t fields, choices;
    struct am_faults *f;
};

/* One fault at "#/<row>/<member>", or "#/<member>" for row -1; always -AM_E_MALFORMED_DATASET. member may be NULL. */
int am_index_bad(const struct am_index *x, int64_t row, const char *member, const char *fmt, ...) AM_PRINTF(4, 5);
/* Room for one more row. */
int am_index_grow(struct am_index *x);
/* The id of the row that is being added (row n); checks its length. -AM_E_MALFORMED_DATASET with a fault. */
int am_index_put_id(struct am_index *x, const char *id, size_t len);
int am_index_put_row_id(struct am_index *x);
void am_index_done(struct am_index *x);

/* index_fields.c: the field of that name, made when new. NULL in *ret and a fault: too many. */
int am_index_field(struct am_index *x, const char *name, struct am_index_field **ret);
/* Row n of it is the scalar `text`, or (NULL) something that cannot be chosen by. */
int am_index_field_put(struct am_index *x, struct am_index_field *f, const char *kind, const char *text);
/* Texts are numbered by rank: the columns no longer tell of the order of the rows. */
int am_index_fields_end(struct am_index *x);

/* index_lines.c, index_tensors.c: 0, or -AM_E_MALFORMED_DATASET with every fault, or another error. */
int am_index_lines(struct am_index *x, const struct am_index_source *s);
int am_index_tensors(struct am_index *x, const struct am_index_source *s);

/* The rows in the order of their ids, for free(); ids that are there twice are faults. NULL: a code in *ret_rc. */
uint32_t *am_index_order(const struct am_index *x, int *ret_rc);

/* index_write.c: the columns as one safetensors file into `out`; *ret_columns: {"name": byte where it begins}, a new
   reference. */
int am_index_write_rows(struct am_index *x, const uint32_t *order, const char *ids_sha256, struct am_buf *out,
                        json_t **ret_columns);
/* What the daemon keeps of it (contract.md); ids: where the columns of the dictionary begin. New reference. */
json_t *am_index_about(const struct am_index *x, const json_t *columns, const struct am_pack_counts *ids);

/* index_unpack.c: gzip, read to its end, into `fd`. -AM_E_TOO_LARGE: more than `max`; -AM_E_MALFORMED_DATASET: broken
   or cut off. `step` gets the bytes read. */
int am_index_unpack(int from, int to, uint64_t max, int (*step)(void *ctx, uint64_t rows, uint64_t bytes), void *ctx,
                    uint64_t *ret_bytes, char ret_sha256[65]);

#endif
