/*
 * control.c - see control.h. A backup asks the daemon that holds LOCK, found by the file `url` in its folder, and does
 * the work itself when there is none. A restore is never the daemon's: the database is exchanged under its feet.
 */
#include "server/control.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/ask.h"
#include "server/config.h"
#include "storage/backup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MISSING_SHOWN = 20, POLL_MS = 100 };

struct command {
    struct am_config cfg;
    char *file; /* absolute */
    bool force;
    char why[1200];
};

static int fail(const char *why)
{
    fprintf(stderr, "amendd: %s\n", why);
    return 1;
}

bool am_control_knows(const char *command)
{
    return am_streq(command, "backup") || am_streq(command, "restore") || am_streq(command, "--healthcheck") ||
           am_starts(command, "--healthcheck=");
}

/* ---- the command line ---- */

/* The file need not exist; its folder must. */
static char *absolute(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL, *all = NULL;
    if (real && asprintf(&all, "%s/%s", am_streq(real, "/") ? "" : real, slash ? slash + 1 : file) < 0)
        all = NULL;
    free(real);
    free(folder);
    return all;
}

static int parse(struct command *c, int argc, char **argv)
{
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    const char *file = NULL;
    int n = 1;
    if (!rest)
        return -AM_E_OUT_OF_MEMORY;
    for (int i = 2; i < argc; i++) {
        if (am_streq(argv[i], "--force") && am_streq(argv[1], "restore"))
            c->force = true;
        else if (argv[i][0] != '-' && !file)
            file = argv[i];
        else
            rest[n++] = argv[i];
    }
    int rc = am_config_load(&c->cfg, n, rest, c->why, sizeof c->why);
    free(rest);
    AM_TRY(rc);
    if (argv[1][0] == '-')
        return 0; /* a health check needs none */
    if (!file) {
        snprintf(c->why, sizeof c->why, "usage: amendd %s FILE --data_dir=FOLDER%s", argv[1],
                 am_streq(argv[1], "restore") ? " [--force]" : "");
        return -AM_E_INVALID_REQUEST;
    }
    c->file = absolute(file);
    if (!c->file) {
        snprintf(c->why, sizeof c->why, "the folder of %s does not exist", file);
        return -AM_E_NOT_FOUND;
    }
    return 0;
}

/* ---- backup ---- */

static int say_backup(const char *file, long long bytes, const char *until)
{
    printf("backup written to %s bytes=%lld committed_until=%s\n", file, bytes, until);
    return 0;
}

static int read_url(struct command *c, char url[300])
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/url", c->cfg.data_dir);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0);
    ssize_t n = fd < 0 ? fd : am_sys_read(fd, url, 299);
    if (n <= 0)
        return -AM_E_NOT_FOUND;
    url[n] = 0;
    url[strcspn(url, "\n")] = 0;
    return 0;
}

static int problem(struct command *c, json_t *doc)
{
    const char *detail = json_string_value(json_object_get(doc, "detail"));
    snprintf(c->why, sizeof c->why, "the daemon says: %s", detail ? detail : "no");
    json_decref(doc);
    return -AM_E_CONFLICT;
}

static int start_task(struct command *c, const char *url, char path[100])
{
    int status = 0;
    json_t *doc = NULL;
    json_auto_t *wish = json_pack("{s:s, s:s}", "kind", "backup", "target", c->file);
    char *body = wish ? json_dumps(wish, JSON_COMPACT) : NULL;
    int rc =
        body ? am_ask(url, "POST", "/v1/admin/tasks", body, &status, &doc, c->why, sizeof c->why) : -AM_E_OUT_OF_MEMORY;
    free(body);
    AM_TRY(rc);
    const char *id = json_string_value(json_object_get(doc, "id"));
    if (status != 202 || !id)
        return problem(c, doc);
    snprintf(path, 100, "/v1/jobs/%.64s", id);
    json_decref(doc);
    return 0;
}

/* 1 = ended, *ret its row. */
static int look_at_task(struct command *c, const char *url, const char *path, json_t **ret)
{
    int status = 0;
    json_t *doc = NULL;
    AM_TRY(am_ask(url, "GET", path, NULL, &status, &doc, c->why, sizeof c->why));
    const char *state = json_string_value(json_object_get(doc, "status"));
    if (status != 200 || !state)
        return problem(c, doc);
    if (am_streq(state, "queued") || am_streq(state, "running") || am_streq(state, "cancelling")) {
        json_decref(doc);
        return 0;
    }
    *ret = doc;
    return 1;
}

