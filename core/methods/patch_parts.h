/*
 * patch_parts.h - what the files of am_run_patch() share. Private to core/methods.
 */
#ifndef AM_METHODS_PATCH_PARTS_H
#define AM_METHODS_PATCH_PARTS_H

#include "core/methods/patch.h"
#include "core/methods/run_parts.h"

enum am_patch_kind {
    AM_PATCH_FACTORS, /* weights of a module, a matrix */
    AM_PATCH_BIAS,    /* beside such weights */
    AM_PATCH_OTHER
};

struct am_patch_item { /* a tensor of the base, in the order of names */
    const struct am_tensor *base, *tuned;
    const struct am_run_input *in; /* that `tuned` is read from: what the fine-tune lacks, it has as the base does */
    enum am_patch_kind kind;
    size_t module;                       /* bytes of its module's name; 0: it is in none */
    size_t rows, cols;                   /* of AM_PATCH_FACTORS */
    bool embeds, in_out;                 /* how its factors lie; */
    bool turned;                         /* one of the two */
    bool saved;                          /* whole */
    const struct am_patch_item *weights; /* of AM_PATCH_BIAS */
    size_t rank;                         /* 0: no difference */
    size_t wide;                         /* the same, with what zeros fill up; 0: it gets no factors */
    uint64_t at;                         /* of its A in the spool; B follows */
};

struct am_patch_state {
    const struct am_run *r;
    struct am_run_state run; /* for parameters that differ from tensor to tensor */
    struct am_faults *faults;
    struct am_patch_item *item;
    size_t items;
    uint8_t dtype; /* of the factors */
    int spool;     /* descriptor of the factors found so far */
    uint64_t spooled;
    double *delta, *work;
    float *value; /* a chunk */
    unsigned char *raw;
    uint64_t bytes_done, bytes_total;
    size_t tensors_done;
    struct am_patch patch;
    struct am_output out;
    /* of the whole run, for the report */
    double squares, rest;
    uint64_t parameters;
    size_t dropped, read_f64;
};

/* ---- patch_choose.c ---- */

/* What becomes of each tensor of the base, by names and shapes. */
int am_patch_choose(struct am_patch_state *s);
/* Which of those without factors differ, and with which others they are saved. A fault for those that cannot be. */
int am_patch_compare(struct am_patch_state *s);
/* Tells the caller how far it is; it may say stop. */
int am_patch_progress(struct am_patch_state *s, uint64_t bytes);
/* A read of an input that failed. */
int am_patch_unread(struct am_patch_state *s, int rc, const char *tensor, const struct am_run_input *in);

/* ---- patch_factors.c ---- */

/* All matrices, into the spool. */
int am_patch_factors(struct am_patch_state *s);
void am_patch_factors_done(struct am_patch_state *s);

/* ---- patch_write.c ---- */

/* The file, of what is spooled and saved. */
int am_patch_write(struct am_patch_state *s);

#endif
