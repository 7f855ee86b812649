/*
 * cmd_import.c - amend model import: snapshots of the local Hugging Face cache become versions. The daemon reads the
 * files itself, so the cache must lie on its machine and below one of its import roots. Nothing is downloaded.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/hub_cache.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/recipe.h"
#include "cli/verify.h"
#include "core/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX 256

struct importer {
    struct am_cli *c;
    struct am_cache cache;
    json_t *made; /* what was registered */
};

/* Every file of the snapshot must be there before anything is sent: a download may have been cut. */
static int check_snapshot(struct am_cli *c, const struct am_cached *s, struct am_verify *files)
{
    *files = (struct am_verify){.c = c, .dir = s->dir};
    int rc = am_verify_walk(files);
    for (size_t i = 0; rc == 0 && i < files->n; i++) {
        if (!files->file[i].faults.total)
            continue;
        AM_CLEANUP(am_xfreep) char *fix = am_xprintf("hf download %s --revision %s", s->id, s->commit);
        am_say_error(c, fix, "%s@%.12s is not whole in the cache: %s is a link that leads nowhere", s->id, s->commit,
                     files->file[i].path);
        rc = AM_EXIT_ERROR;
    }
    if (rc == 0 && !files->n) {
        am_say_error(c, NULL, "%s@%.12s holds no files in the cache", s->id, s->commit);
        rc = AM_EXIT_ERROR;
    }
    return rc;
}

/* The version that an earlier import of the same commit made, if it is still there. 0 or an exit code. */
static int find_earlier(struct am_cli *c, const char *model, const struct am_cached *s, json_t **ret)
{
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(model);
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("/v1/jobs?type=task&method=import&status=succeeded&model=%s", value);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    const json_t *job;
    size_t i;
    int rc = am_http_list(c, path, 1000, true, &list);
    if (rc)
        return rc;
    json_array_foreach(am_js(list, "data"), i, job)
    {
        const char *commit = am_js_text(job, "result.version.commit", NULL);
        if (!commit || !am_streq(am_js_text(job, "metadata.hub_id", NULL), s->id) ||
            !am_streq(am_js_text(job, "metadata.hub_commit", NULL), s->commit))
            continue;
        AM_CLEANUP(am_xfreep) char *url = am_url_model(model, "versions", commit, NULL);
        AM_CLEANUP(am_reply_done) struct am_reply r = {0};
        struct am_request q = {.verb = "GET", .path = url};
        if ((rc = am_http_send(c, &q, &r)))
            return rc;
        if (r.status == 200) {
            *ret = json_incref(r.json);
            return 0;
        }
    }
    return 0;
}

static int ask(struct am_cli *c, const char *model, const struct am_cached *s, json_t **ret)
{
    char real[PATH_MAX];
    if (!realpath(s->dir, real)) {
        am_say_error(c, NULL, "cannot resolve %s: %s", s->dir, strerror(errno));
        return AM_EXIT_ERROR;
    }
    AM_CLEANUP(am_xfreep) char *message = am_xprintf("%s@%.12s from the Hugging Face cache", s->id, s->commit);
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:{s:s},s:s,s:{s:s,s:s,s:s*}}", "from", "path", real, "message", message, "metadata",
                             "hub_id", s->id, "hub_commit", s->commit, "hub_refs", s->refs);
    if (!body)
        return am_say_usage(c, "the cache's path is not UTF-8 text");
    AM_CLEANUP(am_xfreep) char *path = am_url_model(model, "versions", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    am_live_draw(c, &(struct am_live){.phase = "the daemon reads the snapshot", .fraction = -1, .eta_seconds = -1});
    int rc = am_http_post(c, path, body, NULL, &r);
    am_live_clear();
    if (rc)
        return rc;
    if (r.status != 202) {
        *ret = json_incref(r.json);
        return 0;
    }
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    AM_CLEANUP(am_xfreep) char *id = am_xdup(am_js_text(r.json, "id", "?"));
    rc = am_job_wait(c, id, &job);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep)
    char *url = am_url_model(model, "versions", am_js_text(job, "result.version.commit", "main"), NULL);
    AM_CLEANUP(am_reply_done) struct am_reply v = {0};
    if ((rc = am_http_get(c, url, &v)))
        return rc;
    *ret = json_incref(v.json);
    return 0;
}

