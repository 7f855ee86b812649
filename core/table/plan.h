/*
 * plan.h - what a job needs, from the tensor tables of its inputs alone: a streaming merge-join over tables sorted by
 * name. Reads no weights; memory does not depend on the number of tensors.
 */
#ifndef AM_TABLE_PLAN_H
#define AM_TABLE_PLAN_H

#include "core/base/fault.h"
#include "core/table/body.h"

#include <stdbool.h>
#include <stdint.h>

struct am_plan_tensor { /* valid until the next call of the same cursor */
    const char *name;
    const char *dtype; /* "F32" */
    const char *shape; /* JSON text "[10,128]" */
    uint64_t bytes;
};

struct am_plan_input {
    /* 1 = a tensor, 0 = end, negative = error. Tensors come sorted by name (bytes). */
    int (*next)(void *cursor, struct am_plan_tensor *ret);
    void *cursor;
    const char *label;   /* "demo/rot90@v1" */
    const char *pointer; /* "#/inputs/models/1" */
};

struct am_plan {
    uint64_t tensors, read_bytes, write_bytes, peak_memory_bytes, disk_bytes;
};

/* Peak memory of a windowed run, in bytes: the one place of this formula. `inputs` without the base (am_window.inputs).
 */
uint64_t am_plan_memory(size_t inputs, unsigned threads, uint64_t acc_bytes);

/*
 * Faults, all at once: tensor-missing and tensor-extra against the donor, shape, dtypes that are not computed and
 * differ, quantised dtypes (reason, code and wording of merge.md B19), no tensors at all. out_dtype that is not
 * computed. `donor` indexes `in`.
 */
int am_plan_make(struct am_plan *ret, const struct am_body *b, struct am_plan_input *in, size_t n, size_t donor,
                 unsigned threads, struct am_faults *faults);

#endif
