/*
 * diff.c - GET M/diff: what is different between two versions, from headers and spans alone (storage/diff.h). The first
 * page has the counts and the files; the tensors come page by page, in order of their names.
 */
#include "storage/diff.h"
#include "core/base/text.h"
#include "core/table/body.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_TOLD = 1000 };

struct end { /* of the comparison */
    int64_t id;
    char model[200], commit[41], parent[41];
    int64_t number;
};

struct tally {
    int64_t n[AM_DIFF_CLASSES], bytes[AM_DIFF_CLASSES];
};

struct tensors {
    struct tally all;
    bool want[AM_DIFF_CLASSES], counting;
    size_t limit;
    bool more;
    json_t *data;
};

struct files {
    struct tally all;
    json_t *data;
};

static int take_end(void *ctx, const struct am_version_row *v)
{
    struct end *e = ctx;
    snprintf(e->model, sizeof e->model, "%s", v->model_name);
    snprintf(e->commit, sizeof e->commit, "%s", v->commit);
    snprintf(e->parent, sizeof e->parent, "%s", v->parent ? v->parent : "");
    e->number = v->number;
    return 0;
}

/* "rev" of the model in the path, or "ns/name@rev". -1: a problem was queued. */
static int find_end(struct am_req *r, struct am_db *db, const char *which, const char *text, struct end *ret,
                    int *ret_queued)
{
    char here[200], *model = NULL, *rev = NULL;
    const char *why = NULL;
    am_model_id(r, here);
    int rc = strchr(text, '@') ? am_ref_split(text, &model, &rev, &why) : 0;
    if (rc < 0) {
        *ret_queued = am_reply_problem(r, AM_E_INVALID_REQUEST, "%s: %s", which, why ? why : "is no version");
    } else {
        rc = am_rev_resolve(db, model ? model : here, rev ? rev : text, &ret->id, NULL);
        if (rc == 0)
            rc = am_version_get(db, ret->id, take_end, ret);
        if (rc < 0)
            *ret_queued = rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND
                              ? am_reply_problem(
                                    r, -rc, "%s: there is no version %s@%.200s; GET /v1/models/%s/versions lists them",
                                    which, model ? model : here, rev ? rev : text, model ? model : here)
                              : am_reply_error(r, rc, "the database could not answer");
    }
    free(model);
    free(rev);
    return rc;
}

/* `to` is main and `from` what `to` was made on, when the request does not say. */
static int find_ends(struct am_req *r, struct am_db *db, struct end *from, struct end *to, int *ret_queued)
{
    const char *text = am_req_query(r, "to");
    AM_TRY(find_end(r, db, "to", text ? text : "main", to, ret_queued));
    text = am_req_query(r, "from");
    if (!text && !to->parent[0]) {
        *ret_queued =
            am_reply_problem(r, AM_E_INVALID_REQUEST, "from: %s@%s has no parent to be compared with; name a version",
                             to->model, to->commit);
        return -AM_E_INVALID_REQUEST;
    }
    char parent[300];
    snprintf(parent, sizeof parent, "%s@%s", to->model, to->parent);
    return find_end(r, db, "from", text ? text : parent, from, ret_queued);
}

/* ?class=changed,added; all but identical without it. false: an answer was queued. */
static bool read_classes(struct am_req *r, bool want[AM_DIFF_CLASSES], int *ret_queued)
{
    const char *text = am_req_query(r, "class");
    for (int i = 0; i < AM_DIFF_CLASSES; i++)
        want[i] = !text && i != AM_DIFF_IDENTICAL;
    for (const char *p = text ? text : ""; *p;) {
        size_t n = strcspn(p, ",");
        int is = am_diff_parse(p, n);
        if (is < 0) {
            *ret_queued = am_reply_problem(r, AM_E_INVALID_REQUEST,
                                           "class must be added, removed, reshaped, changed or identical, or several "
                                           "of them with commas (got \"%.40s\")",
                                           text);
            return false;
        }
        want[is] = true;
        p += n + (p[n] == ',');
    }
    return true;
}

static void count(struct tally *t, enum am_diff_class is, int64_t bytes)
{
    t->n[is]++;
    t->bytes[is] += bytes;
}

static json_t *tally_json(const struct tally *t)
{
    json_t *o = json_object();
    for (int i = 0; i < AM_DIFF_CLASSES; i++)
        json_object_set_new(o, am_diff_name(i),
                            json_pack("{s:I, s:I}", "count", (json_int_t)t->n[i], "bytes", (json_int_t)t->bytes[i]));
    return o;
}

static json_t *tensor_json(const struct am_tensor_row *t)
{
    return t ? json_pack("{s:s, s:o, s:I, s:s}", "dtype", t->dtype, "shape", am_json_stored(t->shape), "bytes",
                         (json_int_t)t->bytes, "file", t->file)
             : json_null();
}

