/*
 * recipe.c - see recipe.h. A directory is registered again only when its files have changed since; every model that is
 * registered here is named by its commit in what is sent.
 */
#include "cli/recipe.h"

#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/read.h"
#include "cli/recipe_refs.h"
#include "cli/verify.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/text.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BESIDE_MAX 32

bool am_recipe_is(const char *file)
{
    return am_ends(file, ".yml") || am_ends(file, ".yaml");
}

/* ---- directories ---- */

/* "tiny-llama-ft_a" of .../tiny-llama/ft_a, in the letters that names have. */
static char *name_of(const char *dir)
{
    const char *last = strrchr(dir, '/'), *before = last;
    while (before && before > dir && before[-1] != '/')
        before--;
    char *name = am_xdup(before && *before ? before : dir), *to = name;
    for (const char *p = name; *p; p++) {
        char ch = isalnum((unsigned char)*p) || *p == '_' || *p == '.' ? *p : '-';
        if (to == name && !isalnum((unsigned char)ch))
            continue;
        if (to > name && (ch == '-' || ch == '.') && (to[-1] == '-' || to[-1] == '.'))
            continue;
        *to++ = ch;
    }
    while (to > name && !isalnum((unsigned char)to[-1]))
        to--;
    *to = 0;
    if (strlen(name) > 90)
        name[90] = 0;
    return name;
}

/* SHA-256 over names, sizes and times of the files: whether they are those of an earlier registration. */
static int stamp_of(struct am_cli *c, const char *dir, char out[65])
{
    AM_CLEANUP(am_verify_done) struct am_verify files = {.c = c, .dir = dir};
    int rc = am_verify_walk(&files);
    if (rc)
        return rc;
    char *all = am_xdup("");
    for (size_t i = 0; i < files.n; i++) {
        struct stat st = {0};
        AM_CLEANUP(am_xfreep) char *path = am_xprintf("%s/%s", dir, files.file[i].path);
        stat(path, &st);
        char *longer = am_xprintf("%s%s %lld %lld.%09ld\n", all, files.file[i].path, (long long)st.st_size,
                                  (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        free(all);
        all = longer;
    }
    am_sha256_hex(all, strlen(all), out);
    free(all);
    return 0;
}

static int find_earlier(struct am_cli *c, const char *model, const char *stamp, char **ret)
{
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(model);
    AM_CLEANUP(am_xfreep)
    char *path =
        am_xprintf("/v1/jobs?type=task&method=import&status=succeeded&model=%s&metadata.local_stamp=%s", value, stamp);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = am_http_list(c, path, 1, true, &list);
    const char *commit = rc ? NULL : am_js_text(json_array_get(am_js(list, "data"), 0), "result.version.commit", NULL);
    if (!commit)
        return rc;
    AM_CLEANUP(am_xfreep) char *url = am_url_model(model, "versions", commit, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = url};
    if ((rc = am_http_send(c, &q, &r)))
        return rc;
    if (r.status == 200)
        *ret = am_xprintf("%s@%s", model, commit);
    return 0;
}

static int wait_for(struct am_cli *c, const char *model, const json_t *task, char **ret)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    int rc = am_job_wait(c, am_js_text(task, "id", "?"), &job);
    if (rc == 0)
        *ret = am_xprintf("%s@%s", model, am_js_text(job, "result.version.commit", "main"));
    return rc;
}

static int register_dir(struct am_cli *c, const char *dir, char **ret)
{
    char stamp[65];
    AM_CLEANUP(am_xfreep) char *name = name_of(dir);
    AM_CLEANUP(am_xfreep) char *model = am_xprintf("%s/%s", c->ns ? c->ns : "local", name);
    int rc = stamp_of(c, dir, stamp);
    if (rc || (rc = find_earlier(c, model, stamp, ret)))
        return rc;
    if (*ret) {
        am_say_note(c, "%s is registered already: %.*s", dir, (int)(strlen(model) + 13), *ret);
        return 0;
    }
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:{s:s},s:{s:s}}", "from", "path", dir, "metadata", "local_stamp", stamp);
    if (!body)
        return am_say_usage(c, "the directory must be UTF-8 text");
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_register_post(c, model, body, &r)))
        return rc;
    if (r.status == 202)
        rc = wait_for(c, model, r.json, ret);
    else
        *ret = am_xprintf("%s@%s", model, am_js_text(r.json, "commit", "main"));
    if (rc == 0)
        am_say_note(c, "registered %s as %s", dir, model);
    return rc;
}

