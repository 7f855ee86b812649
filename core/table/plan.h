/*
 * plan.h - what a job needs, from the tensor tables of its inputs alone: a streaming merge-join over tables sorted by
 * name, and the layout of the result. Reads no weights; memory does not depend on the number of tensors.
 * Ownership: am_plan owns its list of files until am_plan_done(); safe on a zeroed struct.
 */
#ifndef AM_TABLE_PLAN_H
#define AM_TABLE_PLAN_H

#include "core/base/fault.h"
#include "core/table/body.h"
#include "core/table/json_util.h"

#include <stdbool.h>
#include <stdint.h>

struct am_plan_tensor { /* valid until the next call of the same cursor */
    const char *name;
    const char *dtype;     /* "F32" */
    const char *shape;     /* JSON text "[10,128]" */
    const char *file;      /* path; only the layout of the result looks at it and at `begin` */
    uint64_t begin, bytes; /* begin: byte in the file */
    bool adapted;          /* an adapter changes it: its value is not what is stored */
    bool still;            /* the change that is carried over leaves it as it is */
};

struct am_plan_input {
    /* 1 = a tensor, 0 = end, negative = error. Tensors come sorted by name (bytes). */
    int (*next)(void *cursor, struct am_plan_tensor *ret);
    void *cursor;
    /* Of a donor, or NULL: whether the last tensor was added to it by options.extra "keep", so that inputs may lack it.
     */
    bool (*added)(const void *cursor);
    const char *label;        /* "demo/rot90@v1" */
    const char *pointer;      /* "#/inputs/models/1" */
    uint64_t spans;           /* that its weight files are read from */
    bool names_only;          /* am_plan_names_only() */
    bool beside;              /* am_plan_beside() */
    json_t *modules;          /* prefixes of the names of the tensors that it takes part in; NULL: all. Borrowed */
    uint64_t held;            /* bytes for its adapters; 0: none */
    size_t group;             /* inputs with the same number have the same tokenizer.json */
    uint64_t tokenizer_bytes; /* of that file, if the job reads it */
};

#define AM_PLAN_TOLD 5 /* names in a am_plan_told */

struct am_plan_told { /* tensors that a warning is about */
    uint64_t n;
    char some[AM_LIST_TEXT]; /* names of the first ones */
};

struct am_plan_file {
    char *path;
    uint64_t bytes;
    bool assembled; /* a donor's: it is put together from spans already */
};

/* What the run holds in memory, counted while the tables are walked. Sums are over the tensors of all inputs, or of the
 * result. */
struct am_plan_need {
    uint64_t tile, tiles; /* bytes of the largest f32 tile of a slot, and how many it has */
    uint64_t idle;        /* tiles of them into which no source is widened: there, and not touched */
    uint64_t in, out;     /* bytes as stored: of the largest chunks of all sources, the largest window of the result */
    uint64_t other;       /* bytes of the largest window of two inputs that are compared */
    uint64_t windows, copies;       /* of the whole result: computed, copied */
    uint64_t acc, accs;             /* bytes of a scope's accumulator, and how many of them there are */
    uint64_t lists, elements;       /* of a scope, and of the largest tensor, which says how long they are */
    uint64_t fixed;                 /* bytes of what else a slot has: its accumulator, tally, parameters */
    uint64_t entries, text;         /* tensors of all inputs, and the bytes of their names and shapes */
    uint64_t spans;                 /* that the inputs are read from */
    uint64_t tensors;               /* of the donor */
    uint64_t out_entries, out_text; /* of them, those that are written */
    bool others;                    /* there are inputs beside the donor */
    uint64_t header;                /* bytes of the longest header of the donor that becomes a blob */
    bool hashes;                    /* files are assembled, and hashed at the end */
    bool by_tensor;                 /* statistics of one tensor at a time */
    bool by_row;                    /* tiles are rows */
    uint64_t row_bytes, rows;       /* kept for each row by a scope, and the most rows of a tensor */
    uint64_t column_bytes, columns; /* of an accumulator for each column, and the most columns of a tensor */
    bool masked;                    /* bits are kept for the elements of a tensor: */
    uint64_t masks;                 /* ... of the largest that they are kept for */
    bool blas;                      /* the worker loads OpenBLAS */
    uint64_t whole, whole_read; /* bytes for the largest tensors that are computed whole: to work with, and as f32 */
    bool by_slab;               /* tiles are all elements with the same first index */
    uint64_t report;            /* bytes of the numbers of a computed tensor */
    uint64_t varied;            /* bytes of what differs from tensor to tensor, of each of the donor's */
    uint64_t held;              /* bytes of adapters */
    uint64_t filled, most;      /* of an adapter: bytes of one rank of all factors that have the largest; that rank */
    uint64_t vocab;             /* bytes of tokenizers and of the maps of rows */
};

