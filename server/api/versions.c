/*
 * versions.c - versions: list, get, recipe, tensors.
 */
#include "core/base/hash.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

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

json_t *am_version_json(const struct am_version_row *v)
{
    json_t *tensors = json_pack("{s:I, s:o, s:s?}", "count", (json_int_t)v->tensors, "parameters",
                                am_json_stored(v->parameters), "architecture", v->architecture);
    json_t *number = v->number >= 0 ? json_integer(v->number) : json_null();
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
    return o;
}

struct collect {
    json_t *data;
    int64_t last;
    char etag[80];
};

static int add_version(void *ctx, const struct am_version_row *v)
{
    struct collect *c = ctx;
    c->last = v->id;
    char refs[65]; /* all that can change about a version */
    am_sha256_hex(v->refs ? v->refs : "", v->refs ? strlen(v->refs) : 0, refs);
    snprintf(c->etag, sizeof c->etag, "%s-%.16s", v->commit, refs);
    return json_array_append_new(c->data, am_version_json(v)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

int am_api_versions(struct am_req *r)
{
    char model[200], next[32];
    int64_t limit, after;
    int queued = MHD_NO;
    if (!am_req_int(r, "limit", 1, 100, 20, &limit, &queued) ||
        !am_req_int(r, "after", 1, INT64_MAX - 1, 0, &after, &queued))
        return queued;
    am_model_id(r, model);
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    struct collect c = {.data = json_array()};
    int rc = am_version_list(db, model, after, (int)limit + 1, add_version, &c);
    if (rc < 0) {
        json_decref(c.data);
        return rc == -AM_E_NOT_FOUND
                   ? am_reply_problem(r, AM_E_NOT_FOUND, "no model %s; GET /v1/models lists what is here", model)
                   : am_reply_error(r, rc, "the versions could not be listed");
    }
    bool more = json_array_size(c.data) > (size_t)limit;
    if (more)
        json_array_remove(c.data, (size_t)limit);
    /* `last` is the first version not shown; the cursor names ids below it, so pages do not shift under the reader */
    snprintf(next, sizeof next, "%lld", (long long)c.last + 1);
    return am_reply_json(r, 200, am_json_list(c.data, more ? next : NULL), NULL);
}

int am_api_version_get(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    if (am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    struct collect c = {.data = json_array()};
    int rc = am_version_get(am_store_read(r->srv->store), version, add_version, &c);
    json_t *v = json_incref(json_array_get(c.data, 0));
    json_decref(c.data);
    return rc < 0 ? am_reply_error(r, rc, "the version could not be read") : am_reply_resource(r, v, c.etag);
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

static json_t *tensor_json(const struct am_tensor_row *t)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:s, s:I}", "name", t->name, "dtype", t->dtype, "shape",
                     am_json_stored(t->shape), "bytes", (json_int_t)t->bytes, "file", t->file, "begin",
                     (json_int_t)t->begin);
}

/* The rows after the name `after`, by name, that begin with `prefix`: at most `limit`. */
static int read_tensors(struct am_tensor_cursor *c, const char *prefix, const char *after, size_t limit, json_t *data)
{
    struct am_tensor_row t;
    int rc = 1;
    while (json_array_size(data) < limit && (rc = am_tensor_next(c, &t)) == 1) {
        if ((prefix && !am_starts(t.name, prefix)) || (after && strcmp(t.name, after) <= 0))
            continue;
        if (json_array_append_new(data, tensor_json(&t)) < 0)
            return -AM_E_OUT_OF_MEMORY;
    }
    return rc < 0 ? rc : 0;
}

int am_api_tensors(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version, limit;
    if (!am_req_int(r, "limit", 1, 10000, 1000, &limit, &queued) || am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    struct am_tensor_cursor *c = am_tensor_open(am_store_read(r->srv->store), version);
    json_t *data = json_array();
    int rc = c ? read_tensors(c, am_req_query(r, "prefix"), am_req_query(r, "after"), (size_t)limit + 1, data)
               : -AM_E_INTERNAL;
    am_tensor_close(c);
    if (rc < 0) {
        json_decref(data);
        return am_reply_error(r, rc, "the tensors could not be read");
    }
    json_t *next = NULL;
    if (json_array_size(data) > (size_t)limit) {
        json_array_remove(data, (size_t)limit);
        next = json_incref(json_object_get(json_array_get(data, (size_t)limit - 1), "name"));
    }
    queued = am_reply_json(r, 200, am_json_list(data, json_string_value(next)), NULL);
    json_decref(next);
    return queued;
}