/* ---- references ---- */

/* The directory that a reference names, from here or from beside the file; NULL: none. */
static char *directory_of(const char *file, const char *ref)
{
    char real[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(file, '/');
    AM_CLEANUP(am_xfreep)
    char *beside = slash && ref[0] != '/' ? am_xprintf("%.*s/%s", (int)(slash - file), file, ref) : am_xdup(ref);
    const char *const places[] = {ref, beside};
    for (size_t i = 0; i < 2; i++)
        if (places[i][0] && stat(places[i], &st) == 0 && S_ISDIR(st.st_mode) && realpath(places[i], real))
            return am_xdup(real);
    return NULL;
}

static bool is_known(struct am_cli *c, const char *ref)
{
    AM_CLEANUP(am_xfreep) char *model = am_xprintf("%.*s", (int)strcspn(ref, "@"), ref);
    AM_CLEANUP(am_xfreep) char *url = am_url_model(model, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = url};
    return am_http_send(c, &q, &r) == 0 && r.status == 200;
}

/* A name that is none of the daemon's models, of the cache's none either, is the daemon's to refuse. Beside a `path`
   there may be a `revision`, so only a directory is named anew there. */
static int bind_one(struct am_cli *c, const char *file, const char *value, bool is_path, char **ret)
{
    AM_CLEANUP(am_xfreep) char *dir = directory_of(file, value);
    if (dir)
        return register_dir(c, dir, ret);
    if (is_path || !strchr(value, '/') || is_known(c, value))
        return 0;
    return am_import_cached(c, value, ret);
}

/* A model, or a model and its adapter. */
static int bind(struct am_cli *c, const char *file, struct am_ref_place *p)
{
    const char *plus = strchr(p->value, '+');
    AM_CLEANUP(am_xfreep) char *dir = plus ? directory_of(file, p->value) : NULL;
    if (!plus || dir)
        return bind_one(c, file, p->value, p->is_path, &p->with);
    AM_CLEANUP(am_xfreep) char *model = am_xprintf("%.*s", (int)(plus - p->value), p->value);
    AM_CLEANUP(am_xfreep) char *model_with = NULL;
    AM_CLEANUP(am_xfreep) char *lora_with = NULL;
    int rc = bind_one(c, file, model, p->is_path, &model_with);
    if (rc == 0)
        rc = bind_one(c, file, plus + 1, p->is_path, &lora_with);
    if (rc == 0 && (model_with || lora_with))
        p->with = am_xprintf("%s+%s", model_with ? model_with : model, lora_with ? lora_with : plus + 1);
    return rc;
}

static int bind_all(struct am_cli *c, const char *file, struct am_refs *r)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t same = 0;
        while (same < i && (!am_streq(r->v[same].value, r->v[i].value) || r->v[same].is_path != r->v[i].is_path))
            same++;
        if (same < i) {
            r->v[i].with = r->v[same].with ? am_xdup(r->v[same].with) : NULL;
            continue;
        }
        int rc = bind(c, file, &r->v[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- the request ---- */

struct asked {
    char *query; /* "a=b&c=d" */
    const char *key;
    bool wait, dry_run;
};

static void add(struct asked *a, const char *name, const char *value)
{
    AM_CLEANUP(am_xfreep) char *v = am_url_encoded(value);
    AM_CLEANUP(am_xfreep) char *n = am_url_encoded(name);
    char *longer = am_xprintf("%s%s%s=%s", a->query ? a->query : "", a->query ? "&" : "", n, v);
    free(a->query);
    a->query = longer;
}

/* Those of mergekit-yaml get its answer (merge.md B16). */
static int say_unknown(const struct am_cli *c, const char *name, const char *const *known, size_t n)
{
    static const char *const theirs[][2] = {
        {"out-shard-size", "is --shard-bytes here, in bytes or with k, M or B"},
        {"random-seed", "is --seed here"},
        {"allow-crimes", "is --allow-mixed-architectures here"},
        {"copy-tokenizer", "is always done here; leave it out"},
        {"write-model-card", "is always done here; leave it out"},
        {"lora-merge-cache", "is not needed here; leave it out"},
        {"lazy-unpickle", "makes no difference here; leave it out"},
        {"low-cpu-memory", "makes no difference here; leave it out"},
        {"cuda", "makes no difference here; leave it out"},
    };
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        if (am_streq(name, theirs[i][0]))
            return am_say_usage(c, "mergekit's --%s %s", name, theirs[i][1]);
    return am_say_unknown(c, "option", name, known, n);
}

/* --into M, --seed 7, --metadata k=v ...: every option that is none of the client's is one of the route. */
static int read_options(struct am_cli *c, int argc, char **argv, struct asked *a)
{
    static const char *const values[] = {"into",        "branch",   "message",        "tag",
                                         "on-conflict", "seed",     "compat",         "gate",
                                         "against",     "data",     "shard-bytes",    "nonfinite",
                                         "overflow",    "priority", "metadata",       "post-layers-t",
                                         "missing",     "extra",    "idempotency-key"},
                             *const flags[] = {"wait", "dry-run", "lenient", "allow-mixed-architectures"};
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    while (am_scan_next(&s, &t)) {
        size_t i = 0, n = sizeof values / sizeof *values, k = 0, m = sizeof flags / sizeof *flags;
        if (t.word)
            return am_say_usage(c, "one file at a time, not also '%s'", t.word);
        while (k < m && !am_streq(t.name, flags[k]))
            k++;
        while (i < n && !am_streq(t.name, values[i]))
            i++;
        if (k == m && i == n)
            return say_unknown(c, t.name, values, n);
        AM_CLEANUP(am_xfreep) char *name = am_xdup(t.name);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? '_' : *p;
        if (k < m) {
            a->wait |= k == 0;
            a->dry_run |= k == 1;
            if (k > 1)
                add(a, name, "true");
            continue;
        }
        const char *value = am_scan_value(&s, &t), *eq = value ? strchr(value, '=') : NULL;
        if (!value)
            return am_say_usage(c, "--%s takes a value", t.name);
        if (am_streq(name, "idempotency_key"))
            a->key = value;
        else if (am_streq(name, "metadata") && eq) {
            AM_CLEANUP(am_xfreep) char *pair = am_xprintf("metadata.%.*s", (int)(eq - value), value);
            add(a, pair, eq + 1);
        } else
            add(a, am_streq(name, "into") ? "model" : name, value);
    }
    return 0;
}

static int send(struct am_cli *c, const struct asked *a, const char *text)
{
    char fresh[64];
    am_id_new("", am_now_ms(), fresh);
    AM_CLEANUP(am_xfreep) char *line = am_xprintf("Idempotency-Key: %s", a->key ? a->key : fresh);
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%s?%s", a->dry_run ? "/v1/plans" : "/v1/jobs", a->query ? a->query : "");
    const char *headers[] = {a->dry_run ? NULL : line, NULL};
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "POST",
                           .path = path,
                           .body = text,
                           .body_len = strlen(text),
                           .type = "application/yaml",
                           .headers = headers,
                           .keyed = !a->dry_run};
    int rc = am_http_send(c, &q, &r);
    if (rc)
        return rc;
    if (r.status >= 400)
        return am_problem_say(c, &r);
    if (a->dry_run)
        return am_job_plan_show(c, r.json);
    if (a->wait && (rc = am_stages_wait(c, r.json)))
        return rc;
    return am_job_accepted(c, &r, a->wait);
}

int am_recipe_run(struct am_cli *c, const char *file, int argc, char **argv)
{
    struct asked a = {0};
    struct am_refs refs = {0};
    char *text = NULL, *bound = NULL;
    size_t n = 0;
    int rc = read_options(c, argc, argv, &a);
    if (rc == 0)
        rc = am_read_all(c, file, &text, &n);
    if (rc == 0)
        rc = am_refs_read(c, file, text, n, &refs);
    am_interrupt_watch();
    if (rc == 0)
        rc = bind_all(c, file, &refs);
    if (rc == 0) {
        bound = am_refs_apply(&refs, text, n);
        rc = send(c, &a, bound);
    }
    am_refs_done(&refs);
    free(text);
    free(bound);
    free(a.query);
    return rc;
}
