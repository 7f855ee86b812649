/*
 * spans.h - the weight files of a result that keeps the files of its donor: unchanged ones are named, changed ones are
 * built from spans and hashed, the rest is whole. Decides nothing (core/methods/run_files.c has).
 */
#ifndef AM_WORKER_SPANS_H
#define AM_WORKER_SPANS_H

#include "core/tensor/output.h"
#include "worker/session.h"
#include "worker/spec.h"

struct am_spans {
    struct am_session *s;
    const struct am_spec_run *spec;
    const struct am_model *donor;
    const struct am_output *out; /* planned and finished */
    unsigned staged;             /* number of the next staged file; grows */
};

/* Puts their records into the result, in the order of the donor's files. */
int am_spans_put(struct am_spans *j);
/* The records of one whole weight file. */
int am_weights_put(struct am_session *s, const struct am_output *out, const struct am_out_file *file);

#endif
