/*
 * config.c - THE table of settings and the three ways to give them (see config.h).
 */
#include "server/config.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { TEXT, COUNT, SIZE, TIME /* seconds; "72h" */, SHARE /* a number from 0 to 1 */ };

struct key {
    const char *name; /* "store.min_free" */
    enum kind kind;
    size_t at;
    const char *def;
    uint64_t min, max;
    const char *doc;
};

#define AT(member) offsetof(struct am_config, member)
static const struct key keys[] = {
    {"listen", TEXT, AT(listen), "127.0.0.1:8420", 0, 0,
     "address and port; port 0 takes any free one. Loopback only while there are no tokens"},
    {"public_url", TEXT, AT(public_url), "", 0, 0,
     "the URL that users see, when a proxy stands in front; its host may be asked for"},
    {"allowed_hosts", TEXT, AT(allowed_hosts), "", 0, 0,
     "further names for the Host header, comma-separated; loopback names always are"},
    {"data_dir", TEXT, AT(data_dir), "/var/lib/amendd", 0, 0,
     "LOCK, amendd.db, blobs/, staging/, logs/; one local file system"},
    {"auth.mode", TEXT, AT(auth_mode), "none", 0, 0,
     "none: everybody on this machine is admin. The only mode of this version"},
    {"log.level", TEXT, AT(log_level), "info", 0, 0, "error, warn, info or debug; debug has a line for each request"},
    {"log.format", TEXT, AT(log_format), "journal", 0, 0,
     "of lines on standard error: journal begins each with its priority, text with time and level"},
    {"metrics.public", TEXT, AT(metrics_public), "true", 0, 0,
     "false: GET /metrics is refused. This version has no tokens that could be asked for instead"},
    {"http.threads", COUNT, AT(http_threads), "16", 1, 256,
     "threads that answer requests; each may wait for the writer"},
    {"workers.count", COUNT, AT(workers_count), "2", 1, 64, "jobs that run at the same time"},
    {"workers.threads", COUNT, AT(workers_threads), "0", 0, 64, "threads of one job; 0 = processors / workers.count"},
    {"workers.short_seconds", COUNT, AT(short_seconds), "60", 0, 86400,
     "of two job slots and more, one is kept for jobs planned below this"},
    {"workers.helpers", COUNT, AT(workers_helpers), "2", 1, 16, "imports that run at the same time, beside the jobs"},
    {"workers.memory_max", SIZE, AT(workers_memory_max), "0", 0, 0,
     "planned memory that one job may need; 0 = 80 % of memory / workers.count"},
    {"workers.program", TEXT, AT(worker), "", 0, 0,
     "path of amend-worker; empty = beside amendd, else ../libexec/amend-worker"},
    {"jobs.max_attempts", COUNT, AT(jobs_max_attempts), "3", 1, 10,
     "attempts of a job whose worker crashes, hangs or fails in a way that may pass, unless options.max_attempts says"},
    {"jobs.retry_pause", COUNT, AT(retry_pause_ms), "1000", 0, 600000,
     "milliseconds before the second attempt; the third waits 5 times, every later one 25 times as long"},
    {"jobs.heartbeat_timeout", COUNT, AT(heartbeat_timeout_ms), "60000", 1000, 3600000,
     "milliseconds of silence after which a worker counts as hung"},
    {"jobs.ageing_seconds", COUNT, AT(ageing_seconds), "60", 1, 86400,
     "a waiting job gains one point of priority each time this passes, so that none starves"},
    {"jobs.max_restarts", COUNT, AT(jobs_max_restarts), "20", 0, 1000,
     "restarts of daemon or machine that a running job survives"},
    {"jobs.keep_logs", TIME, AT(keep_logs_seconds), "30d", 0, 315360000,
     "seconds (or 12h, 30d) that a gc leaves the logs of ended jobs"},
    {"jobs.cancel_grace", COUNT, AT(cancel_grace_ms), "10000", 0, 600000,
     "milliseconds between asking a worker to stop and killing it"},
    {"jobs.kill_wait", COUNT, AT(kill_wait_ms), "30000", 100, 600000,
     "milliseconds that a killed worker may take to end; then its job fails and its slot is free for the next"},
    {"store.import_roots", TEXT, AT(import_roots), "", 0, 0,
     "folders that models may be registered from, colon-separated; empty = the home of the user who runs amendd"},
    {"store.export_roots", TEXT, AT(export_roots), "", 0, 0,
     "folders that versions may be exported into, colon-separated; empty = the home of the user who runs amendd"},
    {"store.gc_grace", TIME, AT(gc_grace_seconds), "72h", 0, 315360000,
     "seconds (or 30m, 72h, 7d) that a file nobody names is kept before a gc removes it"},
    {"store.min_free", SIZE, AT(min_free), "0", 0, 0,
     "jobs and imports that would leave less are refused; 0 = max(1 GiB, 5 % of the file system)"},
    {"store.assemble_fraction", SHARE, AT(assemble_fraction), "0.5", 0, 0,
     "a weight file of which a job changes at most this share is stored as changes to its parent; 0 = always whole"},
    {"store.max_blobs_per_file", COUNT, AT(max_blobs_per_file), "256", 4, 1024,
     "stored files that one weight file may be spread over; the change that would pass it takes in the smallest"},
    {"store.scrub_days", COUNT, AT(scrub_days), "30", 0, 3650,
     "each stored file is read again and compared with its hash once in so many days, a little every hour; 0 = never"},
    {"retention.unreferenced_days", COUNT, AT(unreferenced_days), "90", 0, 36500,
     "days after which a version that nothing holds is deleted, unless its model has days of its own; 0 = never"},
    {"events.keep_days", COUNT, AT(events_keep_days), "90", 1, 36500,
     "days after which an event is no longer listed or replayed"},
    {"gates.decision_ttl", TIME, AT(decision_ttl_seconds), "30d", 1, 315360000,
     "seconds (or 12h, 30d) that a decision of a gate lets a protected ref move"},
    {"publish.verify", TEXT, AT(publish_verify), "trust", 0, 0,
     "trust: the hashes that the worker took while it wrote are published; full: all it wrote is read and hashed "
     "again"},
    {"hub.enabled", TEXT, AT(hub_enabled), "true", 0, 0,
     "true or false: whether the routes of the Hugging Face Hub's protocol are there"},
    {"database.backup_hours", COUNT, AT(backup_hours), "24", 0, 8760,
     "hours between backups that amendd makes by itself; 0 = none"},
    {"database.backup_keep", COUNT, AT(backup_keep), "7", 1, 1000,
     "of those backups (scheduled-*.db) the newest so many are kept; others are never removed"},
    {"database.backup_dir", TEXT, AT(backup_dir), "", 0, 0,
     "folder of backups without a target; it must exist; empty = data_dir/backup, which is made"},
    {"limits.body_bytes", SIZE, AT(body_bytes), "1MiB", 1024, 64 << 20, "JSON bodies"},
    {"limits.upload_bytes", SIZE, AT(upload_bytes), "4GiB", 1024, 1ull << 44, "uploads, as they come over the wire"},
    {"limits.queue", COUNT, AT(queue_max), "100000", 1, 10000000, "queued jobs; beyond it 503 queue-full"},
    {"limits.streams", COUNT, AT(streams), "512", 1, 65536,
     "open event streams and followed logs; beyond it 503 too-many-streams"},
    {"limits.connections", COUNT, AT(connections), "4096", 16, 65536, "open connections"},
    {"limits.header_bytes", SIZE, AT(header_bytes), "25000000", 1024, 100000000, "header of a safetensors file"},
    {"limits.tensors", COUNT, AT(tensors), "200000", 1, 10000000, "tensors of a safetensors file"},
    {"limits.idempotency_hours", COUNT, AT(idempotency_hours), "24", 1, 8760,
     "hours that the answer to a request with an Idempotency-Key is kept for the same request sent again"},
    {"limits.request_seconds", COUNT, AT(request_seconds), "3600", 1, 86400, "a request body must be complete within"},
};
#define KEYS (sizeof keys / sizeof *keys)