static int ask_daemon(struct command *c, const char *url)
{
    char path[100];
    json_t *job = NULL;
    int rc = start_task(c, url, path);
    while (rc == 0 && (rc = look_at_task(c, url, path, &job)) == 0)
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    AM_TRY(rc);
    json_t *result = json_object_get(job, "result");
    const char *until = json_string_value(json_object_get(result, "committed_until"));
    if (!am_streq(json_string_value(json_object_get(job, "status")), "succeeded") || !until) {
        json_t *error = json_incref(json_object_get(job, "error"));
        json_decref(job);
        return problem(c, error);
    }
    say_backup(c->file, (long long)json_integer_value(json_object_get(result, "bytes")), until);
    json_decref(job);
    return 0;
}

static int backup(struct command *c)
{
    struct am_backed_up b = {0};
    bool busy = false;
    char url[300], holder[1200], until[AM_TIME_TEXT];
    int rc = am_backup_offline(c->cfg.data_dir, c->file, &b, &busy, c->why, sizeof c->why);
    if (busy) {
        snprintf(holder, sizeof holder, "%s", c->why);
        if (read_url(c, url) == 0)
            return ask_daemon(c, url);
        snprintf(c->why, sizeof c->why, "%.900s It says no URL in data_dir/url: is it still starting?", holder);
    }
    AM_TRY(rc);
    am_time_text(b.at, until);
    return say_backup(c->file, (long long)b.bytes, until);
}

/* ---- restore ---- */

static void show_missing(void *ctx, const char *sha256, int64_t bytes)
{
    int *shown = ctx;
    if ((*shown)++ < MISSING_SHOWN)
        fprintf(stderr, "amendd: missing blob %.2s/%s bytes=%lld\n", sha256, sha256, (long long)bytes);
}

static int restore(struct command *c)
{
    struct am_restored r = {0};
    int shown = 0;
    int rc = am_restore(c->cfg.data_dir, c->file, c->force, show_missing, &shown, &r, c->why, sizeof c->why);
    if (shown > MISSING_SHOWN)
        fprintf(stderr, "amendd: and %d more\n", shown - MISSING_SHOWN);
    AM_TRY(rc);
    printf("restored %s jobs=%lld versions=%lld blobs=%lld missing=%lld%s\n", c->file, (long long)r.jobs,
           (long long)r.versions, (long long)r.blobs, (long long)r.missing,
           r.kept ? "; the database before is kept as amendd.db.before-restore" : "");
    return 0;
}

/* ---- health ---- */

static void say_unready(struct command *c, const json_t *doc)
{
    const char *name;
    json_t *check;
    size_t n = (size_t)snprintf(c->why, sizeof c->why, "not ready");
    json_object_foreach(json_object_get(doc, "checks"), name, check)
    {
        const char *detail = json_string_value(json_object_get(check, "detail"));
        if (am_streq(json_string_value(json_object_get(check, "status")), "fail") && n < sizeof c->why)
            n += (size_t)snprintf(c->why + n, sizeof c->why - n, "; %.40s: %.200s", name, detail ? detail : "");
    }
}

static int healthcheck(struct command *c, const char *word)
{
    bool live = am_streq(word, "--healthcheck=live");
    char url[300];
    int status = 0;
    json_t *doc = NULL;
    if (!live && !am_streq(word, "--healthcheck=ready") && !am_streq(word, "--healthcheck")) {
        snprintf(c->why, sizeof c->why, "usage: amendd --healthcheck[=ready|live] --data_dir=FOLDER");
        return -AM_E_INVALID_REQUEST;
    }
    if (read_url(c, url) < 0) /* not in that folder, or still starting */
        snprintf(url, sizeof url, "http://%.280s", c->cfg.listen);
    AM_TRY(am_ask(url, "GET", live ? "/livez" : "/readyz", NULL, &status, &doc, c->why, sizeof c->why));
    if (status != 200)
        say_unready(c, doc);
    json_decref(doc);
    if (status != 200)
        return -AM_E_CONFLICT;
    printf("%s\n", live ? "live" : "ready");
    return 0;
}

int am_control(int argc, char **argv)
{
    struct command c = {.why = "out of memory"};
    int rc = parse(&c, argc, argv);
    if (rc == 0)
        rc = argv[1][0] == '-' ? healthcheck(&c, argv[1]) : am_streq(argv[1], "backup") ? backup(&c) : restore(&c);
    int code = rc < 0 ? fail(c.why) : 0;
    free(c.file);
    am_config_done(&c.cfg);
    return code;
}
