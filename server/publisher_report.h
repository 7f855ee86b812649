/*
 * publisher_report.h - from a finished worker of mode `compare` to a report: check, move its files into the store, one
 * transaction with the report and the job's end. A rerun that publishes nothing compares the body's hash instead.
 */
#ifndef AM_SERVER_PUBLISHER_REPORT_H
#define AM_SERVER_PUBLISHER_REPORT_H

#include "server/publisher.h"
#include "server/result.h"

struct am_db;

/* Where a job that makes a version leaves what its gate found, beside the files of the version. */
#define AM_GATE_FOLDER "amend/gate/"
struct am_reporting;
struct am_gated;
/* Reads it out of a result that stays the caller's: *ret. am_reporting_free() ends it. Negative with a sentence in
   `why`. */
int am_reporting_read(struct am_reporting **ret, const struct am_publication *p, const struct am_result *result,
                      char *why, size_t why_cap);
void am_reporting_free(struct am_reporting *p);
/* Whether a blob is to be made of the file, whose path begins with AM_GATE_FOLDER: the other two are in rows. */
bool am_reporting_stores(const struct am_result_file *file);
/* On the writer. First the verdict and the old side into `ret`; when the version is there, the rows of report and
   decision. "promote" or another verdict. */
int am_reporting_begin(struct am_reporting *p, struct am_db *db, int64_t now, struct am_gated *ret);
int am_reporting_write(struct am_reporting *p, struct am_db *db, int64_t version, const char *commit,
                       struct am_gated *g);
/* Of a rerun: `with` may name the report that this one should be. */
int am_reporting_compare(struct am_reporting *p, struct am_db *db, const json_t *with, json_t **reproduced,
                         json_t *reproduction);

/* As am_publish(). */
int am_publish_report(const struct am_publication *p, char *why, size_t why_cap);
/* On the writer, of a queued job: ends it as succeeded with the report that `reused_from` made. */
int am_publish_same_report(struct am_db *db, const char *uid, const char *reused_from, const char *report);

#endif
