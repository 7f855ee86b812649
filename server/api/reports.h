/*
 * reports.h - what the routes of reports share (reports.c, report_rows.c), and what other answers show of them.
 */
#ifndef AM_SERVER_API_REPORTS_H
#define AM_SERVER_API_REPORTS_H

#include "server/http.h"
#include "storage/reports.h"

json_t *am_report_summary(const struct am_report_row *row); /* schema ReportSummary; new reference */
/* For the negative error of reading one: it is not here, or the database failed. */
int am_reply_no_report(struct am_req *r, int rc, const char *uid);
/* The report as an object (schema Report), or NULL: a problem was queued. */
json_t *am_report_load(struct am_req *r, const char *uid, int *ret_queued);

/* report_page.c: the form that Accept asks for, and the answer in one that is not JSON. Takes `report`. */
enum am_report_form { AM_REPORT_JSON, AM_REPORT_MD, AM_REPORT_HTML };
enum am_report_form am_report_form(struct am_req *r);
int am_report_reply_page(struct am_req *r, json_t *report, enum am_report_form form);

#endif
