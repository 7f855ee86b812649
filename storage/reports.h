/*
 * reports.h - reports: what a comparison of two versions found. The body is JSON text that this room does not read; the
 * numbers that lists and lineage show come beside it. Write functions run inside am_store_write(). Callbacks get
 * borrowed rows; a negative return ends the walk and is passed on.
 */
#ifndef AM_STORAGE_REPORTS_H
#define AM_STORAGE_REPORTS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

/* What is shown without the body; NAN: undefined, counts -1: there are none. The interval is two-sided, 95 %. */
struct am_report_numbers {
    double nfr, nfr_lower, nfr_upper, pfr, relative_nfr, accuracy_old, accuracy_new, accuracy_delta;
    double p_mid; /* of the paired test, two-sided */
    int64_t b, c;
};

/* A stored file of a report; its blob is in the store already and pinned. */
struct am_report_file {
    const char *kind; /* "slices" or "samples" */
    const char *sha256;
    int64_t bytes;
};

struct am_report_new {
    const char *uid;                  /* "rep_..." */
    const char *type, *method, *job;  /* job: uid */
    int64_t old_version, new_version; /* 0: of a model that is not here */
    const char *old, *new, *dataset;
    int64_t n;
    const char *body, *sha256; /* of the body, hex */
    struct am_report_numbers numbers;
    const struct am_report_file *file;
    size_t files;
    const char *created_by;
    int64_t now;
};
/* With its files and its event. */
int am_report_insert(struct am_db *db, const struct am_report_new *r);

struct am_report_row {
    int64_t id, old_version, new_version, n, created_at;
    const char *uid, *type, *method, *job, *old, *new, *dataset, *body, *sha256, *created_by;
    const char *decision, *verdict;    /* of the newest decision that names it, or NULL */
    const char *old_model, *new_model; /* NULL: not here */
    int64_t old_number, new_number;    /* on main; -1: none */
    const char *slices_sha256, *samples_sha256;
    int64_t slices_bytes, samples_bytes; /* 0: there is no such file */
    struct am_report_numbers numbers;
};
int am_report_get(struct am_db *db, const char *uid, int (*row)(void *, const struct am_report_row *),
                  void *ctx); /* -AM_E_NOT_FOUND */
int am_report_by_row(struct am_db *db, int64_t id, int (*row)(void *, const struct am_report_row *), void *ctx);
struct am_report_filter {
    int64_t version;                  /* on either side; 0: any */
    const char *external;             /* a model that is not here, on either side, by its name; NULL: any */
    int64_t old_version, new_version; /* 0: any */
    const char *old_external, *new_external;
    const char *dataset, *method, *job; /* NULL: any */
    int64_t after;                      /* id of the last one seen; newest first; 0: from the newest */
    int limit;
};
int am_report_list(struct am_db *db, const struct am_report_filter *f, int (*row)(void *, const struct am_report_row *),
                   void *ctx);
/* The newest report about `new_version` against each of the versions it was compared with, newest first. */
int am_report_against(struct am_db *db, int64_t new_version, int limit,
                      int (*row)(void *, const struct am_report_row *), void *ctx);
/* With its event. -AM_E_NOT_FOUND; -AM_E_CONFLICT: a decision names it. Its files go with the next gc. */
int am_report_delete(struct am_db *db, const char *uid, int64_t now);

#endif
