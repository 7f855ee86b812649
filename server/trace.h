/*
 * trace.h - W3C trace context (https://www.w3.org/TR/trace-context/): which trace a request or a job belongs to. Texts
 * only: nothing is recorded or sent.
 */
#ifndef AM_SERVER_TRACE_H
#define AM_SERVER_TRACE_H

#include <stdbool.h>

#define AM_TRACE_PARENT 56 /* "00-<32 hex>-<16 hex>-<2 hex>" with its end */

/* A header as it came, of any version that reads like version 00. false: none that may be used, so it is as if it had
   not been sent. */
bool am_trace_parse(const char *header, char out[AM_TRACE_PARENT]);
/* The trace of a job: that of `parent` (may be NULL), else the 32 hex digits of its id. */
void am_trace_id(const char *parent, const char *job_uid, char out[33]);
/* What is handed on: the same trace, with the job as the parent span. */
void am_trace_child(const char *parent, const char *job_uid, char out[AM_TRACE_PARENT]);

#endif
