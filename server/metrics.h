/*
 * metrics.h - what the daemon counts while it works, for GET /metrics (api/metrics.c prints it). Lock-free: any thread
 * may count. Numbers are since the start of the process. All zero is the beginning.
 */
#ifndef AM_SERVER_METRICS_H
#define AM_SERVER_METRICS_H

#include "core/base/err.h"
#include "core/base/hist.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- requests, by row of the route table ---- */

#define AM_METRIC_ROUTES 192 /* rows that are counted apart; the last one takes what has no route */
#define AM_METRIC_STATUSES 32
struct am_http_metrics {
    atomic_uint_least64_t n[AM_METRIC_ROUTES][2][AM_METRIC_STATUSES]; /* 1: HEAD */
    struct am_hist seconds[AM_METRIC_ROUTES];
};
extern const int am_metric_statuses[AM_METRIC_STATUSES]; /* ended by 0, which stands for every other one */
extern am_hist_bounds am_metric_request_bounds;

/* row: index in the route table, or negative for none. */
void am_metrics_request(struct am_http_metrics *m, int row, bool head, int status, int64_t us);

/* ---- jobs, by type ---- */

#define AM_METRIC_TYPES 8
extern const char *const am_metric_types[AM_METRIC_TYPES]; /* the last one takes what is none of the others */
extern am_hist_bounds am_metric_job_bounds;

enum am_metric_end { AM_ENDED_SUCCEEDED, AM_ENDED_FAILED, AM_ENDED_CANCELLED, AM_METRIC_ENDS };
/* Why a worker ended: done, cancelled, stopped with the daemon; else the code of its failure. */
enum am_metric_exit { AM_EXIT_DONE = 0, AM_EXIT_CANCELLED = AM_E_COUNT, AM_EXIT_STOPPED, AM_METRIC_EXITS };

struct am_job_metrics {
    atomic_uint_least64_t ended[AM_METRIC_TYPES][AM_METRIC_ENDS];
    struct am_hist waited[AM_METRIC_TYPES], ran[AM_METRIC_TYPES];
    atomic_uint_least64_t exits[AM_METRIC_EXITS];
    atomic_uint_least64_t read_bytes, write_bytes;
};
void am_metrics_waited(struct am_job_metrics *m, const char *type, int64_t ms);
void am_metrics_exit(struct am_job_metrics *m, int reason); /* enum am_metric_exit or AM_E_... */
void am_metrics_ended(struct am_job_metrics *m, const char *type, enum am_metric_end end, double seconds);

#endif
