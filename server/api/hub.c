/*
 * hub.c - see hub.h; and the routes of the Hub that are about no version: who asks, may I, is this card well-formed,
 * and everything that is not offered.
 */
#include "server/api/hub.h"

#include "core/base/text.h"
#include "server/reply.h"
#include "server/routes.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool am_hub_flag(const char *value)
{
    return value && (strcasecmp(value, "true") == 0 || am_streq(value, "1"));
}

struct values {
    const char *name;
    void (*each)(void *, const char *);
    void *ctx;
};

static int on_value(void *ctx, const char *name, const char *value)
{
    struct values *v = ctx;
    size_t n = strlen(v->name);
    if (strncmp(name, v->name, n) == 0 && (!name[n] || am_streq(name + n, "[]")))
        v->each(v->ctx, value);
    return 0;
}

void am_hub_values(struct am_req *r, const char *name, void (*each)(void *, const char *), void *ctx)
{
    struct values v = {.name = name, .each = each, .ctx = ctx};
    am_req_query_each(r, on_value, &v);
}

int am_hub_find(struct am_req *r, int64_t *ret_version, int *ret_queued)
{
    if (!r->arg[2])
        r->arg[2] = strdup("main");
    if (!r->arg[2])
        return -AM_E_OUT_OF_MEMORY;
    return am_find_version(r, ret_version, NULL, ret_queued);
}

struct link {
    struct am_buf *b;
    char joint;
};

static int add_parameter(void *ctx, const char *name, const char *value)
{
    struct link *l = ctx;
    char key[256], encoded[1024];
    if (am_streq(name, "cursor") || am_url_encode(name, false, key, sizeof key) < 0 ||
        am_url_encode(value, false, encoded, sizeof encoded) < 0)
        return 0;
    am_buf_printf(l->b, "%c%s=%s", l->joint, key, encoded);
    l->joint = '&';
    return 0;
}

/* Clients follow it as it is, so it must name the host that they know us by. */
static void put_base(struct am_req *r, struct am_buf *b)
{
    const char *url = r->srv->cfg->public_url;
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (n)
        am_buf_put(b, url, n);
    else
        am_buf_printf(b, "http://%s", am_req_header(r, MHD_HTTP_HEADER_HOST));
}

int am_hub_reply_page(struct am_req *r, json_t *body, const char *path, const char *cursor)
{
    if (!body || !path)
        return am_reply_json(r, 200, body, NULL);
    struct am_buf b;
    char encoded[1024];
    am_buf_init(&b, 16 << 10);
    am_buf_puts(&b, "<");
    put_base(r, &b);
    am_buf_puts(&b, path);
    struct link l = {.b = &b, .joint = '?'};
    am_req_query_each(r, add_parameter, &l);
    int rc = cursor ? am_url_encode(cursor, false, encoded, sizeof encoded) : 0;
    if (rc == 0 && cursor)
        rc = am_buf_printf(&b, "%ccursor=%s", l.joint, encoded);
    if (rc == 0)
        rc = am_buf_puts(&b, ">; rel=\"next\"");
    int queued = MHD_NO;
    if (rc < 0) {
        json_decref(body);
        queued = am_reply_problem(r, AM_E_INVALID_REQUEST, "the query is too long to link to the next page");
    } else {
        const char *headers[] = {MHD_HTTP_HEADER_LINK, b.data, NULL};
        queued = am_reply_json(r, 200, body, headers);
    }
    am_buf_done(&b);
    return queued;
}

int am_hub_reply_no_entry(struct am_req *r, struct am_db *db, int64_t version)
{
    char commit[41] = "";
    int rc = am_version_commit(db, version, commit);
    if (rc < 0)
        return am_reply_error(r, rc, "the version could not be read");
    const char *headers[] = {"X-Error-Code", "EntryNotFound", "X-Repo-Commit", commit, NULL};
    return am_reply_problem_full(r, AM_E_NOT_FOUND, "no such file or folder in this version", NULL, headers);
}

static int reply_repo(struct am_req *r, const char *detail)
{
    const char *headers[] = {"X-Error-Code", "RepoNotFound", NULL};
    return am_reply_problem_full(r, AM_E_NOT_FOUND, detail, NULL, headers);
}

static int ignore_model(void *ctx, const struct am_hub_model_row *m)
{
    (void)ctx;
    (void)m;
    return 0;
}

/* 0; or an answer was queued. */
static int need_model(struct am_req *r, const char *model, int *ret_queued)
{
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return -AM_E_INTERNAL;
    int rc = am_hub_model_get(db, model, ignore_model, NULL);
    if (rc < 0)
        *ret_queued =
            rc == -AM_E_NOT_FOUND ? am_reply_no_model(r, model) : am_reply_error(r, rc, "the model could not be read");
    return rc;
}

/* ---- what is not offered ---- */

