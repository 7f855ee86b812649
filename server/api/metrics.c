/*
 * metrics.c - GET /metrics: what the daemon counted (server/metrics.h), and what the store, the queue and the process
 * are now, as Prometheus text 0.0.4. The names are those of api.md; the route label is a pattern, never a URL.
 */
#include "server/metrics.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/process.h"
#include "server/reply.h"
#include "server/routes.h"
#include "server/space.h"
#include "server/streams.h"
#include "storage/gates.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void family(struct am_buf *b, const char *name, const char *type, const char *help)
{
    am_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* labels: what stands in the braces, or "". */
static void sample(struct am_buf *b, const char *name, const char *labels, double value)
{
    char text[AM_F64_TEXT];
    am_f64_text(value, text);
    am_buf_printf(b, labels[0] ? "%s{%s} %s\n" : "%s%s %s\n", name, labels, text);
}

static void one(struct am_buf *b, const char *name, const char *type, const char *help, double value)
{
    family(b, name, type, help);
    sample(b, name, "", value);
}

static uint64_t take(const atomic_uint_least64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* Nothing for one that counted nothing. */
static void histogram(struct am_buf *b, const char *name, const char *labels, const struct am_hist *h,
                      am_hist_bounds bounds)
{
    uint64_t below = 0, all = 0;
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    for (int i = 0; i <= AM_HIST_BUCKETS; i++)
        all += take(&h->n[i]);
    if (!all)
        return;
    for (int i = 0; i < AM_HIST_BUCKETS && bounds[i]; i++) {
        below += take(&h->n[i]);
        am_buf_printf(b, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma, (double)bounds[i] / 1e6,
                      below < all ? below : all);
    }
    am_buf_printf(b, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, all);
    am_buf_printf(b, "%s_sum%s%s%s %.6f\n", name, open, labels, close, (double)take(&h->sum_us) / 1e6);
    am_buf_printf(b, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, all);
}

/* ---- requests ---- */

static const char *pattern_of(int row, int rows)
{
    return row < rows ? am_routes[row].pattern : "none";
}

static void put_requests(struct am_buf *b, const struct am_http_metrics *m)
{
    char labels[300];
    int rows = 0;
    while (am_routes[rows].method && rows < AM_METRIC_ROUTES - 1)
        rows++;
    family(b, "amendd_http_requests_total", "counter", "Requests answered, by pattern of the route.");
    for (int row = 0; row < AM_METRIC_ROUTES; row++)
        for (int head = 0; head < 2; head++)
            for (int i = 0; i < AM_METRIC_STATUSES; i++) {
                uint64_t n = take(&m->n[row][head][i]);
                if (!n)
                    continue;
                const char *method = head ? "HEAD" : row < rows ? am_routes[row].method : "other";
                snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",code=\"%d\"", pattern_of(row, rows), method,
                         am_metric_statuses[i]);
                sample(b, "amendd_http_requests_total", labels, (double)n);
            }
}

/* Rows of one pattern are one series: the label has no method. */
static void put_durations(struct am_buf *b, const struct am_http_metrics *m)
{
    static const char name[] = "amendd_http_request_duration_seconds";
    char labels[260];
    int rows = 0;
    while (am_routes[rows].method && rows < AM_METRIC_ROUTES - 1)
        rows++;
    family(b, name, "histogram", "From the headers of a request to the end of its answer.");
    for (int row = 0; row < AM_METRIC_ROUTES; row++) {
        struct am_hist sum = {0};
        bool seen = false;
        for (int other = 0; row < rows && other < row && !seen; other++)
            seen = strcmp(am_routes[other].pattern, am_routes[row].pattern) == 0;
        for (int other = row; other < AM_METRIC_ROUTES && !seen; other++) {
            if (other != row &&
                (other >= rows || row >= rows || strcmp(am_routes[other].pattern, am_routes[row].pattern) != 0))
                continue;
            for (int i = 0; i <= AM_HIST_BUCKETS; i++)
                sum.n[i] += take(&m->seconds[other].n[i]);
            sum.sum_us += take(&m->seconds[other].sum_us);
        }
        snprintf(labels, sizeof labels, "route=\"%s\"", pattern_of(row, rows));
        histogram(b, name, labels, &sum, am_metric_request_bounds);
    }
}

/* ---- jobs and workers ---- */

struct tally {
    struct am_buf *b;
    double queued[5];
};

static int put_tally(void *ctx, const char *type, const char *state, int band, int64_t n)
{
    struct tally *t = ctx;
    if (am_streq(state, "queued") && !am_streq(type, "task") && band >= 0 && band < 5)
        t->queued[band] += (double)n;
    return 0;
}

struct states { /* the bands of a type and state are one sample */
    struct am_buf *b;
    char labels[120];
    double n;
};

static void put_state(struct states *s)
{
    if (s->labels[0])
        sample(s->b, "amendd_jobs", s->labels, s->n);
    s->n = 0;
}

static int add_state(void *ctx, const char *type, const char *state, int band, int64_t n)
{
    struct states *s = ctx;
    char labels[120];
    (void)band;
    snprintf(labels, sizeof labels, "type=\"%.40s\",status=\"%.20s\"", type, state);
    if (strcmp(labels, s->labels) != 0)
        put_state(s);
    snprintf(s->labels, sizeof s->labels, "%s", labels);
    s->n += (double)n;
    return 0;
}

static int put_queue(struct am_buf *b, struct am_db *db)
{
    static const char *const bands[] = {"0-24", "25-49", "50-74", "75-99", "100"};
    struct tally t = {.b = b};
    struct states s = {.b = b};
    char labels[40];
    family(b, "amendd_jobs", "gauge", "Jobs and tasks in the database.");
    AM_TRY(am_job_tally(db, add_state, &s));
    put_state(&s);
    AM_TRY(am_job_tally(db, put_tally, &t));
    family(b, "amendd_queue_depth", "gauge", "Queued jobs, without tasks, by band of priority; the lowest goes first.");
    for (int i = 0; i < 5; i++) {
        snprintf(labels, sizeof labels, "priority=\"%s\"", bands[i]);
        sample(b, "amendd_queue_depth", labels, t.queued[i]);
    }
    return 0;
}

static void put_ends(struct am_buf *b, const struct am_job_metrics *m)
{
    static const char *const ends[] = {"succeeded", "failed", "cancelled"};
    char labels[80];
    family(b, "amendd_jobs_finished_total", "counter", "Jobs and tasks that came to their end.");
    for (int t = 0; t < AM_METRIC_TYPES; t++)
        for (int e = 0; e < AM_METRIC_ENDS; e++) {
            snprintf(labels, sizeof labels, "type=\"%s\",status=\"%s\"", am_metric_types[t], ends[e]);
            if (take(&m->ended[t][e]))
                sample(b, "amendd_jobs_finished_total", labels, (double)take(&m->ended[t][e]));
        }
    family(b, "amendd_job_queue_wait_seconds", "histogram", "From submission to the first start.");
    for (int t = 0; t < AM_METRIC_TYPES; t++) {
        snprintf(labels, sizeof labels, "type=\"%s\"", am_metric_types[t]);
        histogram(b, "amendd_job_queue_wait_seconds", labels, &m->waited[t], am_metric_job_bounds);
    }
    family(b, "amendd_job_duration_seconds", "histogram",
           "Of the last attempt, from its start to the end of its work.");
    for (int t = 0; t < AM_METRIC_TYPES; t++) {
        snprintf(labels, sizeof labels, "type=\"%s\"", am_metric_types[t]);
        histogram(b, "amendd_job_duration_seconds", labels, &m->ran[t], am_metric_job_bounds);
    }
}

static void put_workers(struct am_buf *b, struct am_engine *e)
{
    const struct am_job_metrics *m = am_engine_metrics(e);
    char labels[80];
    bool choked;
    unsigned running = am_engine_running(e), slots = am_engine_slots(e);
    family(b, "amendd_workers", "gauge", "Slots for jobs and tasks; lost: killed workers that have not ended.");
    sample(b, "amendd_workers", "state=\"busy\"", running);
    sample(b, "amendd_workers", "state=\"idle\"", slots > running ? slots - running : 0);
    sample(b, "amendd_workers", "state=\"lost\"", am_engine_lost(e, &choked));
    family(b, "amendd_worker_exits_total", "counter", "Workers that ended; a reason is done, or an error code.");
    for (int i = 0; i < AM_METRIC_EXITS; i++) {
        const char *reason = i == AM_EXIT_DONE        ? "done"
                             : i == AM_EXIT_CANCELLED ? "cancelled"
                             : i == AM_EXIT_STOPPED   ? "stopped"
                                                      : am_err_slug(i);
        snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
        if (take(&m->exits[i]) || i == AM_EXIT_DONE)
            sample(b, "amendd_worker_exits_total", labels, (double)take(&m->exits[i]));
    }
    family(b, "amendd_tensor_bytes_processed_total", "counter", "Bytes of files that published jobs read and wrote.");
    sample(b, "amendd_tensor_bytes_processed_total", "op=\"read\"", (double)take(&m->read_bytes));
    sample(b, "amendd_tensor_bytes_processed_total", "op=\"write\"", (double)take(&m->write_bytes));
}

/* ---- store and process ---- */

static int put_store(struct am_buf *b, struct am_req *r, struct am_db *db)
{
    int64_t logical = 0, physical = 0, backup = 0;
    struct am_space space = {0};
    struct am_store_load load;
    AM_TRY(am_store_bytes(db, &logical, &physical));
    AM_TRY(am_task_last(db, "backup", &backup));
    am_store_load(r->srv->store, &load);
    family(b, "amendd_store_bytes", "gauge", "Bytes of all versions; physical: with what they share counted once.");
    sample(b, "amendd_store_bytes", "kind=\"logical\"", (double)logical);
    sample(b, "amendd_store_bytes", "kind=\"physical\"", (double)physical);
    if (am_space(r->srv, &space) == 0)
        one(b, "amendd_store_free_bytes", "gauge", "Free bytes of the file system of data_dir.", (double)space.free);
    one(b, "amendd_sqlite_busy_total", "counter", "Times that a connection found another one in its way.",
        (double)load.busy);
    one(b, "amendd_sqlite_wal_frames", "gauge", "Frames of the write-ahead log after the last commit.",
        load.wal_frames);
    one(b, "amendd_writer_queue_depth", "gauge", "Commands that wait for the one writer.", load.waiting);
    family(b, "amendd_writer_commit_seconds", "histogram", "A group of commands with its commit.");
    histogram(b, "amendd_writer_commit_seconds", "", load.commits, am_commit_bounds);
    if (backup)
        one(b, "amendd_last_backup_timestamp_seconds", "gauge", "End of the last backup that succeeded.",
            (double)backup / 1000);
    return 0;
}

/* ---- gates ---- */

/* The value of a label: a name of a ref may hold what would end it. */
static void escape(const char *text, char out[600])
{
    size_t n = 0;
    for (; *text && n < 597; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = 0;
}

static int put_rate(void *ctx, const char *model, const char *name, double rate)
{
    char ref[600], labels[1000];
    escape(name, ref);
    snprintf(labels, sizeof labels, "model=\"%s\",ref=\"%s\"", model, ref);
    sample(ctx, "amendd_compat_negative_flip_rate", labels, rate);
    return 0;
}

static int put_gates(struct am_buf *b, struct am_db *db)
{
    static const char *const verdicts[] = {"promote", "inconclusive", "hold"};
    char labels[60];
    int64_t n[3];
    AM_TRY(am_decision_counts(db, n));
    family(b, "amendd_gate_decisions_total", "counter", "Decisions of gates.");
    for (int i = 0; i < 3; i++) {
        snprintf(labels, sizeof labels, "verdict=\"%s\"", verdicts[i]);
        sample(b, "amendd_gate_decisions_total", labels, (double)n[i]);
    }
    family(b, "amendd_compat_negative_flip_rate", "gauge", "Of the last promotion of a ref, as its report shows it.");
    return am_promotion_rates(db, 1000, put_rate, b);
}

static void put_process(struct am_buf *b, const struct am_server *s)
{
    struct rusage u;
    struct rlimit files;
    struct am_process_memory m;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        one(b, "process_cpu_seconds_total", "counter", "User and system time of amendd, without its workers.",
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    if (am_process_memory(&m) == 0) {
        one(b, "process_resident_memory_bytes", "gauge", "Resident memory of amendd.", (double)m.resident_bytes);
        one(b, "process_virtual_memory_bytes", "gauge", "Virtual memory of amendd.", (double)m.virtual_bytes);
    }
    int open = am_process_descriptors();
    if (open >= 0)
        one(b, "process_open_fds", "gauge", "Open descriptors.", open);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        one(b, "process_max_fds", "gauge", "Descriptors that may be open.", (double)files.rlim_cur);
    one(b, "process_start_time_seconds", "gauge", "When amendd started, in seconds since 1970.",
        (double)s->started_at / 1000);
}

static int put_all(struct am_buf *b, struct am_req *r, struct am_db *db)
{
    char labels[200];
    snprintf(labels, sizeof labels, "version=\"%s\",sqlite=\"%s\",registry=\"%.12s\"", AM_VERSION,
             am_store_sqlite_version(), r->srv->table.sha256);
    family(b, "amendd_build_info", "gauge", "What runs: the program, its SQLite, the digest of its methods.");
    sample(b, "amendd_build_info", labels, 1);
    AM_TRY(put_queue(b, db));
    put_ends(b, am_engine_metrics(r->srv->engine));
    put_workers(b, r->srv->engine);
    AM_TRY(put_store(b, r, db));
    AM_TRY(put_gates(b, db));
    put_requests(b, &r->srv->metrics);
    put_durations(b, &r->srv->metrics);
    one(b, "amendd_sse_connections", "gauge", "Open event streams.", am_streams_open(r->srv->streams));
    put_process(b, r->srv);
    return 0;
}

int am_api_metrics(struct am_req *r)
{
    int queued;
    struct am_buf b;
    if (!am_streq(r->srv->cfg->metrics_public, "true"))
        return am_reply_problem(r, AM_E_FORBIDDEN, "metrics are switched off here (metrics.public)");
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    am_buf_init(&b, 4u << 20);
    int rc = put_all(&b, r, db);
    if (rc < 0 || !b.data) {
        am_buf_done(&b);
        return am_reply_error(r, rc, "the metrics could not be read");
    }
    size_t n = b.len;
    return am_reply_text(r, "text/plain; version=0.0.4; charset=utf-8", am_buf_take(&b), n);
}
