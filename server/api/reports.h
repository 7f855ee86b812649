/*
 * reports.h - what the routes of reports share (reports.c, report_rows.c), and what other answers show of them.
 */
#ifndef AM_SERVER_API_REPORTS_H
#define AM_SERVER_API_REPORTS_H

#include "server/http.h"
#include "storage/reports.h"

json_t *am_report_summary(const struct am_report_row *row); /* schema ReportSummary; new reference */
/* The report as an object (schema Report), or NULL: a problem was queued. */
json_t *am_report_load(struct am_req *r, const char *uid, int *ret_queued);

#endif
