/*
 * cmd_compat.c - amend compat run, report: comparing two versions and reading what came of it.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/opt.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- run ---- */

#define SLICES_MAX 64

struct run {
    const char *word[2], *data, *old_set, *new_set, *gate, *move, *bootstrap, *seed;
    const char *slice[SLICES_MAX];
    size_t slices;
};

/* "external:NAME" of something that is not here. New reference. */
static json_t *named(const char *text)
{
    return am_starts(text, "external:") ? json_pack("{s:s}", "external", text + 9) : json_string(text);
}

static int add_slice(const struct am_cli *c, const char *value, void *arg)
{
    struct run *r = arg;
    if (r->slices == SLICES_MAX)
        return am_say_usage(c, "at most %d keys of slices", SLICES_MAX);
    r->slice[r->slices++] = value;
    return 0;
}

static int read_line(struct am_cli *c, int argc, char **argv, struct run *r)
{
    const struct am_opt opts[] = {{"data", 0, &r->data, NULL},
                                  {"old-predictions", 0, &r->old_set, NULL},
                                  {"new-predictions", 0, &r->new_set, NULL},
                                  {"gate", 0, &r->gate, NULL},
                                  {"move", 0, &r->move, NULL},
                                  {"bootstrap", 0, &r->bootstrap, NULL},
                                  {"seed", 0, &r->seed, NULL},
                                  {0}};
    int rc = am_opt_each(c, "--slice", "a key", &argc, argv, add_slice, r);
    if (rc == 0)
        rc = am_opt_parse(c, opts, argc, argv, 0, 2, r->word);
    if (rc)
        return rc;
    if (!r->old_set != !r->new_set)
        return am_say_usage(c, "give both --old-predictions and --new-predictions");
    if (r->old_set && (r->word[0] || r->data))
        return am_say_usage(c, "give two versions with --data, or two prediction sets, not both");
    if (!r->old_set && (!r->word[1] || !r->data))
        return am_say_usage(c, "give the OLD and the NEW version and --data D, or --old-predictions and "
                               "--new-predictions");
    if (r->move && !r->gate)
        return am_say_usage(c, "--move needs --gate: the ref moves when the gate says promote");
    return 0;
}

static json_t *inputs_of(const struct run *r)
{
    if (r->old_set)
        return json_pack("{s:s,s:s}", "old_predictions", r->old_set, "new_predictions", r->new_set);
    return json_pack("{s:o,s:o,s:o}", "old", named(r->word[0]), "new", named(r->word[1]), "data", named(r->data));
}

static int body_of(struct am_cli *c, const struct run *r, json_t **ret)
{
    AM_CLEANUP(am_jsonp) json_t *params = json_object();
    AM_CLEANUP(am_jsonp) json_t *options = json_object();
    AM_CLEANUP(am_jsonp) json_t *slices = json_array();
    int rc = am_compat_numbers(c, r->bootstrap, r->seed, params, options);
    if (rc)
        return rc;
    for (size_t i = 0; i < r->slices; i++)
        json_array_append_new(slices, json_string(r->slice[i]));
    if (r->slices)
        json_object_set(params, "slices", slices);
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:s,s:s,s:o,s:O,s:O}", "type", "evaluate", "method", "compare", "inputs", inputs_of(r),
                             "params", params, "options", options);
    if (!body)
        return am_say_usage(c, "names must be UTF-8 text");
    if (r->gate)
        json_object_set_new(body, "gate", json_string(r->gate));
    if (r->move)
        json_object_set_new(body, "publish",
                            json_pack("{s:[{s:s,s:s,s:s}]}", "move", "ref", r->move, "to", "new", "when", "promote"));
    *ret = json_incref(body);
    return 0;
}

static void say_moved(const struct am_cli *c, const json_t *job)
{
    const json_t *move;
    size_t i;
    json_array_foreach(am_js(job, "result.refs"), i, move)
        am_say_note(c, "%s moved to %.12s", am_js_text(move, "ref", "?"), am_js_text(move, "to", "?"));
}

/* Exits 4 when the gate of the job did not say promote. */
int am_cmd_compat_run(struct am_cli *c, int argc, char **argv)
{
    struct run r = {0};
    AM_CLEANUP(am_jsonp) json_t *body = NULL;
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    int rc = read_line(c, argc, argv, &r);
    if (rc || (rc = body_of(c, &r, &body)) || (rc = am_compat_submit(c, body, &job)))
        return rc;
    say_moved(c, job);
    const json_t *decided = am_js(job, "result.decision");
    rc = am_verdict_exit(decided);
    if (rc)
        am_verdict_say(c, decided);
    return rc;
}

/* ---- report ---- */

/* Whole or not at all: the page is here before the file is made. */
static int write_file(struct am_cli *c, const char *file, const char *bytes, size_t n)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int rc = fd < 0 ? fd : am_sys_write(fd, bytes, n);
    if (rc < 0)
        am_say_error(c, "name a file that you may write with --out", "%s could not be written: %s", file,
                     strerror(errno));
    return rc < 0 ? AM_EXIT_ERROR : 0;
}

static int print_form(struct am_cli *c, const char *id, const char *type, const char *file)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/reports", id, NULL);
    AM_CLEANUP(am_xfreep) char *accept = am_xprintf("Accept: %s", type);
    const char *const headers[] = {accept, NULL};
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path, .headers = headers};
    int rc = am_http_send(c, &q, &r);
    if (rc || r.status != 200)
        return rc ? rc : am_problem_say(c, &r);
    if (file)
        return write_file(c, file, r.body, r.len);
    am_print_text(c, r.body, r.len);
    return 0;
}

int am_cmd_compat_report(struct am_cli *c, int argc, char **argv)
{
    static const char *const forms[][2] = {
        {"md", "text/markdown"}, {"html", "text/html"}, {"json", "application/json"}, {"text", NULL}};
    static const char *const words[] = {"text", "md", "html", "json"};
    const char *id, *format = NULL, *file = NULL;
    const struct am_opt opts[] = {{"format", 0, &format, NULL}, {"out", 0, &file, NULL}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc)
        return rc;
    if (file && !format)
        format = am_ends(file, ".html") ? "html" : am_ends(file, ".json") ? "json" : "md";
    for (size_t i = 0; i < 4; i++) {
        if (!am_streq(format ? format : "text", forms[i][0]))
            continue;
        if (!forms[i][1] && file)
            return am_say_usage(c, "--out writes md, html or json; send the text there with >");
        return forms[i][1] ? print_form(c, id, forms[i][1], file) : am_report_print(c, id);
    }
    return am_say_unknown(c, "format", format, words, 4);
}
