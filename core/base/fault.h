/*
 * fault.h - a list of faults: everything that is wrong with one request, file or set of inputs, told at once.
 * Not an error code (err.h) and not JSON (core/table/fault_json.h turns it into the `errors` of a problem).
 * Ownership: the list owns its strings until am_faults_done(); safe on a zeroed list.
 */
#ifndef AM_BASE_FAULT_H
#define AM_BASE_FAULT_H

#include "core/base/err.h"

#include <stddef.h>

struct am_fault {
    int code;      /* AM_E_..., positive */
    char *pointer; /* JSON Pointer fragment into the request, "#/params/weight"; "" when there is none */
    char *reason;  /* the finer word of the method's or format's page, or NULL */
    char *tensor;  /* or NULL */
    char *file;    /* or NULL */
    char *detail;  /* one sentence for a person */
    int line;      /* of a request that has lines; 0: none */
};

/* Zero is a valid empty list. At most AM_FAULTS_MAX are kept; `total` counts all. */
#define AM_FAULTS_MAX 100
struct am_faults {
    struct am_fault *v;
    size_t n, total;
};

/* Where a fault is; every member may be NULL. */
struct am_where {
    const char *pointer, *reason, *tensor, *file;
};

/* Appends one fault; always returns -code, so a caller may `return am_fault_add(...)`. */
int am_fault_add(struct am_faults *f, int code, struct am_where where, const char *fmt, ...) AM_PRINTF(4, 5);
/* The negative code of the most severe fault (highest HTTP status; the first of equals), or 0 for an empty list.
   Severity follows api.md 4.6: 507 > 422 > 413 > 404 > 400 and job errors (status 0) count as 422. */
int am_faults_worst(const struct am_faults *f);
void am_faults_done(struct am_faults *f);

#endif
