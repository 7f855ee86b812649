/*
 * cmd_model.c - amend model register, create, list, show, versions, files. Pull and lineage have files of their own.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int report_version(struct am_cli *c, const struct am_reply *r)
{
    const json_t *warning;
    size_t i;
    json_array_foreach(am_js(r->json, "warnings"), i, warning)
    {
        AM_CLEANUP(am_xfreep) char *text = am_js_plain(json_is_object(warning) ? am_js(warning, "detail") : warning);
        am_say_note(c, "warning: %s", text);
    }
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r->json);
    else
        am_print_version(c, r->json);
    return 0;
}

int am_register_post(struct am_cli *c, const char *model, const json_t *body, struct am_reply *ret)
{
    AM_CLEANUP(am_xfreep) char *path = am_url_model(model, "versions", NULL);
    am_live_draw(c, &(struct am_live){.phase = "the daemon reads the directory", .fraction = -1, .eta_seconds = -1});
    int rc = am_http_post(c, path, body, NULL, ret);
    am_live_clear();
    return rc;
}

int am_cmd_model_register(struct am_cli *c, int argc, char **argv)
{
    const char *words[2], *branch = NULL, *message = NULL, *mode = NULL;
    const struct am_opt opts[] = {
        {"branch", 0, &branch, NULL}, {"message", 'm', &message, NULL}, {"mode", 0, &mode, NULL}, {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc || (rc = am_model_parse(c, words[1], &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *dir = am_dir_absolute(c, words[0]);
    if (!dir)
        return AM_EXIT_ERROR;
    AM_CLEANUP(am_jsonp)
    json_t *body =
        json_pack("{s:{s:s},s:s*,s:s*,s:s*}", "from", "path", dir, "mode", mode, "branch", branch, "message", message);
    if (!body)
        return am_say_usage(c, "the directory, branch and message must be UTF-8 text");
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_register_post(c, m.model, body, &r)))
        return rc;
    if (r.status != 202)
        return report_version(c, &r);
    const char *id = am_js_text(r.json, "id", NULL);
    if (id)
        return am_job_follow(c, id);
    am_say_error(c, "ask: amend doctor", "the daemon took the import but its answer has no id");
    return AM_EXIT_ERROR;
}

int am_cmd_model_create(struct am_cli *c, int argc, char **argv)
{
    const char *word, *description = NULL;
    const struct am_opt opts[] = {{"description", 'd', &description, NULL}, {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc || (rc = am_model_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:s,s:s*}", "id", m.model, "description", description);
    if (!body)
        return am_say_usage(c, "the description must be UTF-8 text");
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_post(c, "/v1/models", body, NULL, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        puts(m.model);
    return 0;
}

static void put_model(struct am_grid *g, const json_t *m)
{
    int64_t number = am_js_int(m, "head.number", -1);
    am_grid_put(g, am_js_text(m, "id", "?"));
    if (number >= 0)
        am_grid_putf(g, "v%lld", (long long)number);
    else
        am_grid_put(g, NULL);
    am_grid_putf(g, "%lld", (long long)am_js_int(m, "versions", 0));
    am_grid_bytes(g, am_js_int(m, "logical_bytes", -1));
    am_grid_bytes(g, am_js_int(m, "physical_bytes", -1));
    am_grid_time(g, am_js_text(m, "created_at", NULL));
    am_grid_put(g, am_js_text(m, "created_by", NULL));
    am_grid_put(g, am_js_text(m, "description", NULL));
}

static int limit_of(struct am_cli *c, int argc, char **argv, int n_words, const char **words, uint64_t *ret)
{
    const char *limit = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, n_words, n_words, words);
    *ret = 100;
    return rc || !limit ? rc : am_opt_number(c, "--limit", limit, 1, 100000, ret);
}

int am_cmd_model_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"MODEL",   "HEAD", "VERSIONS",     "SIZE", "STORED",
                                       "CREATED", "+BY",  "+DESCRIPTION", NULL};
    uint64_t want;
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = limit_of(c, argc, argv, 0, NULL, &want);
    if (rc || (rc = am_http_list(c, "/v1/models", (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 7u << 2, put_model,
                         "no models yet; make one with: amend model register DIR MODEL");
}

static void put_version(struct am_grid *g, const json_t *v)
{
    AM_CLEANUP(am_xfreep) char *name = am_version_name(v);
    AM_CLEANUP(am_xfreep) char *refs = am_js_plain(am_js(v, "refs"));
    const char *type = am_js_text(v, "type", NULL);
    am_grid_put(g, name);
    am_grid_put(g, am_js_text(v, "commit", "?"));
    if (type)
        am_grid_putf(g, "%s/%s", type, am_js_text(v, "method", "?"));
    else
        am_grid_put(g, NULL);
    am_grid_bytes(g, am_js_int(v, "bytes", -1));
    am_grid_bytes(g, am_js_int(v, "new_bytes", -1));
    am_grid_put(g, refs);
    am_grid_time(g, am_js_text(v, "created_at", NULL));
    am_grid_put(g, am_js_text(v, "message", ""));
}

int am_cmd_model_versions(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"VERSION", "COMMIT",  "MADE BY", "SIZE", "NEW",
                                       "REFS",    "CREATED", "MESSAGE", NULL};
    const char *word;
    uint64_t want;
    struct am_ref m;
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = limit_of(c, argc, argv, 1, &word, &want);
    if (rc || (rc = am_model_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", NULL);
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 3u << 3, put_version, "no versions");
}

static void put_file(struct am_grid *g, const json_t *f)
{
    am_grid_put(g, am_js_text(f, "path", "?"));
    am_grid_bytes(g, am_js_int(f, "bytes", -1));
    am_grid_put(g, am_js_text(f, "class", NULL));
    am_grid_put(g, am_js_text(f, "sha256", NULL));
    am_grid_put(g, am_js_text(f, "storage", NULL));
    am_grid_put(g, json_is_true(am_js(f, "weights")) ? "yes" : "no");
}

int am_cmd_model_files(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"PATH", "SIZE", "CLASS", "SHA256", "+STORAGE", "+WEIGHTS", NULL};
    const char *word;
    struct am_ref m;
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_rev_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", m.rev, "files", NULL);
    if ((rc = am_http_list(c, path, 100000, false, &list)))
        return rc;
    return am_print_list(c, list, head, 1u << 1, put_file, "no files");
}