/* A link that leads out of the import roots is left out by the daemon; a model without it would be no model. */
static int check_whole(struct am_cli *c, const char *model, const json_t *version, const struct am_verify *local)
{
    AM_CLEANUP(am_xfreep)
    char *path = am_url_model(model, "versions", am_js_text(version, "commit", "main"), "files", NULL);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    AM_CLEANUP(am_jsonp) json_t *names = json_object();
    const json_t *f;
    size_t i, gone = 0;
    int rc = am_http_list(c, path, 1000000, false, &list);
    if (rc)
        return rc;
    json_array_foreach(am_js(list, "data"), i, f) json_object_set_new(names, am_js_text(f, "path", "?"), json_true());
    for (i = 0; i < local->n; i++)
        gone += !json_object_get(names, local->file[i].path);
    if (!gone)
        return 0;
    am_say_error(c,
                 "start amendd with --store.import_roots=FOLDER that holds the whole cache, not only snapshots/; "
                 "then import it again under another name",
                 "%zu of %zu files of the snapshot were left out by the daemon", gone, local->n);
    return AM_EXIT_ERROR;
}

static void keep(struct importer *m, const struct am_cached *s, const json_t *version)
{
    const json_t *warning;
    size_t i;
    json_array_foreach(am_js(version, "warnings"), i, warning)
    {
        AM_CLEANUP(am_xfreep) char *text = am_js_plain(json_is_object(warning) ? am_js(warning, "detail") : warning);
        am_say_note(m->c, "warning: %s: %s", s->id, text);
    }
    AM_CLEANUP(am_xfreep) char *name = am_version_name(version);
    json_array_append_new(m->made,
                          json_pack("{s:s,s:O?,s:O?,s:s,s:s,s:s}", "version", name, "model", am_js(version, "model"),
                                    "number", am_js(version, "number"), "commit", am_js_text(version, "commit", "?"),
                                    "hub_id", s->id, "hub_commit", s->commit));
}

static int import_one(struct importer *m, const struct am_cached *s, const char *as)
{
    struct am_ref ref;
    AM_CLEANUP(am_verify_done) struct am_verify files = {0};
    AM_CLEANUP(am_jsonp) json_t *version = NULL;
    if (!as && !strchr(s->id, '/') && !m->c->ns) {
        am_say_error(m->c, "name the model: --as NAMESPACE/NAME", "%s has no namespace", s->id);
        return AM_EXIT_USAGE;
    }
    int rc = am_model_parse(m->c, as ? as : s->id, &ref);
    if (rc || (rc = check_snapshot(m->c, s, &files)))
        return rc;
    if ((rc = find_earlier(m->c, ref.model, s, &version)))
        return rc;
    if (version) {
        am_say_note(m->c, "%s@%.12s is registered already", s->id, s->commit);
    } else if ((rc = ask(m->c, ref.model, s, &version)) || (rc = check_whole(m->c, ref.model, version, &files))) {
        return rc;
    }
    keep(m, s, version);
    return 0;
}

static void put_made(struct am_grid *g, const json_t *e)
{
    am_grid_put(g, am_js_text(e, "version", "?"));
    am_grid_put(g, am_js_text(e, "commit", "?"));
    am_grid_put(g, am_js_text(e, "hub_id", "?"));
    am_grid_put(g, am_js_text(e, "hub_commit", "?"));
}

static void put_cached(struct am_grid *g, const json_t *e)
{
    am_grid_put(g, am_js_text(e, "id", "?"));
    am_grid_put(g, am_js_text(e, "refs", NULL));
    am_grid_put(g, am_js_text(e, "commit", "?"));
    am_grid_putf(g, "%lld", (long long)am_js_int(e, "files", 0));
    am_grid_bytes(g, am_js_int(e, "bytes", -1));
    am_grid_put(g, json_is_true(am_js(e, "whole")) ? "yes" : "no");
    am_grid_put(g, am_js_text(e, "path", NULL));
}

static json_t *list_of(json_t *data)
{
    return json_pack("{s:s,s:O,s:b,s:n}", "object", "list", "data", data, "has_more", false, "next");
}

static int list_cache(struct am_cli *c, const struct am_cache *h)
{
    static const char *const head[] = {"HUB ID", "REFS", "COMMIT", "FILES", "SIZE", "WHOLE", "+PATH", NULL};
    AM_CLEANUP(am_jsonp) json_t *data = json_array();
    for (size_t i = 0; i < h->n; i++) {
        AM_CLEANUP(am_verify_done) struct am_verify files = {.c = c, .dir = h->v[i].dir};
        uint64_t bytes = 0;
        bool whole = am_verify_walk(&files) == 0;
        for (size_t k = 0; k < files.n; k++) {
            bytes += files.file[k].bytes;
            whole = whole && !files.file[k].faults.total;
        }
        json_array_append_new(data, json_pack("{s:s,s:s?,s:s,s:I,s:I,s:b,s:s}", "id", h->v[i].id, "refs", h->v[i].refs,
                                              "commit", h->v[i].commit, "files", (json_int_t)files.n, "bytes",
                                              (json_int_t)bytes, "whole", whole, "path", h->v[i].dir));
    }
    AM_CLEANUP(am_jsonp) json_t *list = list_of(data);
    AM_CLEANUP(am_xfreep) char *empty = am_xprintf("no models in the cache %s", h->root);
    return am_print_list(c, list, head, 3u << 3, put_cached, empty);
}

