/*
 * metrics.c - see metrics.h.
 */
#include "server/metrics.h"

#include "core/base/text.h"

#define SECOND INT64_C(1000000)

const int am_metric_statuses[AM_METRIC_STATUSES] = {200, 201, 202, 204, 206, 303, 304, 400, 401, 403, 404, 405, 406,
                                                    409, 412, 413, 415, 416, 421, 422, 428, 429, 500, 503, 507, 0};
const char *const am_metric_types[AM_METRIC_TYPES] = {"merge",    "unlearn", "edit", "adapt",
                                                      "evaluate", "select",  "task", "other"};
am_hist_bounds am_metric_request_bounds = {1000,       5000,       10000,      25000,       100000,      250000,
                                           1 * SECOND, 2 * SECOND, 5 * SECOND, 15 * SECOND, 60 * SECOND, 0};
am_hist_bounds am_metric_job_bounds = {
    1 * SECOND, 5 * SECOND, 15 * SECOND, 60 * SECOND, 300 * SECOND, 900 * SECOND, 3600 * SECOND, 14400 * SECOND, 0};

static void count(atomic_uint_least64_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

void am_metrics_request(struct am_http_metrics *m, int row, bool head, int status, int64_t us)
{
    int i = 0;
    if (row < 0 || row >= AM_METRIC_ROUTES)
        row = AM_METRIC_ROUTES - 1;
    while (am_metric_statuses[i] && am_metric_statuses[i] != status)
        i++;
    count(&m->n[row][head][i]);
    am_hist_add(&m->seconds[row], am_metric_request_bounds, us);
}

static size_t type_of(const char *type)
{
    size_t i = 0;
    while (i + 1 < AM_METRIC_TYPES && !am_streq(am_metric_types[i], type))
        i++;
    return i;
}

void am_metrics_waited(struct am_job_metrics *m, const char *type, int64_t ms)
{
    am_hist_add(&m->waited[type_of(type)], am_metric_job_bounds, ms * 1000);
}

void am_metrics_exit(struct am_job_metrics *m, int reason)
{
    if (reason >= 0 && reason < AM_METRIC_EXITS)
        count(&m->exits[reason]);
}

void am_metrics_ended(struct am_job_metrics *m, const char *type, enum am_metric_end end, double seconds)
{
    size_t i = type_of(type);
    count(&m->ended[i][end]);
    am_hist_add(&m->ran[i], am_metric_job_bounds, (int64_t)(seconds * 1e6));
}
