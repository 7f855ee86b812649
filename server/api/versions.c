/*
 * versions.c - versions: list, get, recipe, tensors.
 */
#include "core/base/hash.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/reports.h"
#include "server/reply.h"
#include "storage/life.h"
#include "storage/places.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { COMPARED_MAX = 20 };

/* Inputs of a version as its recipe pinned them. */
static json_t *inputs_json(const char *recipe_text)
{
    json_t *recipe = am_json_stored(recipe_text), *inputs = json_object_get(recipe, "inputs"), *out = json_array(), *in;
    size_t i;
    json_array_foreach(inputs, i, in)
    {
        json_t *weight = json_object_get(json_object_get(in, "params"), "weight");
        json_t *o = json_pack("{s:O?, s:O?, s:O?, s:O?}", "role", json_object_get(in, "role"), "model",
                              json_object_get(in, "model"), "commit", json_object_get(in, "commit"), "rev",
                              json_object_get(in, "rev"));
        if (weight)
            json_object_set(o, "weight", weight);
        json_array_append_new(out, o);
    }
    json_decref(recipe);
    return out;
}

static int64_t expires_at(const struct am_config *cfg, const struct am_version_row *v)
{
    return am_expires_at(v->since, v->keep_days, (int64_t)cfg->unreferenced_days);
}

void am_version_etag(const struct am_config *cfg, const struct am_version_row *v, char out[AM_ETAG])
{
    char text[65]; /* of what changes without a change of its row */
    struct am_buf b;
    am_buf_init(&b, 16u << 20);
    am_buf_printf(&b, "%s %lld %s", v->refs ? v->refs : "", (long long)expires_at(cfg, v),
                  v->compared ? v->compared : "");
    am_sha256_hex(b.data ? b.data : "", b.len, text);
    am_buf_done(&b);
    snprintf(out, AM_ETAG, "%s-%.16s-%lld", v->commit, text, (long long)v->rev);
}

static json_t *version_json(const struct am_config *cfg, const struct am_version_row *v)
{
    json_t *tensors = json_pack("{s:I, s:o, s:s?}", "count", (json_int_t)v->tensors, "parameters",
                                am_json_stored(v->parameters), "architecture", v->architecture);
    json_t *number = am_json_count(v->number);
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:s?, s:o, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:s?}",
                          "object", "version", "model", v->model_name, "commit", v->commit, "number", number, "state",
                          "complete", "warnings", am_json_stored(v->warnings), "parent", v->parent, "created_at",
                          am_json_time(v->created_at), "created_by", v->created_by, "message", v->message, "job",
                          v->job, "type", v->type, "method", v->method, "refs", am_json_stored(v->refs),
                          "manifest_sha256", v->manifest_sha256);
    json_object_set_new(o, "files", json_integer(v->files));
    json_object_set_new(o, "bytes", json_integer(v->bytes));
    json_object_set_new(o, "new_bytes", json_integer(v->new_bytes));
    json_object_set_new(o, "tensors", tensors);
    json_object_set_new(o, "inputs", inputs_json(v->recipe));
    json_object_set_new(o, "metadata", am_json_stored(v->metadata));
    json_object_set_new(o, "labels", am_json_stored(v->labels));
    json_object_set_new(o, "pinned", json_boolean(v->pinned));
    json_object_set_new(o, "note", v->note ? json_string(v->note) : json_null());
    json_object_set_new(o, "expires_at", am_json_time(expires_at(cfg, v)));
    json_object_set_new(o, "deleted_at", am_json_time(v->deleted_at));
    return o;
}

struct collect {
    const struct am_config *cfg;
    json_t *data;
    int64_t last;
    char etag[AM_ETAG];
};

static int add_version(void *ctx, const struct am_version_row *v)
{
    struct collect *c = ctx;
    c->last = v->id;
    am_version_etag(c->cfg, v, c->etag);
    return am_json_add(c->data, version_json(c->cfg, v));
}

/* Where the walk over ?ref= begins: at the first version that the page before did not show, whatever the ref names now.
 */
static int first_of_line(struct am_req *r, struct am_db *db, const char *model, int64_t after, int64_t *ret)
{
    *ret = after - 1;
    return after ? 0 : am_rev_resolve(db, model, am_req_query(r, "ref"), ret, NULL);
}

static int list(struct am_req *r, struct am_db *db, const char *model, int64_t after, int limit, struct collect *c)
{
    int64_t first = 0;
    const char *state = am_req_query(r, "state");
    if (state && strcmp(state, "complete") != 0) /* all that is stored is complete */
        limit = 0;
    if (!am_req_query(r, "ref"))
        return am_version_list(db, model, after, limit, add_version, c);
    AM_TRY(first_of_line(r, db, model, after, &first));
    return am_version_line(db, model, first, limit, add_version, c);
}

static bool state_ok(struct am_req *r, int *ret_queued)
{
    const char *state = am_req_query(r, "state");
    if (!state || strcmp(state, "complete") == 0 || strcmp(state, "incomplete") == 0)
        return true;
    *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, "?state", "state must be complete or incomplete");
    return false;
}