#define AM_PLAN_ROWS 32 /* tensors with a row for each token */
struct am_plan_rows {
    char *name;
    uint64_t rows; /* that it has in the result; more than that are planned when tokenizers are joined */
};

struct am_plan {
    uint64_t tensors, read_bytes;
    uint64_t write_bytes;  /* new weight files and blobs of the result, headers included */
    uint64_t shared_bytes; /* of the result's weight files, what the donor has already */
    uint64_t peak_memory_bytes, disk_bytes;
    struct am_plan_need need;
    struct am_plan_file *file; /* the weight files of the result, by path */
    size_t files;
    const char *dtype; /* of all computed tensors of the result; NULL: several, or none */
    char **passed;     /* tensors of the donor that are passed on, for others lack them; by name */
    size_t passed_n, passed_cap;
    /* merged from some, passed on, left out, in no module of any input */
    struct am_plan_told from_some, kept, dropped, outside, cropped;
    struct am_plan_rows row[AM_PLAN_ROWS]; /* whose rows are not the donor's as they are */
    size_t rows;
    bool cut; /* inputs have more rows than the result: options.vocab says "truncate" */
};

/* Whether input i of the body gives names and dtypes and its numbers are never read (needs.base "donor"). */
bool am_plan_names_only(const struct am_body *b, size_t i);
/* Whether input i of the body is read beside those that the method counts as its models: a merge's base, what
 * unlearning compares with. */
bool am_plan_beside(const struct am_body *b, size_t i);
/* Whether the method computes the tensors of that name. A method that chooses in its own way may leave some out. */
bool am_plan_selects(const struct am_body *b, const char *name);

/* Peak memory of a run, in bytes: the one place of this formula. It is the resident size of the worker: its own, the
 * tables of the tensors, a window in each slot, what stays over the passes, the accumulators. */
uint64_t am_plan_memory(const struct am_plan_need *need, unsigned threads);

/* How long a run takes, estimated from the bytes it moves: decides on the slot kept for short jobs, promises nothing.
 */
double am_plan_seconds(const struct am_plan *p);

/*
 * Sums and memory. Faults, all at once: tensor-missing and tensor-extra against the donor, shape, dtypes that are not
 * computed and differ, quantised dtypes (reason, code and wording of merge.md B19), no tensors at all. out_dtype that
 * is not computed. Nothing to compute (selection-empty). `donor` indexes `in`.
 */
int am_plan_make(struct am_plan *ret, const struct am_body *b, struct am_plan_input *in, size_t n, size_t donor,
                 unsigned threads, struct am_faults *faults);

struct am_plan_donor {
    const struct am_plan_file *file; /* its weight files by path */
    size_t files;
    /* Calls each() for every tensor, by name or by file and place in it; a negative return ends the walk and is passed
       on. */
    int (*walk)(void *ctx, bool by_place, int (*each)(void *arg, const struct am_plan_tensor *t), void *arg);
    void *ctx;
    double assemble_fraction;
};

/*
 * The second step: the files of the result with their exact sizes, laid out as core/methods/run_files.c and
 * core/tensor/output.c will (a unit test holds them together), and with them what is written and shared. What cannot be
 * known before is taken as the larger: a method that chooses tensors in its own way or finds nothing to change, and the
 * consolidation of files that are spread over many blobs. -AM_E_INVALID_PARAMS with a fault: too many shards.
 */
int am_plan_output(struct am_plan *p, const struct am_body *b, const struct am_plan_donor *donor, unsigned threads,
                   struct am_faults *faults);
void am_plan_done(struct am_plan *p);

#endif
