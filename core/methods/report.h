/*
 * report.h - the numbers that a method tells about its result, for amend/report.json of the version: per tensor, for
 * the whole run, and per input. They depend on the inputs and the recipe only, never on threads, kernels or time. A
 * number that is not finite is written as null. Ownership: am_report owns its text until am_report_done().
 *
 * {"method":"merge/ties","inputs":["demo/a@v1",...],"total":{NAME: number or [one per input]},
 *  "tensors":{TENSOR: {NAME: number or [...]}}}
 */
#ifndef AM_METHODS_REPORT_H
#define AM_METHODS_REPORT_H

#include "core/base/buf.h"

#include <jansson.h>
#include <stddef.h>

struct am_report {
    const char *method, *const *label; /* "merge/ties"; of each input as am_window.x. Borrowed */
    size_t inputs;
    struct am_buf tensors; /* members of "tensors", as text */
    json_t *at;            /* what is being told */
    const char *tensor;    /* of it; NULL: the run */
    json_t *warnings;      /* by code: {"n", "tensor", "detail"} */
    double *trust;         /* one for each of `trusts`, or NULL */
    size_t trusts;
    int rc; /* the first thing that went wrong: memory, or AM_REPORT_MAX */
};

#define AM_REPORT_MAX ((size_t)64 << 20) /* bytes of the tensors' numbers; beyond, they are left out with a warning */

/* ---- for methods ---- */

/* A number of the tensor, or of the run, at hand. Names: [a-z][a-z0-9_]*, each once. */
void am_report_put(struct am_report *r, const char *name, double value);
/* One number for each of `n` inputs (am_window.x), or each of n pairs in the order 01 02 12 03 13 23 .... The list
   named "trust" of the whole run, one for each model, is also kept with the lineage (api.md, lineage). */
void am_report_put_list(struct am_report *r, const char *name, const double *value, size_t n);
/* A text, for warnings about this tensor or the run: a code like "drift-conflict". Told once for each code with the
   number of tensors and the first one's name. `detail` says what it means and what to do. */
void am_report_warn(struct am_report *r, const char *code, const char *detail);

/* ---- for the runner and the worker ---- */
void am_report_open(struct am_report *r, const char *method, const char *const *label, size_t inputs);
void am_report_tensor(struct am_report *r, const char *name); /* what comes next; NULL: the run, at last */
/* The file as text, for free(); NULL: nothing was told, or memory is short (r->rc). */
char *am_report_text(struct am_report *r);
void am_report_warnings(const struct am_report *r, void (*warning)(void *ctx, const char *code, const char *detail),
                        void *ctx);
void am_report_done(struct am_report *r);

#endif
