/*
 * run_parts.h - what run.c, run_window.c and run_stats.c share. Private to am_run().
 */
#ifndef AM_METHODS_RUN_PARTS_H
#define AM_METHODS_RUN_PARTS_H

#include "core/methods/run.h"

#define AM_COPY_BYTES (AM_WINDOW * sizeof(float)) /* span of a tensor that is copied */

struct am_run_item { /* one tensor of the output */
    const struct am_tensor *donor;
    bool selected; /* computed; else the donor's bytes */
    bool stored;   /* goes into the output; else the result refers to the donor's bytes */
    bool differs;  /* copied, and another input holds other bytes */
    uint8_t out_dtype;
    uint64_t windows, first_window; /* number of its first window in a scope over the whole model */
};

enum am_slot_work {
    AM_SLOT_STAT,
    AM_SLOT_APPLY,
    AM_SLOT_COPY,
    AM_SLOT_COMPARE /* a copy that is not written: do the inputs differ? */
};

struct am_slot_fault { /* why a window failed; told after the batch, lowest window first */
    int rc, errno_value;
    const char *reason; /* or NULL */
    const char *label;  /* input, or NULL: the result */
    bool f64;           /* that input has the tensor in F64 */
    uint64_t first, count;
};

struct am_slot { /* one window in flight, with its buffers */
    enum am_slot_work work;
    const struct am_run_item *item;
    const struct am_out_tensor *target; /* NULL for STAT and COMPARE */
    uint64_t first;                     /* element; byte for copies */
    size_t n;                           /* elements; bytes for copies */
    uint64_t index;                     /* window number in the accumulator's scope */
    size_t bytes;                       /* written, in `raw` */
    bool differs;                       /* a copy: another input has other bytes here */
    uint64_t nonfinite, clamped;        /* let through by the policies */
    struct am_slot_fault fault;
    unsigned char *raw; /* am_run_state.raw bytes: as stored */
    float *values;      /* `blocks` of `stride` each: base, inputs, out; or another input's copied bytes */
    const float **x;
    void *acc;
};

struct am_run_state {
    const struct am_run *r;
    struct am_faults *faults;
    struct am_output out;
    struct am_run_item *item; /* in the donor's order */
    size_t items, selected;   /* selected: before `unchanged` */
    struct am_slot *slot;
    size_t slots, filled;
    size_t stride, raw, blocks; /* elements of the largest window; its bytes as stored; blocks of a slot */
    size_t other;               /* bytes of the largest window that is compared */
    bool model_scope;
    void *acc;         /* of the scope at work */
    const void *sofar; /* what stat() may see: NULL in the very first round */
    unsigned pass, round;
    uint64_t bytes_done, bytes_total, stat_bytes;
    size_t tensors_done;
    uint64_t nonfinite, clamped;
};

/* Not computed with and in several inputs, of which others may hold other bytes. */
bool am_run_compares(const struct am_run_state *s, const struct am_run_item *item);
int am_slots_open(struct am_run_state *s);
void am_slots_done(struct am_run_state *s);
/* Decides which files are written and opens the output; errno is the cause of an error. */
int am_run_files(struct am_run_state *s);
/* Puts one window into the next free slot, and runs the batch when all are filled. */
int am_slots_add(struct am_run_state *s, enum am_slot_work work, const struct am_run_item *item,
                 const struct am_out_tensor *target, uint64_t number);
/* Runs what is waiting: the windows in parallel, then merging or hashing in window order, then the progress call. */
int am_slots_flush(struct am_run_state *s);
/* The work of one window, on any thread. */
int am_slot_run(const struct am_run_state *s, struct am_slot *slot);
/* All passes and rounds over the selected of `items` tensors, in that order; s->acc is finished then. */
int am_run_stats(struct am_run_state *s, const struct am_run_item *const *item, size_t items);
/* Adds the fault of a failed window. */
int am_slot_tell(const struct am_run_state *s, const struct am_slot *slot);

#endif