int am_api_versions(struct am_req *r)
{
    char model[200];
    int64_t limit, after;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    if (!db || !state_ok(r, &queued))
        return queued;
    am_model_id(r, model);
    struct collect c = {.cfg = r->srv->cfg, .data = json_array()};
    int rc = list(r, db, model, after, (int)limit + 1, &c);
    struct am_rows rows = {c.data, c.last};
    if (rc != -AM_E_REVISION_NOT_FOUND && rc != -AM_E_NOT_FOUND)
        return am_reply_rows(r, rc, &rows, limit, "versions");
    json_decref(c.data);
    return rc == -AM_E_NOT_FOUND
               ? am_reply_no_model(r, model)
               : am_reply_fault(r, AM_E_REVISION_NOT_FOUND, "?ref",
                                "%s has no revision \"%.100s\"; GET /v1/models/%s/refs lists its refs", model,
                                am_req_query(r, "ref"), model);
}

int am_api_version_get(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    return am_find_version(r, &version, NULL, &queued) < 0 ? queued : am_reply_version(r, version);
}

static int add_compared(void *ctx, const struct am_report_row *p)
{
    return am_json_add(ctx, am_report_summary(p));
}

/* The newest report against each version that it was compared with. */
static int put_compatibility(struct am_db *db, int64_t version, json_t *v)
{
    json_t *list = json_array();
    int rc = list ? am_report_against(db, version, COMPARED_MAX, add_compared, list) : -AM_E_OUT_OF_MEMORY;
    if (json_object_set_new(v, "compatibility", list) < 0 && rc == 0)
        rc = -AM_E_OUT_OF_MEMORY;
    return rc;
}

int am_version_read(const struct am_config *cfg, struct am_db *db, int64_t version, json_t **ret, char etag[AM_ETAG])
{
    json_auto_t *data = json_array();
    struct collect c = {.cfg = cfg, .data = data};
    AM_TRY(am_version_get(db, version, add_version, &c));
    json_t *v = json_array_get(data, 0);
    AM_TRY(put_compatibility(db, version, v));
    *ret = json_incref(v);
    snprintf(etag, AM_ETAG, "%s", c.etag);
    return 0;
}

int am_reply_version(struct am_req *r, int64_t version)
{
    json_t *v;
    char etag[AM_ETAG];
    int rc = am_version_read(r->srv->cfg, am_store_read(r->srv->store), version, &v, etag);
    return rc < 0 ? am_reply_error(r, rc, "the version could not be read") : am_reply_resource(r, v, etag);
}

static int take_recipe(void *ctx, const struct am_version_row *v)
{
    *(json_t **)ctx = am_json_stored(v->recipe);
    return 0;
}

int am_api_recipe(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    json_t *recipe = NULL;
    if (am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    int rc = am_version_get(am_store_read(r->srv->store), version, take_recipe, &recipe);
    if (rc < 0)
        return am_reply_error(r, rc, "the version could not be read");
    if (json_is_null(recipe)) {
        json_decref(recipe);
        return am_reply_problem(r, AM_E_NOT_FOUND, "this version was not made by a job: it has no recipe");
    }
    char etag[80]; /* fixed with the version */
    snprintf(etag, sizeof etag, "%s", json_string_value(json_object_get(recipe, "spec_sha256")));
    return am_reply_resource(r, recipe, etag);
}

struct tensors {
    struct am_db *db;
    struct am_tensor_cursor *cursor;
    struct am_places *places;
    const char *prefix;
    size_t limit;
    json_t *data;
};

static int add_tensor(struct tensors *c, const struct am_tensor_row *t)
{
    const char *origin;
    AM_TRY(am_places_origin(c->places, c->db, t, &origin));
    json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:s, s:I, s:s?}", "name", t->name, "dtype", t->dtype, "shape",
                          am_json_stored(t->shape), "bytes", (json_int_t)t->bytes, "file", t->file, "begin",
                          (json_int_t)t->begin, "from_version", origin);
    return am_json_add(c->data, o);
}

/* The next rows, by name, that begin with `prefix`: at most `limit`. */
static int read_tensors(struct tensors *c)
{
    struct am_tensor_row t;
    int rc = 1;
    while (json_array_size(c->data) < c->limit && (rc = am_tensor_next(c->cursor, &t)) == 1)
        if (!c->prefix || am_starts(t.name, c->prefix))
            AM_TRY(add_tensor(c, &t));
    return rc < 0 ? rc : 0;
}

int am_api_tensors(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version, limit;
    if (!am_req_int(r, "limit", 1, 10000, 1000, &limit, &queued) || am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    json_t *data = json_array();
    struct tensors c = {.db = am_store_read(r->srv->store),
                        .places = am_places_new(),
                        .prefix = am_req_query(r, "prefix"),
                        .limit = (size_t)limit + 1,
                        .data = data};
    int rc = c.places ? am_places_add(c.places, c.db, version) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        c.cursor = am_tensor_open_after(c.db, version, am_req_query(r, "after"));
        rc = c.cursor ? read_tensors(&c) : -AM_E_INTERNAL;
    }
    am_tensor_close(c.cursor);
    am_places_free(c.places);
    return am_reply_page(r, rc, data, limit, "name", "tensors");
}
