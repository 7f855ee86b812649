/*
 * publisher_report.h - from a finished worker of mode `compare` to a report: check, move its files into the store, one
 * transaction with the report and the job's end. A rerun that publishes nothing compares the body's hash instead.
 */
#ifndef AM_SERVER_PUBLISHER_REPORT_H
#define AM_SERVER_PUBLISHER_REPORT_H

#include "server/publisher.h"

struct am_db;

/* As am_publish(). */
int am_publish_report(const struct am_publication *p, char *why, size_t why_cap);
/* On the writer, of a queued job: ends it as succeeded with the report that `reused_from` made. */
int am_publish_same_report(struct am_db *db, const char *uid, const char *reused_from, const char *report);

#endif
