/*
 * complete_names.c - names for completion (complete.h): one short request each, the first hundred that fit. Owns the
 * time when all asking ends: a person waits for it with a finger on Tab.
 */
#include "cli/complete.h"

#include "cli/conf.h"
#include "cli/http.h"
#include "cli/hub_cache.h"
#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 1000

/* NULL: no answer. New reference. */
static json_t *ask(struct am_cli *c, const char *path)
{
    static int64_t until;
    int64_t now = am_mono_ms();
    until = until ? until : now + PATIENCE_MS;
    if (now >= until)
        return NULL;
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path, .once = true, .timeout_ms = (int)(until - now)};
    char why[300];
    bool good = am_http_try(c, &q, &r, why) == AM_HTTP_ANSWERED && r.status == 200;
    return good ? json_incref(r.json) : NULL;
}

/* The first hundred refs or versions of a model. */
static json_t *ask_list(struct am_cli *c, const char *model, const char *what)
{
    AM_CLEANUP(am_xfreep) char *base = am_url_model(model, what, NULL);
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("%s?limit=100", base);
    return ask(c, path);
}

static void offer_each(const json_t *list, const char *cur, const char *prefix, const char *member, const char *doc)
{
    const json_t *e;
    size_t i;
    json_array_foreach(am_js(list, "data"), i, e)
    {
        const char *name = am_js_text(e, member, NULL);
        AM_CLEANUP(am_xfreep) char *full = name ? am_xprintf("%s%s", prefix, name) : NULL;
        if (full)
            am_offer(cur, full, doc ? am_js_text(e, doc, "") : "");
    }
}

static void offer_revs(struct am_cli *c, const char *cur, size_t n)
{
    AM_CLEANUP(am_xfreep) char *prefix = am_xprintf("%.*s@", (int)n, cur);
    AM_CLEANUP(am_xfreep) char *word = am_xprintf("%.*s", (int)n, cur);
    AM_CLEANUP(am_xfreep) char *model = am_name_full(c, word);
    AM_CLEANUP(am_jsonp) json_t *a = ask_list(c, model, "refs");
    AM_CLEANUP(am_jsonp) json_t *b = a ? ask_list(c, model, "versions") : NULL;
    const json_t *v;
    size_t i;
    offer_each(a, cur, prefix, "name", "kind");
    json_array_foreach(am_js(b, "data"), i, v)
    {
        if (am_js_int(v, "number", -1) < 0)
            continue;
        AM_CLEANUP(am_xfreep) char *name = am_xprintf("%sv%lld", prefix, (long long)am_js_int(v, "number", 0));
        am_offer(cur, name, am_js_text(v, "message", ""));
    }
}

void am_offer_models(struct am_cli *c, const char *cur, bool revs)
{
    const char *at = strchr(cur, '@');
    if (at) {
        if (revs)
            offer_revs(c, cur, (size_t)(at - cur));
        return;
    }
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(cur);
    AM_CLEANUP(am_xfreep)
    char *path = cur[0] ? am_xprintf("/v1/models?limit=100&search=%s", value) : am_xdup("/v1/models?limit=100");
    AM_CLEANUP(am_jsonp) json_t *list = ask(c, path);
    const json_t *m;
    size_t i, ns = c->ns ? strlen(c->ns) : 0;
    offer_each(list, cur, "", "id", "description");
    json_array_foreach(am_js(list, "data"), i, m)
    {
        const char *id = am_js_text(m, "id", "");
        if (ns && cur[0] && am_starts(id, c->ns) && id[ns] == '/') /* a name of the context's namespace */
            am_offer(cur, id + ns + 1, am_js_text(m, "description", ""));
    }
}

void am_offer_datasets(struct am_cli *c, const char *cur)
{
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(cur);
    AM_CLEANUP(am_xfreep)
    char *path = cur[0] ? am_xprintf("/v1/datasets?limit=100&search=%s", value) : am_xdup("/v1/datasets?limit=100");
    AM_CLEANUP(am_jsonp) json_t *list = ask(c, path);
    offer_each(list, cur, "", "id", "description");
}

void am_offer_refs(struct am_cli *c, const char *cur, const char *of)
{
    AM_CLEANUP(am_xfreep) char *model = am_name_full(c, of);
    AM_CLEANUP(am_jsonp) json_t *list = ask_list(c, model, "refs");
    offer_each(list, cur, "", "name", "kind");
}

void am_offer_ids(struct am_cli *c, const char *cur, const char *path, const char *doc)
{
    AM_CLEANUP(am_jsonp) json_t *list = ask(c, path);
    offer_each(list, cur, "", "id", doc);
}

void am_offer_gates(struct am_cli *c, const char *cur)
{
    AM_CLEANUP(am_jsonp) json_t *list = ask(c, "/v1/gates?limit=100");
    offer_each(list, cur, "", "name", NULL);
}

void am_offer_methods(struct am_cli *c, const char *cur, const char *of)
{
    AM_CLEANUP(am_xfreep) char *path = of ? am_xprintf("/v1/methods?type=%s", of) : am_xdup("/v1/methods");
    AM_CLEANUP(am_jsonp) json_t *list = ask(c, path);
    offer_each(list, cur, "", of ? "name" : "id", "summary");
}

static json_t *method_of(struct am_cli *c, const char *type, const char *method)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/methods", type, method, NULL);
    return ask(c, path);
}

static char *flag_of(const char *name)
{
    char *flag = am_xprintf("--%s", name);
    for (char *p = flag; *p; p++)
        *p = *p == '_' ? '-' : *p;
    return flag;
}

void am_offer_params(struct am_cli *c, const char *cur, const char *type, const char *method)
{
    AM_CLEANUP(am_jsonp) json_t *doc = method_of(c, type, method);
    const json_t *p;
    size_t i;
    json_array_foreach(am_js(doc, "params"), i, p)
    {
        AM_CLEANUP(am_xfreep) char *flag = flag_of(am_js_text(p, "name", "?"));
        am_offer(cur, flag, am_js_text(p, "doc", am_js_text(p, "summary", "")));
    }
}

bool am_param_has_value(struct am_cli *c, const char *type, const char *method, const char *name)
{
    AM_CLEANUP(am_jsonp) json_t *doc = method_of(c, type, method);
    const json_t *p;
    size_t i;
    json_array_foreach(am_js(doc, "params"), i, p)
    {
        AM_CLEANUP(am_xfreep) char *flag = flag_of(am_js_text(p, "name", "?"));
        if (am_streq(flag, name))
            return !am_streq(am_js_text(p, "kind", ""), "bool");
    }
    return false;
}

void am_offer_contexts(struct am_cli *c, const char *cur)
{
    const char *name[256];
    AM_CLEANUP(am_conf_done) struct am_conf f = {0};
    size_t n = am_conf_load(c, &f) == 0 ? am_conf_list(&f, name, 256) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *endpoint = am_conf_get(&f, name[i], AM_CONF_ENDPOINT);
        am_offer(cur, name[i], endpoint ? endpoint : "");
    }
}

void am_offer_cached(struct am_cli *c, const char *cur)
{
    AM_CLEANUP(am_cache_done) struct am_cache h = {0};
    if (am_cache_read(c, &h))
        return;
    for (size_t i = 0; i < h.n; i++)
        if (!i || !am_streq(h.v[i].id, h.v[i - 1].id))
            am_offer(cur, h.v[i].id, h.v[i].refs ? h.v[i].refs : "");
}
