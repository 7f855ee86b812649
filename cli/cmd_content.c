/*
 * cmd_content.c - amend model diff, export, card: what versions are made of.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIFF_ROWS = 1000, DIFF_MOST = 10000 };

char *am_dir_absolute(const struct am_cli *c, const char *dir)
{
    char here[4096];
    if (dir[0] == '/')
        return am_xdup(dir);
    if (getcwd(here, sizeof here))
        return am_xprintf("%s/%s", here, dir);
    am_say_error(c, "give the directory as an absolute path", "the present directory has no name: %s", strerror(errno));
    return NULL;
}

/* ---- diff ---- */

/* "F32 [8,8]" of a tensor; the size of a file; "-" where there is none. */
static void put_end(struct am_grid *g, const json_t *end)
{
    const char *dtype = am_js_text(end, "dtype", NULL);
    if (!dtype) {
        am_grid_bytes(g, am_js_int(end, "bytes", -1));
        return;
    }
    AM_CLEANUP(am_xfreep) char *shape = am_js_dump(am_js(end, "shape"), false);
    am_grid_putf(g, "%s %s", dtype, shape);
}

static void put_difference(struct am_grid *g, const json_t *d)
{
    const char *path = am_js_text(d, "path", NULL);
    am_grid_put(g, am_js_text(d, "class", "?"));
    am_grid_put(g, path ? "file" : "tensor");
    am_grid_put(g, path ? path : am_js_text(d, "name", "?"));
    put_end(g, am_js(d, "from"));
    put_end(g, am_js(d, "to"));
}

static void say_counts(const struct am_cli *c, const json_t *diff)
{
    am_say_note(
        c,
        "tensors: %lld added, %lld removed, %lld reshaped, %lld changed (stored anew), %lld identical; nothing "
        "was read of the weights",
        (long long)am_js_int(diff, "tensors.added.count", 0), (long long)am_js_int(diff, "tensors.removed.count", 0),
        (long long)am_js_int(diff, "tensors.reshaped.count", 0), (long long)am_js_int(diff, "tensors.changed.count", 0),
        (long long)am_js_int(diff, "tensors.identical.count", 0));
}

int am_cmd_model_diff(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"CLASS", "KIND", "NAME", "FROM", "TO", NULL};
    const char *words[2], *limit = NULL, *classes = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {"class", 0, &classes, NULL}, {0}};
    struct am_ref from, to;
    uint64_t want = DIFF_ROWS;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc == 0 && limit)
        rc = am_opt_number(c, "--limit", limit, 1, DIFF_MOST, &want);
    if (rc || (rc = am_rev_parse(c, words[0], &from)) || (rc = am_rev_parse(c, words[1], &to)))
        return rc;
    AM_CLEANUP(am_xfreep) char *name = am_xprintf("%s@%s", from.model, from.rev);
    AM_CLEANUP(am_xfreep) char *from_text = am_url_encoded(name);
    AM_CLEANUP(am_xfreep) char *to_text = am_url_encoded(to.rev);
    AM_CLEANUP(am_xfreep) char *class_text = am_url_encoded(classes ? classes : "");
    AM_CLEANUP(am_xfreep) char *base = am_url_model(to.model, "diff", NULL);
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%s?from=%s&to=%s&limit=%llu%s%s", base, from_text, to_text, (unsigned long long)want,
                            classes ? "&class=" : "", class_text);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_get(c, path, &r)))
        return rc;
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, r.json);
        return 0;
    }
    AM_CLEANUP(am_jsonp) json_t *rows = json_array();
    json_array_extend(rows, am_js(r.json, "files.data"));
    json_array_extend(rows, am_js(r.json, "data"));
    AM_CLEANUP(am_jsonp)
    json_t *list = json_pack("{s:O,s:O?}", "data", rows, "has_more", am_js(r.json, "has_more"));
    rc = am_print_list(c, list, head, 0, put_difference, "no difference");
    say_counts(c, r.json);
    return rc;
}

/* ---- export ---- */

int am_cmd_model_export(struct am_cli *c, int argc, char **argv)
{
    const char *words[2];
    bool overwrite = false;
    const struct am_opt opts[] = {{"overwrite", 0, NULL, &overwrite}, {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc || (rc = am_rev_parse(c, words[0], &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *dir = am_dir_absolute(c, words[1]);
    if (!dir)
        return AM_EXIT_ERROR;
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:s,s:b}", "path", dir, "overwrite", overwrite);
    if (!body)
        return am_say_usage(c, "the directory must be UTF-8 text");
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", m.rev, "export", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_post(c, path, body, NULL, &r)))
        return rc;
    const char *id = am_js_text(r.json, "id", NULL);
    if (!id) {
        am_say_error(c, "ask: amend doctor", "the daemon took the export but its answer has no id");
        return AM_EXIT_ERROR;
    }
    rc = am_job_follow(c, id);
    if (rc == 0 && c->out != AM_OUT_JSON) {
        am_put_clean(stdout, dir);
        putchar('\n');
    }
    return rc;
}

/* ---- card ---- */

int am_cmd_model_card(struct am_cli *c, int argc, char **argv)
{
    static const char *const markdown[] = {"Accept: text/markdown", NULL}, *const json[] = {"Accept: application/json",
                                                                                            NULL};
    const char *word;
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_rev_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", m.rev, "card", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path, .headers = c->out == AM_OUT_JSON ? json : markdown};
    if ((rc = am_http_send(c, &q, &r)))
        return rc;
    if (r.status != 200)
        return am_problem_say(c, &r);
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        am_print_text(c, r.body, r.len);
    return 0;
}