/* "store.min_free" -> "AMENDD_STORE__MIN_FREE" */
static void env_name(const char *key, char out[128])
{
    size_t n = (size_t)snprintf(out, 128, "AMENDD_");
    for (; *key && n < 125; key++) {
        if (*key == '.') {
            out[n++] = '_';
            out[n++] = '_';
        } else
            out[n++] = (char)toupper((unsigned char)*key);
    }
    out[n] = 0;
}

static int set_share(double *at, const char *name, const char *value, const char *source, char *why, size_t cap)
{
    double v;
    if (am_parse_f64(value, &v) < 0 || !(v >= 0 && v <= 1)) {
        snprintf(why, cap, "%s: %s must be a number from 0 to 1 (got \"%s\")", source, name, value);
        return -AM_E_INVALID_PARAMS;
    }
    *at = v;
    return 0;
}

static int set(struct am_config *c, const struct key *k, const char *value, const char *source, char *why, size_t cap)
{
    void *at = (char *)c + k->at;
    if (k->kind == TEXT) {
        char *copy = strdup(value);
        if (!copy)
            return -AM_E_OUT_OF_MEMORY;
        free(*(char **)at);
        *(char **)at = copy;
        return 0;
    }
    if (k->kind == SHARE)
        return set_share(at, k->name, value, source, why, cap);
    uint64_t v = 0;
    int rc = k->kind == SIZE   ? am_parse_size(value, &v)
             : k->kind == TIME ? am_parse_seconds(value, &v)
                               : am_parse_u64(value, &v);
    if (rc < 0 || (k->max && (v < k->min || v > k->max))) {
        if (k->max)
            snprintf(why, cap, "%s: %s must be a %s from %llu to %llu (got \"%s\")", source, k->name,
                     k->kind == SIZE   ? "size"
                     : k->kind == TIME ? "time in seconds"
                                       : "whole number",
                     (unsigned long long)k->min, (unsigned long long)k->max, value);
        else
            snprintf(why, cap, "%s: %s must be a size such as 20GiB (got \"%s\")", source, k->name, value);
        return -AM_E_INVALID_PARAMS;
    }
    *(uint64_t *)at = v;
    return 0;
}