/* Two segments at `path`, decoded, as "ns/name"; false: there are not two. `*rest` is what follows. */
static bool take_id(const char *path, char id[200], const char **rest)
{
    size_t first = strcspn(path, "/"), second = path[first] ? strcspn(path + first + 1, "/") : 0;
    size_t n = first + 1 + second;
    if (!first || !second || n >= 200)
        return false;
    memcpy(id, path, n);
    id[n] = 0;
    *rest = path + n;
    return am_url_decode(id) == 0;
}

static int not_offered(struct am_req *r, const char *rest)
{
    if (am_starts(rest, "/xet-"))
        return am_reply_problem(r, AM_E_NOT_FOUND,
                                "Xet storage is not offered here: set HF_HUB_DISABLE_XET=1 (amend env prints it)");
    return am_reply_problem(r, AM_E_NOT_FOUND, "this part of the Hub is not offered here; api.md lists what is");
}

static bool is_git(const char *path)
{
    return strstr(path, ".git/") ? !strstr(path, ".git/info/lfs/") : am_ends(path, "/info/refs");
}

bool am_api_hub_missing(struct am_req *r, const char *path, int *ret_queued)
{
    static const char *const others[] = {"/api/datasets/", "/api/spaces/", "/api/kernels/", "/api/buckets/",
                                         "/datasets/",     "/spaces/",     "/kernels/",     "/buckets/"};
    char id[200];
    const char *rest = "";
    if (am_streq(path, "/api/agent-harnesses")) {
        *ret_queued = am_reply_problem(r, AM_E_NOT_FOUND, "not offered");
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (am_starts(path, others[i])) {
            *ret_queued = reply_repo(r, "only models are served here: no datasets, spaces, kernels or buckets");
            return true;
        }
    if (is_git(path)) {
        *ret_queued =
            am_reply_problem(r, AM_E_NOT_FOUND, "git is not offered here; use hf download or amend model pull");
        return true;
    }
    if (am_starts(path, "/api/models/")) {
        if (!take_id(path + strlen("/api/models/"), id, &rest) || !rest[0])
            *ret_queued = reply_repo(r, "no such model: names here are namespace/name");
        else if (need_model(r, id, ret_queued) == 0)
            *ret_queued = not_offered(r, rest);
        return true;
    }
    if (am_starts(path, "/v1/") || (!strstr(path, "/resolve/") && !strstr(path, "/raw/")))
        return false;
    *ret_queued = reply_repo(r, "no such model: names here are namespace/name, and a file's address is "
                                "/namespace/name/resolve/revision/path");
    return true;
}

/* ---- routes ---- */

int am_api_hub_auth_check(struct am_req *r)
{
    char model[200];
    int queued = MHD_NO;
    am_model_id(r, model);
    return need_model(r, model, &queued) < 0 ? queued : am_reply_json(r, 200, json_object(), NULL);
}

static int add_org(void *ctx, const char *name)
{
    return am_json_add(ctx, json_pack("{s:s, s:s}", "type", "org", "name", name));
}

/* Without tokens everybody is the one local user, who may write everything. */
int am_api_hub_whoami(struct am_req *r)
{
    int queued = MHD_NO;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *orgs = json_array();
    int rc = am_hub_namespaces(db, add_org, orgs);
    if (rc < 0) {
        json_decref(orgs);
        return am_reply_error(r, rc, "the namespaces could not be listed");
    }
    return am_reply_json(r, 200,
                         json_pack("{s:s, s:s, s:s, s:s, s:o, s:{s:s, s:{s:s, s:s}}}", "type", "user", "id", "local",
                                   "name", "local", "fullname", "local", "orgs", orgs, "auth", "type", "access_token",
                                   "accessToken", "displayName", "none is needed here", "role", "write"),
                         NULL);
}

/* What is wrong with the front matter of a card, or NULL. Not a YAML parser: what every card gets wrong is the fence
   and the tab. */
static const char *card_fault(const char *text)
{
    if (am_starts(text, "\xef\xbb\xbf"))
        text += 3;
    if (!am_starts(text, "---\n") && !am_starts(text, "---\r\n"))
        return NULL;
    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        const char *at = line + 1;
        if (am_starts(at, "---") && strspn(at + 3, " \r") == strcspn(at + 3, "\n"))
            return NULL;
        if (at[strspn(at, " ")] == '\t')
            return "the front matter indents with a tab; YAML allows spaces only";
    }
    return "the front matter opens with --- and is never closed by another ---";
}

int am_api_hub_validate(struct am_req *r)
{
    const char *text = json_string_value(json_object_get(r->json, "content"));
    if (!text)
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "#/content", "content must be the text of the card");
    const char *why = card_fault(text);
    if (why)
        return am_reply_json(r, 400, json_pack("{s:[{s:s}], s:[]}", "errors", "message", why, "warnings"), NULL);
    return am_reply_json(r, 200, json_pack("{s:[], s:[]}", "errors", "warnings"), NULL);
}
