/*
 * report.c - one JSON object a line, at most 4,096 bytes with its line feed: longer texts are cut until it fits.
 */
#include "worker/report.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/table/fault_json.h"
#include "core/tensor/kernels.h"
#include "worker/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define BEAT_MS 2000
#define PROGRESS_MS 250

static const char *longest_text(json_t *record)
{
    const char *key, *hit = NULL;
    size_t most = 16;
    json_t *v;
    json_object_foreach(record, key, v)
    {
        if (json_is_string(v) && json_string_length(v) > most) {
            most = json_string_length(v);
            hit = key;
        }
    }
    return hit;
}

/* Cuts the longest text by `excess` bytes or more, between two characters. false: there is none left to cut. */
static bool shorten(json_t *record, size_t excess)
{
    const char *key = longest_text(record);
    if (!key)
        return false;
    json_t *v = json_object_get(record, key);
    const char *text = json_string_value(v);
    size_t len = json_string_length(v), keep = len > excess + 8 ? len - excess - 8 : 0;
    keep = keep < len / 2 ? len / 2 : keep;
    while (keep && ((unsigned char)text[keep] & 0xc0) == 0x80)
        keep--;
    return json_object_set_new(record, key, json_sprintf("%.*s...", (int)keep, text)) == 0;
}

static void put_locked(struct am_reporter *r, json_t *record)
{
    char *line = json_dumps(record, JSON_COMPACT);
    while (line && strlen(line) > LINE_MAX_BYTES - 1) {
        size_t excess = strlen(line) - (LINE_MAX_BYTES - 1);
        free(line);
        line = shorten(record, excess) ? json_dumps(record, JSON_COMPACT) : NULL;
    }
    if (line && !r->broken) {
        size_t len = strlen(line);
        line[len] = '\n'; /* in the place of its NUL */
        r->broken = am_sys_write(r->fd, line, len + 1) < 0;
    }
    free(line);
    json_decref(record);
}

static void put(struct am_reporter *r, json_t *record)
{
    if (!record)
        return;
    pthread_mutex_lock(&r->lock);
    put_locked(r, record);
    pthread_mutex_unlock(&r->lock);
}

static void *beat(void *arg)
{
    struct am_reporter *r = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        next.tv_sec += BEAT_MS / 1000;
        int rc = 0;
        while (!r->stop && rc == 0)
            rc = pthread_cond_timedwait(&r->wake, &r->lock, &next);
        json_t *record = r->stop ? NULL : json_pack("{s:s}", "record", "heartbeat");
        if (record)
            put_locked(r, record);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int am_reporter_open(struct am_reporter *r, int fd, const char *registry_sha256, unsigned threads, json_t *confinement)
{
    pthread_condattr_t attr;
    *r = (struct am_reporter){.fd = fd, .progress_ms = INT64_MIN / 2};
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    put(r, json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:i, s:o}", "record", "hello", "proto", 1, "pid", (int)getpid(),
                     "program", AM_VERSION, "registry", registry_sha256, "kernels", am_kernels_name(), "threads",
                     (int)threads, "confinement", confinement));
    r->beating = pthread_create(&r->beat, NULL, beat, r) == 0;
    return r->beating ? 0 : -AM_E_OUT_OF_MEMORY;
}

void am_reporter_progress(struct am_reporter *r, const struct am_progress *p)
{
    int64_t now = am_mono_ms();
    bool last = p->done == p->total && p->bytes_done == p->bytes_total;
    if (!last && now - r->progress_ms < PROGRESS_MS)
        return;
    r->progress_ms = now;
    put(r, json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:I}", "record", "progress", "phase", p->phase, "done",
                     (json_int_t)p->done, "total", (json_int_t)p->total, "unit", p->unit, "bytes_done",
                     (json_int_t)p->bytes_done, "bytes_total", (json_int_t)p->bytes_total));
}

bool am_reporter_broken(struct am_reporter *r)
{
    pthread_mutex_lock(&r->lock);
    bool broken = r->broken;
    pthread_mutex_unlock(&r->lock);
    return broken;
}

static void stop_beat(struct am_reporter *r)
{
    if (!r->beating)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->beat, NULL);
    r->beating = false;
}

void am_reporter_failed(struct am_reporter *r, int rc, const char *detail, const struct am_faults *faults)
{
    const char *tensor = NULL;
    stop_beat(r);
    for (size_t i = 0; i < faults->n && i < AM_FAULTS_MAX; i++) {
        json_t *record = am_fault_to_json(&faults->v[i]);
        json_object_set_new(record, "record", json_string("fault"));
        put(r, record);
        tensor = tensor ? tensor : faults->v[i].tensor;
    }
    /* Through a fault, because `detail` may hold half a character or bytes of a damaged file. */
    json_t *failed =
        am_fault_to_json(&(struct am_fault){.code = -rc, .detail = (char *)detail, .tensor = (char *)tensor});
    json_object_del(failed, "pointer");
    json_object_set_new(failed, "record", json_string("failed"));
    json_object_set_new(failed, "retryable", json_boolean(am_err_retryable(rc)));
    put(r, failed);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* What this process took so far, of processors and of memory at the most. */
static void put_usage(json_t *record)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) < 0)
        return;
    json_object_set_new(record, "cpu_seconds", json_real(seconds(u.ru_utime) + seconds(u.ru_stime)));
    uint64_t peak = am_limits_peak();
    if (peak)
        json_object_set_new(record, "peak_memory_bytes", json_integer((json_int_t)peak));
}

void am_reporter_done(struct am_reporter *r, uint64_t bytes, const char *sha256, uint64_t records)
{
    stop_beat(r);
    json_t *done = json_pack("{s:s, s:I, s:s, s:I}", "record", "done", "bytes", (json_int_t)bytes, "sha256", sha256,
                             "records", (json_int_t)records);
    put_usage(done);
    put(r, done);
}

void am_reporter_close(struct am_reporter *r)
{
    stop_beat(r);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
}