static int unknown(const char *what, const char *name, char *why, size_t cap)
{
    const char *names[KEYS];
    for (size_t i = 0; i < KEYS; i++)
        names[i] = keys[i].name;
    const char *near = am_nearest(name, names, KEYS);
    snprintf(why, cap, "unknown %s %s%s%s; amendd --help lists all", what, name, near ? "; did you mean " : "",
             near ? near : "");
    return -AM_E_UNKNOWN_MEMBER;
}

static int from_environment(struct am_config *c, char *why, size_t cap)
{
    for (char **e = environ; *e; e++) {
        char name[128], found = 0;
        if (!am_starts(*e, "AMENDD_"))
            continue;
        const char *equals = strchr(*e, '=');
        for (size_t i = 0; equals && i < KEYS && !found; i++) {
            env_name(keys[i].name, name);
            if (strncmp(name, *e, (size_t)(equals - *e)) == 0 && name[equals - *e] == 0) {
                found = 1;
                AM_TRY(set(c, &keys[i], equals + 1, name, why, cap));
            }
        }
        if (!found) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
            return unknown("environment variable", name, why, cap);
        }
    }
    return 0;
}

static int from_flags(struct am_config *c, int argc, char **argv, char *why, size_t cap)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *equals = strchr(flag, '=');
        if (!am_starts(flag, "--") || !equals) {
            snprintf(why, cap, "settings are given as --key=value (got \"%s\"); amendd --help lists all", flag);
            return -AM_E_INVALID_REQUEST;
        }
        size_t n = (size_t)(equals - flag) - 2, k = 0;
        while (k < KEYS && (strlen(keys[k].name) != n || strncmp(keys[k].name, flag + 2, n) != 0))
            k++;
        if (k == KEYS) {
            char name[128];
            snprintf(name, sizeof name, "%.*s", (int)n, flag + 2);
            return unknown("setting", name, why, cap);
        }
        AM_TRY(set(c, &keys[k], equals + 1, "command line", why, cap));
    }
    return 0;
}

