/*
 * doctor.c - amend doctor: asks the daemon and looks at the set-up here; one line a finding, with a fix where something
 * is wrong.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOW_SPACE (1ull << 30)

enum finding { GOOD, WARN, FAIL };

struct doctor {
    struct am_cli *c;
    json_t *list; /* for -o json */
    int worst;
};

static void find(struct doctor *d, enum finding level, const char *check, const char *fix, const char *fmt, ...)
    AM_PRINTF(5, 6);

static void find(struct doctor *d, enum finding level, const char *check, const char *fix, const char *fmt, ...)
{
    static const char *const word[] = {"ok", "warn", "fail"}, *const color[] = {"\033[32m", "\033[33m", "\033[31m"};
    const struct am_cli *c = d->c;
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if ((int)level > d->worst)
        d->worst = (int)level;
    json_array_append_new(
        d->list, json_pack("{s:s,s:s,s:s,s:s?}", "check", check, "status", word[level], "detail", text, "fix", fix));
    if (c->out == AM_OUT_JSON)
        return;
    const char *tab = c->out == AM_OUT_TABLE ? "  " : "\t";
    printf("%s%-*s%s%s%-*s%s", c->out_color ? color[level] : "", c->out == AM_OUT_TABLE ? 4 : 0, word[level],
           c->out_color ? "\033[0m" : "", tab, c->out == AM_OUT_TABLE ? 10 : 0, check, tab);
    am_put_clean(stdout, text);
    if (fix) {
        printf("%s", c->out == AM_OUT_TABLE ? "; fix: " : "\t");
        am_put_clean(stdout, fix);
    }
    putchar('\n');
}

static bool ask(struct doctor *d, const char *path, struct am_reply *ret, char why[300])
{
    struct am_request q = {.verb = "GET", .path = path, .once = true};
    return am_http_try(d->c, &q, ret, why) == AM_HTTP_ANSWERED;
}

static bool check_live(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    if (!ask(d, "/livez", &r, why)) {
        find(d, FAIL, "daemon",
             "systemctl start amendd, or: amendd --data_dir=FOLDER; another one: amend context set NAME --endpoint URL",
             "no answer from %s: %s", d->c->endpoint, why);
        return false;
    }
    if (r.status == 200)
        find(d, GOOD, "daemon", NULL, "alive at %s", d->c->endpoint);
    else
        find(d, FAIL, "daemon", "is that an amend daemon? amend context list; journalctl -u amendd -n 50",
             "%s/livez answers %ld", d->c->endpoint, r.status);
    return true;
}

/* What to run when a check of /readyz is not good. */
static const char *command_for(const char *check)
{
    static const struct {
        const char *check, *fix;
    } all[] = {
        {"database", "journalctl -u amendd -n 50"},
        {"integrity", "stop amendd, then: amendd restore BACKUP --data_dir=FOLDER"},
        {"store", "free space on its disk, or: amend api POST /v1/admin/tasks -d '{\"kind\":\"gc\"}'"},
        {"workers", "amend queue; amend job list --status running"},
        {"confinement", "run amendd on Linux 5.13 or newer, by its systemd unit: systemctl start amendd"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (am_streq(all[i].check, check))
            return all[i].fix;
    return "journalctl -u amendd -n 50";
}

static void check_parts(struct doctor *d, const json_t *checks)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)checks, name, v)
    {
        const char *status = json_is_string(v) ? json_string_value(v) : am_js_text(v, "status", "?");
        const char *detail = am_js_text(v, "detail", "");
        bool good = am_streq(status, "ok") || am_streq(status, "pass");
        enum finding level = good ? GOOD : am_streq(status, "warn") ? WARN : FAIL;
        /* the detail of this one says what to do: nothing can be run */
        const char *fix = level == GOOD || am_streq(name, "sqlite") ? NULL : command_for(name);
        find(d, level, name, fix, "%s", detail[0] ? detail : status);
    }
}

static void check_ready(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    if (!ask(d, "/readyz", &r, why))
        find(d, FAIL, "ready", "journalctl -u amendd -n 50", "no answer: %s", why);
    else if (r.status == 200)
        find(d, GOOD, "ready", NULL, "takes jobs");
    else
        find(d, FAIL, "ready", "see the checks below", "not ready: answers %ld", r.status);
    check_parts(d, am_js(r.json, "checks"));
}

