/*
 * cmd_log.c - amend job logs, events.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/buf.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (64u << 10)

struct follow {
    const struct am_cli *c;
    struct am_buf line; /* a terminal gets whole lines, so that no character is cut */
};

static void flush_line(struct follow *f)
{
    if (f->line.len)
        am_put_clean(stdout, f->line.data);
    am_buf_done(&f->line);
    am_buf_init(&f->line, LINE_MAX_BYTES);
}

static int on_bytes(void *arg, const void *bytes, size_t n)
{
    struct follow *f = arg;
    const char *p = bytes, *end = p + n;
    if (!f->c->out_tty)
        fwrite(bytes, 1, n, stdout);
    while (f->c->out_tty && p < end) {
        const char *feed = memchr(p, '\n', (size_t)(end - p));
        size_t take = (size_t)((feed ? feed + 1 : end) - p);
        if (am_buf_put(&f->line, p, take) < 0) { /* a line without end comes in pieces */
            flush_line(f);
            take = take < LINE_MAX_BYTES ? take : LINE_MAX_BYTES - 1;
            am_buf_put(&f->line, p, take);
        }
        if (feed && take == (size_t)(feed + 1 - p))
            flush_line(f);
        p += take;
    }
    fflush(stdout);
    return 0;
}

static int follow_log(struct am_cli *c, const char *path)
{
    struct follow f = {.c = c};
    AM_CLEANUP(am_xfreep) char *url = am_xprintf("%s?follow=true", path);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = url, .once = true, .silent = true, .sink = on_bytes, .arg = &f};
    am_buf_init(&f.line, LINE_MAX_BYTES);
    int rc = am_http_send(c, &q, &r);
    flush_line(&f);
    am_buf_done(&f.line);
    return rc ? rc : r.status == 200 ? 0 : am_problem_say(c, &r);
}

int am_cmd_job_logs(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    bool follow = false;
    const struct am_opt opts[] = {{"follow", 'f', NULL, &follow}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, "log", NULL);
    if (follow)
        return follow_log(c, path);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path};
    if ((rc = am_http_send(c, &q, &r)))
        return rc;
    if (r.status != 200 && r.status != 204)
        return am_problem_say(c, &r);
    am_print_text(c, r.body, r.len);
    return 0;
}

static void put_event(struct am_grid *g, const json_t *event)
{
    am_grid_put(g, am_js_text(event, "id", "?"));
    am_grid_time(g, am_js_text(event, "created_at", NULL));
    am_grid_put(g, am_js_text(event, "level", "?"));
    am_grid_put(g, am_js_text(event, "type", "?"));
    am_grid_put(g, am_js_text(event, "message", NULL));
}

int am_cmd_job_events(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"EVENT", "TIME", "LEVEL", "TYPE", "MESSAGE", NULL};
    const char *id, *limit = NULL;
    uint64_t want = 1000;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc == 0 && limit)
        rc = am_opt_number(c, "--limit", limit, 1, 100000, &want);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, "events", NULL);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    rc = am_http_list(c, path, (size_t)want, true, &list);
    return rc ? rc : am_print_list(c, list, head, 0, put_event, "no events");
}