static void fill_derived(struct am_config *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (c->workers_threads == 0)
        c->workers_threads = cpus > 0 && (uint64_t)cpus > c->workers_count ? (uint64_t)cpus / c->workers_count : 1;
    if (c->workers_memory_max == 0 && pages > 0 && page > 0)
        c->workers_memory_max = (uint64_t)pages * (uint64_t)page / 10 * 8 / c->workers_count;
    const char *home = getenv("HOME");
    if (!c->import_roots[0] && home && home[0] == '/') {
        free(c->import_roots);
        c->import_roots = strdup(home);
    }
    if (!c->export_roots[0] && home && home[0] == '/') {
        free(c->export_roots);
        c->export_roots = strdup(home);
    }
}

/* `words` ends with NULL. */
static int check_word(const char *name, const char *value, const char *const *words, char *why, size_t why_cap)
{
    char list[100] = "";
    for (size_t i = 0; words[i]; i++) {
        if (am_streq(words[i], value))
            return 0;
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    }
    snprintf(why, why_cap, "%s must be %s (got \"%s\")", name, list, value);
    return -AM_E_INVALID_PARAMS;
}

/* What the kinds of the keys do not say. */
static int check(const struct am_config *c, char *why, size_t why_cap)
{
    const struct {
        const char *name, *value, *words[5];
    } chosen[] = {{"auth.mode", c->auth_mode, {"none"}}, /* this version has no other */
                  {"log.level", c->log_level, {"error", "warn", "info", "debug"}},
                  {"log.format", c->log_format, {"journal", "text"}},
                  {"metrics.public", c->metrics_public, {"true", "false"}},
                  {"publish.verify", c->publish_verify, {"trust", "full"}},
                  {"hub.enabled", c->hub_enabled, {"true", "false"}}};
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        AM_TRY(check_word(chosen[i].name, chosen[i].value, chosen[i].words, why, why_cap));
    if (c->backup_dir[0] && c->backup_dir[0] != '/') {
        snprintf(why, why_cap, "database.backup_dir must be an absolute path (got \"%s\")", c->backup_dir);
        return -AM_E_INVALID_PARAMS;
    }
    if (c->connections < c->http_threads) {
        snprintf(why, why_cap, "limits.connections must be at least http.threads (got %llu and %llu)",
                 (unsigned long long)c->connections, (unsigned long long)c->http_threads);
        return -AM_E_INVALID_PARAMS;
    }
    return 0;
}

int am_config_load(struct am_config *ret, int argc, char **argv, char *why, size_t why_cap)
{
    struct am_config c = {0};
    int rc = 0;
    snprintf(why, why_cap, "out of memory");
    for (size_t i = 0; i < KEYS && rc == 0; i++)
        rc = set(&c, &keys[i], keys[i].def, "built-in", why, why_cap);
    if (rc == 0)
        rc = from_environment(&c, why, why_cap);
    if (rc == 0)
        rc = from_flags(&c, argc, argv, why, why_cap);
    if (rc == 0)
        rc = check(&c, why, why_cap);
    if (rc < 0) {
        am_config_done(&c);
        return rc;
    }
    fill_derived(&c);
    *ret = c;
    return 0;
}