static int add_tensor(void *ctx, const struct am_tensor_diff *d)
{
    struct tensors *c = ctx;
    const struct am_tensor_row *t = d->to ? d->to : d->from;
    if (c->counting)
        count(&c->all, d->is, t->bytes);
    if (!c->want[d->is])
        return 0;
    if (json_array_size(c->data) == c->limit) {
        c->more = true;
        return c->counting ? 0 : 1;
    }
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "name", t->name, "class", am_diff_name(d->is), "from",
                          tensor_json(d->from), "to", tensor_json(d->to));
    return am_json_add(c->data, o);
}

static json_t *file_json(const struct am_file_row *f)
{
    return f ? json_pack("{s:s, s:I}", "sha256", f->sha256, "bytes", (json_int_t)f->bytes) : json_null();
}

static int add_file(void *ctx, const struct am_file_diff *d)
{
    struct files *c = ctx;
    count(&c->all, d->is, d->to ? d->to->bytes : d->from->bytes);
    if (d->is == AM_DIFF_IDENTICAL || json_array_size(c->data) == FILES_TOLD)
        return 0;
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "path", d->path, "class", am_diff_name(d->is), "from",
                          file_json(d->from), "to", file_json(d->to));
    return am_json_add(c->data, o);
}

static int read_files(struct am_db *db, const struct end *from, const struct end *to, json_t **ret)
{
    struct files c = {.data = json_array()};
    int rc = am_diff_files(db, from->id, to->id, add_file, &c);
    if (rc < 0) {
        json_decref(c.data);
        return rc;
    }
    json_t *o = tally_json(&c.all);
    json_object_del(o, am_diff_name(AM_DIFF_RESHAPED)); /* files are not */
    json_object_set_new(o, "data", c.data);
    *ret = o;
    return 0;
}

static json_t *end_json(const struct end *e)
{
    return json_pack("{s:s, s:s, s:o}", "model", e->model, "commit", e->commit, "number", am_json_count(e->number));
}

static int is_there(void *ctx, const struct am_file_row *f)
{
    (void)ctx;
    (void)f;
    return 0;
}

/* Norms and the like that the method told of `to`: a file of that version, or null. */
static json_t *report_json(struct am_db *db, const struct end *to)
{
    char url[400];
    if (am_file_get(db, to->id, "amend/report.json", is_there, NULL) < 0)
        return json_null();
    snprintf(url, sizeof url, "/v1/models/%s/versions/%s/files/amend%%2Freport.json/content", to->model, to->commit);
    return json_pack("{s:s, s:s}", "path", "amend/report.json", "content_url", url);
}

static int reply_diff(struct am_req *r, struct am_db *db, const struct end *from, const struct end *to,
                      struct tensors *c, const char *after)
{
    json_t *files = NULL;
    int rc = am_diff_tensors(db, from->id, to->id, after, add_tensor, c);
    if (rc == 0 && c->counting)
        rc = read_files(db, from, to, &files);
    if (rc == -AM_E_TOO_LARGE)
        return am_reply_problem(r, AM_E_TOO_LARGE,
                                "the weights of these versions are read from more spans than a comparison holds; a "
                                "merge or export writes them whole");
    if (rc < 0)
        return am_reply_error(r, rc, "the versions could not be compared");
    json_t *next = c->more ? json_incref(json_object_get(json_array_get(c->data, c->limit - 1), "name")) : json_null();
    return am_reply_json(r, 200,
                         json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:O, s:b, s:o}", "object", "diff", "from",
                                   end_json(from), "to", end_json(to), "basis", "spans", "tensors",
                                   c->counting ? tally_json(&c->all) : json_null(), "files",
                                   files ? files : json_null(), "report", report_json(db, to), "data", c->data,
                                   "has_more", c->more, "next", next),
                         NULL);
}

int am_api_diff(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t limit;
    struct end from, to;
    const char *after = am_req_query(r, "after");
    struct tensors c = {.counting = !after};
    if (!am_req_int(r, "limit", 1, 10000, 1000, &limit, &queued) || !read_classes(r, c.want, &queued))
        return queued;
    struct am_db *db = am_reader(r, &queued);
    if (!db || find_ends(r, db, &from, &to, &queued) < 0)
        return queued;
    c.limit = (size_t)limit;
    c.data = json_array();
    int rc = am_snapshot_begin(db);
    queued = rc < 0 ? am_reply_error(r, rc, "the database could not answer") : reply_diff(r, db, &from, &to, &c, after);
    if (rc == 0)
        am_snapshot_end(db);
    json_decref(c.data);
    return queued;
}
