/*
 * hub_refs.c - refs and commits for Hub clients. An alias is shown among the tags under its long name, so that
 * `--revision prod` is found by those who look first.
 */
#include "core/base/text.h"
#include "server/api/hub.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <string.h>

enum { PAGE = 50 };

struct refs {
    json_t *branches, *tags;
};

static int add_ref(void *ctx, const struct am_ref_row *row)
{
    struct refs *c = ctx;
    char full[600];
    bool branch = am_streq(row->kind, "branch");
    snprintf(full, sizeof full, "refs/%s/%s",
             branch                       ? "heads"
             : am_streq(row->kind, "tag") ? "tags"
                                          : "aliases",
             row->name);
    json_t *ref = json_pack("{s:s, s:s, s:s}", "name", row->name, "ref", full, "targetCommit", row->commit);
    return am_json_add(branch ? c->branches : c->tags, ref);
}

int am_api_hub_refs(struct am_req *r)
{
    char model[200];
    int queued = MHD_NO;
    const char *prs = am_req_query(r, "include_prs");
    am_model_id(r, model);
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    struct refs c = {.branches = json_array(), .tags = json_array()};
    int rc = am_ref_list(db, model, add_ref, &c);
    json_t *body = json_pack("{s:o, s:[], s:o}", "branches", c.branches, "converts", "tags", c.tags);
    if (rc < 0) {
        json_decref(body);
        return rc == -AM_E_NOT_FOUND ? am_reply_no_model(r, model)
                                     : am_reply_error(r, rc, "the refs could not be read");
    }
    if (am_hub_flag(prs))
        json_object_set_new(body, "pullRequests", json_array());
    return am_hub_reply_page(r, body, NULL, NULL);
}

struct commits {
    json_t *data;
    char next[41]; /* the first that does not fit */
};

static int add_commit(void *ctx, const struct am_hub_commit *row)
{
    struct commits *c = ctx;
    if (json_array_size(c->data) == PAGE) {
        snprintf(c->next, sizeof c->next, "%s", row->commit);
        return 0;
    }
    size_t title = strcspn(row->message, "\n");
    const char *rest = row->message + title;
    json_t *o =
        json_pack("{s:s, s:s%, s:s, s:[{s:s}], s:o}", "id", row->commit, "title", row->message, title, "message",
                  rest + strspn(rest, "\n"), "authors", "user", row->author, "date", am_json_time(row->at));
    return am_json_add(c->data, o);
}

int am_api_hub_commits(struct am_req *r)
{
    char model[200], path[400];
    int queued = MHD_NO;
    int64_t version;
    if (am_hub_find(r, &version, &queued) < 0)
        return queued;
    struct commits c = {.data = json_array()};
    int rc = am_hub_commits(am_store_read(r->srv->store), version, PAGE + 1, add_commit, &c);
    if (rc < 0) {
        json_decref(c.data);
        return am_reply_error(r, rc, "the commits could not be listed");
    }
    am_model_id(r, model);
    snprintf(path, sizeof path, "/api/models/%s/commits/%s", model, c.next); /* a commit is a place of its own */
    return am_hub_reply_page(r, c.data, c.next[0] ? path : NULL, NULL);
}