void am_config_help(FILE *out)
{
    fprintf(out, "usage: amendd [--KEY=VALUE]...\n"
                 "       amendd backup FILE --data_dir=FOLDER\n"
                 "       amendd restore FILE --data_dir=FOLDER [--force]\n"
                 "       amendd --healthcheck[=ready|live] --data_dir=FOLDER\n"
                 "       amendd --version | --help | --dump-openapi | --dump-apidoc | --dump-man\n\n"
                 "Flags win over environment variables (AMENDD_STORE__MIN_FREE for store.min_free), which win over the "
                 "built-in values.\n\n");
    for (size_t i = 0; i < KEYS; i++)
        fprintf(out, "  --%s=%s\n        %s\n", keys[i].name, keys[i].def, keys[i].doc);
}

void am_config_markdown(FILE *out)
{
    fprintf(out, "| key | environment | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < KEYS; i++) {
        char env[128];
        env_name(keys[i].name, env);
        fprintf(out, "| `%s` | `%s` | %s%s%s | %s |\n", keys[i].name, env, keys[i].def[0] ? "`" : "",
                keys[i].def[0] ? keys[i].def : "empty", keys[i].def[0] ? "`" : "", keys[i].doc);
    }
}

/* Text as roff: no escapes, no requests, hyphens that can be copied. */
static void put_roff(FILE *out, const char *text)
{
    fputs(*text == '.' || *text == '\'' ? "\\&" : "", out);
    for (; *text; text++)
        if (*text == '\\' || *text == '-')
            fputs(*text == '-' ? "\\-" : "\\e", out);
        else
            fputc(*text, out);
}

void am_config_man(FILE *out)
{
    char env[128];
    fputs(
        ".\\\" made by: make man\n.TH AMENDD 8 \"\" \"amendd " AM_VERSION "\" \"System Administration\"\n.SH NAME\n"
        "amendd \\- service that merges, unlearns and edits machine\\-learning models\n.SH SYNOPSIS\n"
        ".B amendd\n[\\fB\\-\\-\\fIKEY\\fB=\\fIVALUE\\fR]...\n.br\n"
        ".B amendd backup\n.I FILE\n\\fB\\-\\-data_dir=\\fIFOLDER\\fR\n.br\n"
        ".B amendd restore\n.I FILE\n\\fB\\-\\-data_dir=\\fIFOLDER\\fR [\\fB\\-\\-force\\fR]\n.br\n"
        ".B amendd\n\\fB\\-\\-healthcheck\\fR[=ready|live] \\fB\\-\\-data_dir=\\fIFOLDER\\fR\n.br\n"
        ".B amendd\n\\fB\\-\\-version\\fR | \\fB\\-\\-help\\fR | \\fB\\-\\-dump\\-openapi\\fR\n.SH DESCRIPTION\n"
        "Serves its API on the address of \\fBlisten\\fR, keeps everything below \\fBdata_dir\\fR, and runs each job "
        "in "
        "a process of its own (amend\\-worker). A flag wins over its environment variable, which wins over the "
        "built\\-in value. SIGTERM and SIGINT end it: running jobs are stopped and run again at the next start.\n"
        ".PP\n\\fBbackup\\fR copies the database of a running daemon; \\fBrestore\\fR puts such a copy in the place of "
        "the database of a stopped one.\n.SH SETTINGS\n",
        out);
    for (size_t i = 0; i < KEYS; i++) {
        env_name(keys[i].name, env);
        fputs(".TP\n.B \\-\\-", out);
        put_roff(out, keys[i].name);
        fputs("\\fR=", out);
        put_roff(out, keys[i].def);
        fputs("\n", out);
        put_roff(out, keys[i].doc);
        fprintf(out, ".\n.br\nEnvironment: %s\n", env);
    }
    fputs(".SH FILES\n.TP\n.I /etc/amendd/amendd.env\nthe environment of the systemd unit\n.SH \"SEE ALSO\"\n.BR amend "
          "(1)\n",
          out);
}

void am_config_done(struct am_config *c)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].kind == TEXT) {
            char **at = (char **)(void *)((char *)c + keys[i].at);
            free(*at);
            *at = NULL;
        }
}
