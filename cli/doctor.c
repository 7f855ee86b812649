/*
 * doctor.c - amend doctor: asks the daemon and looks at the set-up here; one line a finding, with a fix where something
 * is wrong.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/sys.h"
#include "core/base/text.h"

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
        find(d, FAIL, "daemon", "is amendd running? start it with: amendd --data_dir=FOLDER, or set AMEND_ENDPOINT",
             "no answer from %s: %s", d->c->endpoint, why);
        return false;
    }
    if (r.status == 200)
        find(d, GOOD, "daemon", NULL, "alive at %s", d->c->endpoint);
    else
        find(d, FAIL, "daemon", "is that an amend daemon? check the endpoint, then the daemon's log",
             "%s/livez answers %ld", d->c->endpoint, r.status);
    return true;
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
        const char *fix = level == FAIL ? "see the daemon's log" : NULL; /* a warning's detail says what to do */
        find(d, level, name, fix, "%s", detail[0] ? detail : status);
    }
}

static void check_ready(struct doctor *d)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    if (!ask(d, "/readyz", &r, why))
        find(d, FAIL, "ready", "try again; then look at the daemon's log", "no answer: %s", why);
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
        find(d, FAIL, "version", "is that an amend daemon? check the endpoint", "%s/v1/version tells no version",
             d->c->endpoint);
    else if (am_starts(version, AM_VERSION) && (!version[n] || version[n] == '+'))
        find(d, GOOD, "version", NULL, "client and daemon are " AM_VERSION);
    else
        find(d, WARN, "version", "install the client of the daemon's version", "client " AM_VERSION ", daemon %s",
             version);
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
        find(d, FAIL, "methods", "was the daemon built whole? run make again", "the daemon offers no methods");
}

static void check_space(struct doctor *d)
{
    uint64_t free_bytes, total;
    char text[AM_FMT];
    if (am_sys_free_bytes(".", &free_bytes, &total) < 0) {
        find(d, WARN, "space", "go to another directory", "the free space of this directory is not known");
        return;
    }
    am_fmt_bytes((int64_t)free_bytes, text);
    if (free_bytes < LOW_SPACE)
        find(d, WARN, "space", "free some, or pull into another directory", "%s free in this directory", text);
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
    }
    check_space(&d);
    if (c->out == AM_OUT_JSON) {
        AM_CLEANUP(am_jsonp) json_t *all = json_pack("{s:s,s:O}", "object", "list", "data", list);
        am_print_json(c, all);
    }
    return !up ? AM_EXIT_UNREACHABLE : d.worst == FAIL ? AM_EXIT_ERROR : 0;
}
