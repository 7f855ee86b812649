/*
 * run.h - drives one method over the windows of its inputs into one output: statistics passes, accumulators merged in
 * window order, apply, conversion, writing and hashing. Same bytes for any number of threads. Tensors that the method
 * does not select, and tensors that are not F16/BF16/F32/F64, are copied from the donor byte for byte. Not a planner
 * (core/table/plan.h) and no process: cancel and progress are calls into the caller.
 */
#ifndef AM_METHODS_RUN_H
#define AM_METHODS_RUN_H

#include "core/base/fault.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/delta.h"
#include "core/tensor/kernels.h"
#include "core/tensor/model.h"
#include "core/tensor/output.h"

struct am_run_input {
    const struct am_model *model;
    const char *label;         /* "demo/base@v1", for messages */
    const char *const *own;    /* of a stack: what each tensor of `model` is called in its version; NULL: the same */
    const char *const *module; /* it takes part in tensors whose names begin with one of these alone; NULL: in all */
    size_t modules;
    /* With adapters: what is added to each tensor of `model`, NULL for those that have none; and the model without
       them. Both NULL: there are none. */
    const struct am_delta *const *delta;
    const struct am_model *plain;
};

struct am_run {
    const struct am_method *method;
    const struct am_args *args;
    const uint32_t *slice;      /* of stacks: how many layers each part has */
    size_t slices;              /* 0: no stacks */
    const char *const *stacked; /* what the names of the tensors in the stacked module begin with; NULL: all */
    size_t stacked_n;
    double post_layers_t;         /* depth of tensors after the layers, for values that differ by it */
    struct am_run_input base;     /* .model NULL: none */
    const struct am_run_input *x; /* as am_window.x */
    size_t inputs;
    bool change_only; /* x[0] is x[1] with an adapter (needs.task): tensors that it leaves alone have no change, and of
                         the others x[0] is the change itself (am_window.change) */
    bool round_adapted; /* values with an adapter are rounded to the dtype that they have without (compat "exact") */
    const struct am_model *donor; /* without adapters. Gives names, order, shapes, dtypes */
    const struct am_model *real;  /* the donor without what others add to it, when they do; NULL: `donor` */
    /* Inputs may lack tensors of the donor; else it is a fault. Such a tensor is merged from those that have it
       (`some`, where the method can do with so few), or passed on as the donor has it. So is what others add to the
       donor. */
    bool missing, some;
    bool drop;     /* what the donor lacks is left out; else it is a fault */
    int out_dtype; /* of computed tensors; -1 = the donor's */
    uint64_t shard_bytes;
    uint64_t seed;            /* of random masks */
    double assemble_fraction; /* a donor's file is not written whole when at most this share of its data is computed; 0:
                                 all are */
    unsigned max_blobs;       /* that a file may be spread over; >= 4 with a fraction */
    unsigned threads;         /* windows in flight; >= 1 */
    int staging;              /* folder */
    unsigned first_number;    /* of the first staged file */
    /* Of am_run_patch(): modules that are always saved whole, by what their names end in, NULL last; NULL: none. */
    const char *const *whole;
    bool propagate_nonfinite; /* default: refuse with -AM_E_NON_FINITE */
    enum am_overflow overflow;
    struct am_report *report; /* or NULL */
    /* called after each window, from the calling thread; returns -AM_E_CANCELLED to stop */
    int (*progress)(void *ctx, uint64_t bytes_done, uint64_t bytes_total, size_t tensors_done, size_t tensors_total);
    void (*warning)(void *ctx, const char *code, const char *detail);
    void *ctx;
};

/*
 * Runs. On success `ret_out` is finished (fsynced, hashed); the caller calls am_output_done(). When it is `planned`,
 * its files without a path are change blobs, for am_assemble(), and the donor's files that it does not name are
 * unchanged. On failure the faults say why (tensor, input, first index) and nothing but staged files is left.
 * -AM_E_NON_FINITE, -AM_E_SHAPE_MISMATCH, -AM_E_BAD_SPEC (selection empty), -AM_E_CANCELLED, -AM_E_DISK,
 * -AM_E_CANNOT_WRITE, ...
 */
int am_run(const struct am_run *r, struct am_output *ret_out, struct am_faults *faults);

#endif
