/*
 * config.h - the settings of the daemon: one table of keys (config.c) is the source of flags, environment names, --help
 * and api.md. Flags (--store.min_free=x) win over environment (AMENDD_STORE__MIN_FREE), which wins over the built-in
 * value. Ownership: am_config owns its strings until am_config_done().
 */
#ifndef AM_SERVER_CONFIG_H
#define AM_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct am_config {
    char *listen;        /* "127.0.0.1:8420"; port 0 = any free one */
    char *public_url;    /* or empty */
    char *allowed_hosts; /* further Host names, comma-separated */
    char *data_dir;
    char *auth_mode;              /* "none" */
    char *log_level, *log_format; /* format: "journal" or "text" */
    char *metrics_public;         /* "true" or "false" */
    char *import_roots;           /* colon-separated absolute paths */
    char *export_roots;           /* the same, for writing */
    char *hub_enabled;            /* "true" or "false" */
    char *worker;                 /* path of amend-worker; empty = beside amendd */
    char *backup_dir;             /* absolute; empty = data_dir/backup */
    char *publish_verify;         /* "trust" or "full" */
    uint64_t http_threads, workers_count, workers_threads, workers_helpers, workers_memory_max;
    uint64_t gc_grace_seconds, keep_logs_seconds;
    uint64_t min_free; /* bytes; 0 = max(1 GiB, 5 %) */
    uint64_t max_blobs_per_file;
    double assemble_fraction;
    uint64_t scrub_days, backup_hours, backup_keep;
    uint64_t unreferenced_days; /* 0: versions do not expire */
    uint64_t body_bytes, upload_bytes, queue_max, idempotency_hours, connections, header_bytes, tensors,
        request_seconds;
    uint64_t jobs_max_restarts, jobs_max_attempts, retry_pause_ms, heartbeat_timeout_ms, cancel_grace_ms, kill_wait_ms;
    uint64_t ageing_seconds, short_seconds;
    uint64_t events_keep_days, streams;
    uint64_t decision_ttl_seconds;
};

/* 0, or a negative error with a sentence in `why` (unknown keys with the nearest known name). */
int am_config_load(struct am_config *ret, int argc, char **argv, char *why, size_t why_cap);
void am_config_help(FILE *out);     /* for --help */
void am_config_markdown(FILE *out); /* the table of api.md */
void am_config_man(FILE *out);      /* amendd(8) in roff */
void am_config_done(struct am_config *c);

#endif