/* The snapshot that a model's name alone means; others of the same model are left where they are. */
static bool is_default(const struct importer *m, size_t i)
{
    const struct am_cached *hit = NULL;
    size_t all = 0, heads = 0;
    for (size_t k = 0; k < m->cache.n; k++) {
        const struct am_cached *s = &m->cache.v[k];
        if (!am_streq(s->id, m->cache.v[i].id))
            continue;
        all++;
        if (s->refs && (am_streq(s->refs, "main") || am_starts(s->refs, "main,") || strstr(s->refs, ", main"))) {
            heads++;
            hit = s;
        }
    }
    return heads ? hit == &m->cache.v[i] : all == 1;
}

static int import_all(struct importer *m)
{
    int worst = 0;
    for (size_t i = 0; i < m->cache.n; i++) {
        if (!is_default(m, i))
            continue;
        int rc = import_one(m, &m->cache.v[i], NULL);
        if (rc == AM_EXIT_INTERRUPTED || rc == AM_EXIT_UNREACHABLE)
            return rc;
        worst = worst ? worst : rc;
    }
    return worst;
}

static int import_named(struct importer *m, const char *const *id, const char *as)
{
    const struct am_cached *s[IDS_MAX];
    int rc = 0;
    size_t n = 0;
    for (; rc == 0 && n < IDS_MAX && id[n]; n++) /* all must be there before the first is sent */
        rc = am_cache_find(m->c, &m->cache, id[n], &s[n]);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = import_one(m, s[i], as);
    return rc;
}

int am_import_cached(struct am_cli *c, const char *text, char **ret)
{
    struct importer m = {.c = c};
    const struct am_cached *s = NULL;
    size_t n = strcspn(text, "@"), i = 0;
    AM_CLEANUP(am_jsonp) json_t *made = m.made = json_array();
    int rc = am_cache_read(c, &m.cache);
    while (i < m.cache.n && (strlen(m.cache.v[i].id) != n || strncmp(m.cache.v[i].id, text, n) != 0))
        i++;
    if (rc == 0 && i < m.cache.n && (rc = am_cache_find(c, &m.cache, text, &s)) == 0)
        rc = import_one(&m, s, NULL);
    const json_t *first = json_array_get(made, 0);
    if (rc == 0 && first)
        *ret = am_xprintf("%s@%s", am_js_text(first, "model", "?"), am_js_text(first, "commit", "main"));
    am_cache_done(&m.cache);
    return rc;
}

static int run(struct importer *m, const char *const *id, const char *as, bool all)
{
    static const char *const head[] = {"VERSION", "COMMIT", "HUB ID", "HUB COMMIT", NULL};
    AM_CLEANUP(am_jsonp) json_t *made = m->made = json_array();
    int rc = all ? import_all(m) : import_named(m, id, as);
    AM_CLEANUP(am_jsonp) json_t *list = list_of(made);
    if (json_array_size(made) || rc == 0)
        am_print_list(m->c, list, head, 0, put_made, "nothing to import");
    return rc;
}

int am_cmd_model_import(struct am_cli *c, int argc, char **argv)
{
    const char *words[IDS_MAX + 1] = {NULL}, *as = NULL;
    bool all = false, list = false;
    const struct am_opt opts[] = {{"as", 0, &as, NULL}, {"all", 0, NULL, &all}, {"list", 0, NULL, &list}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 0, IDS_MAX, words);
    if (rc)
        return rc;
    if (!words[0] == !(all || list) || (all && list))
        return am_say_usage(c, "name models of the cache, or give --all or --list");
    if (as && (all || list || words[1]))
        return am_say_usage(c, "--as names one model");
    struct importer m = {.c = c};
    am_interrupt_watch();
    if ((rc = am_cache_read(c, &m.cache)))
        return rc;
    rc = list ? list_cache(c, &m.cache) : run(&m, words, as, all);
    am_cache_done(&m.cache);
    return rc;
}