static void check_version(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    const char *version = ask(d, "/v1/version", &r, why) ? am_js_text(r.json, "version", NULL) : NULL;
    size_t n = strlen(AM_VERSION);
    if (!version)
        find(d, FAIL, "version", "is that an amend daemon? amend api GET /v1", "%s/v1/version tells no version",
             d->c->endpoint);
    else if (am_starts(version, AM_VERSION) && (!version[n] || version[n] == '+'))
        find(d, GOOD, "version", NULL, "client and daemon are " AM_VERSION);
    else
        find(d, WARN, "version", "make install of the daemon's version here; amend version",
             "client " AM_VERSION ", daemon %s", version);
}

static void check_methods(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    bool up = ask(d, "/v1/methods", &r, why) && r.status == 200;
    size_t n = up ? json_array_size(am_js(r.json, "data")) : 0;
    if (n)
        find(d, GOOD, "methods", NULL, "%zu%s", n, json_is_true(am_js(r.json, "has_more")) ? " and more" : "");
    else
        find(d, FAIL, "methods", "build it again: make && make install, then systemctl restart amendd",
             "the daemon offers no methods");
}

static void check_queue(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    if (!ask(d, "/v1/queue", &r, why) || r.status != 200)
        find(d, FAIL, "queue", "amend api GET /v1/queue", "the daemon does not tell its queue");
    else if (json_is_true(am_js(r.json, "paused")))
        find(d, WARN, "queue", "amend queue", "paused: jobs wait");
    else
        find(d, GOOD, "queue", NULL, "%lld queued, %lld running of %lld at a time",
             (long long)am_js_int(r.json, "counts.queued", 0), (long long)am_js_int(r.json, "counts.running", 0),
             (long long)am_js_int(r.json, "slots.total", 0));
}

/* The file of contexts was read before we came here, so it is sound. */
static void check_contexts(struct doctor *d)
{
    const char *name[256];
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    struct stat st;
    if (am_conf_load(d->c, &f))
        return;
    size_t n = am_conf_list(&f, name, 256);
    const char *current = am_conf_current(&f);
    if (n)
        find(d, GOOD, "contexts", NULL, "%zu in %s, current: %s", n, f.path, current ? current : "none");
    for (size_t i = 0; i < n; i++) {
        const char *file = am_conf_get(&f, name[i], AM_CONF_TOKEN_FILE);
        AM_CLEANUP(am_xfreep) char *path = file && file[0] ? am_conf_file(file) : NULL;
        AM_CLEANUP(am_xfreep) char *fix = path ? am_xprintf("chmod 600 %s", path) : NULL;
        if (path && am_sys_stat(AT_FDCWD, path, &st) < 0)
            find(d, FAIL, "token", "write the token there, or: amend context set NAME --token-file ''",
                 "%s of context %s cannot be read", path, name[i]);
        else if (path && (st.st_mode & 077))
            find(d, WARN, "token", fix, "others may read %s", path);
    }
}

static void check_space(struct doctor *d)
{
    uint64_t free_bytes, total;
    char text[AM_FMT];
    if (am_sys_free_bytes(".", &free_bytes, &total) < 0) {
        find(d, WARN, "space", "cd FOLDER", "the free space of this directory is not known");
        return;
    }
    am_fmt_bytes((int64_t)free_bytes, text);
    if (free_bytes < LOW_SPACE)
        find(d, WARN, "space", "df -h .; then free some, or: amend model pull MODEL ANOTHER_DIRECTORY",
             "%s free in this directory", text);
    else
        find(d, GOOD, "space", NULL, "%s free in this directory", text);
}

int am_cmd_doctor(struct am_cli *c, int argc, char **argv)
{
    int rc = am_opt_parse(c, NULL, argc, argv, 0, 0, NULL);
    if (rc)
        return rc;
    AM_CLEANUP(am_jsonp) json_t *list = json_array();
    struct doctor d = {.c = c, .list = list};
    find(&d, GOOD, "endpoint", NULL, "%s (from %s)", c->endpoint, c->endpoint_from);
    bool up = check_live(&d);
    if (up) {
        check_ready(&d);
        check_version(&d);
        check_methods(&d);
        check_queue(&d);
    }
    check_contexts(&d);
    check_space(&d);
    if (c->out == AM_OUT_JSON) {
        AM_CLEANUP(am_jsonp) json_t *all = json_pack("{s:s,s:O}", "object", "list", "data", list);
        am_print_json(c, all);
    }
    return !up ? AM_EXIT_UNREACHABLE : d.worst == FAIL ? AM_EXIT_ERROR : 0;
}
