/*
 * cmd_misc.c - amend version and amend api.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/read.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_cmd_version(struct am_cli *c, int argc, char **argv)
{
    int rc = am_opt_parse(c, NULL, argc, argv, 0, 0, NULL);
    if (rc)
        return rc;
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    struct am_request q = {.verb = "GET", .path = "/v1/version", .once = true};
    bool up = am_http_try(c, &q, &r, why) == AM_HTTP_ANSWERED && r.status == 200;
    const char *daemon_version = up ? am_js_text(r.json, "version", NULL) : NULL;
    if (c->out == AM_OUT_JSON) {
        AM_CLEANUP(am_jsonp) json_t *v = json_pack("{s:s,s:s?}", "client", AM_VERSION, "daemon", daemon_version);
        am_print_json(c, v);
        return 0;
    }
    puts("amend " AM_VERSION);
    if (daemon_version) {
        printf("amendd ");
        am_put_clean(stdout, daemon_version);
        printf(" at %s\n", c->endpoint);
    } else {
        am_say_note(c, "no daemon answers at %s", c->endpoint);
    }
    return 0;
}

struct raw {
    const char *data;
    const char *headers[17];
    size_t n_headers;
    const char *words[2];
};

static int read_raw(struct am_cli *c, int argc, char **argv, struct raw *ret)
{
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    size_t n = 0;
    while (am_scan_next(&s, &t)) {
        if (t.word) {
            if (n == 2)
                return am_say_usage(c, "'%s' is one word too many", t.word);
            ret->words[n++] = t.word;
            continue;
        }
        bool data = am_streq(t.name, "d") || am_streq(t.name, "data"),
             header = am_streq(t.name, "H") || am_streq(t.name, "header");
        if (!data && !header)
            return am_say_usage(c, "unknown option %s%s", t.name[1] ? "--" : "-", t.name);
        const char *value = am_scan_value(&s, &t);
        if (!value)
            return am_say_usage(c, "-%s needs a value after it", t.name);
        if (data)
            ret->data = value;
        else if (ret->n_headers < 16 && strchr(value, ':') && !strpbrk(value, "\r\n"))
            ret->headers[ret->n_headers++] = value;
        else
            return am_say_usage(c, "-H takes 'Name: value', at most 16 times; not '%s'", value);
    }
    return n == 2 ? 0 : am_say_usage(c, "it takes a method and a path, as in: amend api GET /v1/models");
}

static int put_answer(struct am_cli *c, const struct am_reply *r)
{
    bool formed = c->yaml || c->fields || c->jq;
    if (r->json && (c->out_tty || formed) && (r->status < 400 || !formed))
        am_print_json(c, r->json);
    else
        am_print_text(c, r->body, r->len);
    return r->status >= 400 ? am_problem_say(c, r) : 0;
}

int am_cmd_api(struct am_cli *c, int argc, char **argv)
{
    static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
    struct raw raw = {0};
    const char *verb = NULL;
    int rc = read_raw(c, argc, argv, &raw);
    if (rc)
        return rc;
    for (size_t i = 0; i < 6; i++)
        if (strcasecmp(raw.words[0], verbs[i]) == 0)
            verb = verbs[i];
    if (!verb)
        return am_say_usage(c, "the method is GET, POST, PUT, PATCH, DELETE or HEAD, not '%s'", raw.words[0]);
    if (raw.words[1][0] != '/')
        return am_say_usage(c, "the path starts with /, as in /v1/models; not '%s'", raw.words[1]);
    AM_CLEANUP(am_xfreep) char *input = NULL;
    size_t n = raw.data ? strlen(raw.data) : 0;
    if (am_streq(raw.data, "-")) {
        if ((rc = am_read_all(c, "-", &input, &n)))
            return rc;
        raw.data = input;
    }
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = verb, .path = raw.words[1], .body = raw.data, .body_len = n, .headers = raw.headers};
    rc = am_http_send(c, &q, &r);
    return rc ? rc : put_answer(c, &r);
}
