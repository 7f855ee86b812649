/*
 * dataset_versions.c - the versions of a dataset: list, get, and the bytes of one.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/bytes.h"
#include "server/api/datasets.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

json_t *am_dataset_version_json(const struct am_dataset_version_row *v)
{
    char self[300], content[320], samples[320];
    snprintf(self, sizeof self, "/v1/datasets/%s/versions/v%lld", v->dataset, (long long)v->number);
    snprintf(content, sizeof content, "%s/content", self);
    snprintf(samples, sizeof samples, "%s/samples", self);
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:I, s:o, s:I, s:o, s:s, s:s, s:I}", "object",
                          "dataset_version", "dataset", v->dataset, "number", (json_int_t)v->number, "sha256",
                          v->sha256, "labels", am_json_stored(v->labels), "format", v->format, "rows",
                          (json_int_t)v->rows, "classes", v->classes ? json_integer(v->classes) : json_null(), "bytes",
                          (json_int_t)v->bytes, "fields", am_json_stored(v->fields), "ids", v->ids, "ids_sha256",
                          v->ids_sha256, "ids_bytes", (json_int_t)v->ids_bytes);
    json_t *rest =
        json_pack("{s:s, s:s?, s:o, s:{s:s, s:s, s:s}}", "created_by", v->created_by, "job", v->job, "created_at",
                  am_json_time(v->created_at), "links", "self", self, "content", content, "samples", samples);
    json_object_update(o, rest);
    json_decref(rest);
    return o;
}

int am_find_dataset_version(struct am_req *r, int64_t *ret, int *ret_queued)
{
    char name[200];
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return -AM_E_INTERNAL;
    am_model_id(r, name);
    int rc = am_dataset_resolve(db, name, r->arg[2], ret);
    if (rc == -AM_E_NOT_FOUND)
        *ret_queued = am_reply_no_dataset(r, name);
    else if (rc == -AM_E_REVISION_NOT_FOUND)
        *ret_queued = am_reply_problem(r, AM_E_REVISION_NOT_FOUND,
                                       "%s has no version \"%.100s\"; GET /v1/datasets/%s/versions lists them", name,
                                       r->arg[2], name);
    else if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the database could not answer");
    return rc;
}

static int take_version(void *ctx, const struct am_dataset_version_row *v)
{
    return am_json_take(ctx, am_dataset_version_json(v));
}

json_t *am_dataset_version_load(struct am_req *r, int64_t version, int *ret_queued)
{
    json_t *o = NULL;
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return NULL;
    int rc = am_dataset_version_get(db, version, take_version, &o);
    if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the version of the dataset could not be read");
    return o;
}

/* Its content never changes; that it got one more name is not worth another ETag. */
int am_api_dataset_version(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    if (am_find_dataset_version(r, &version, &queued) < 0)
        return queued;
    json_t *o = am_dataset_version_load(r, version, &queued);
    return o ? am_reply_resource(r, o, json_string_value(json_object_get(o, "sha256"))) : queued;
}

static int add_version(void *ctx, const struct am_dataset_version_row *v)
{
    return am_json_add(ctx, am_dataset_version_json(v));
}

static int take_id(void *ctx, const struct am_dataset_row *d)
{
    *(int64_t *)ctx = d->id;
    return 0;
}

int am_api_dataset_versions(struct am_req *r)
{
    int64_t limit, after, dataset = 0;
    int queued = MHD_NO;
    char name[200];
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    if (!db)
        return queued;
    am_model_id(r, name);
    int rc = am_dataset_get(db, name, take_id, &dataset);
    if (rc == -AM_E_NOT_FOUND)
        return am_reply_no_dataset(r, name);
    json_t *data = json_array();
    if (rc == 0)
        rc = am_dataset_version_list(db, dataset, after, (int)limit + 1, add_version, data);
    return am_reply_page(r, rc, data, limit, "number", "versions of the dataset");
}

/* ---- bytes ---- */

static int take_bytes(void *ctx, const struct am_dataset_version_row *v)
{
    struct am_bytes *b = ctx;
    bool lines = am_streq(v->format, "jsonl");
    const char *slash = strchr(v->dataset, '/');
    snprintf(b->path, sizeof b->path, "%s-v%lld.%s", slash ? slash + 1 : v->dataset, (long long)v->number,
             lines ? "jsonl" : "safetensors");
    snprintf(b->etag, sizeof b->etag, "%s", v->sha256);
    b->type = lines ? "application/jsonl" : "application/octet-stream";
    b->bytes = v->bytes;
    b->layout = v->layout;
    return 0;
}

int am_api_dataset_content(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    struct am_bytes b = {.bytes = 0};
    if (am_find_dataset_version(r, &version, &queued) < 0)
        return queued;
    int rc = am_dataset_version_get(am_store_read(r->srv->store), version, take_bytes, &b);
    return rc < 0 ? am_reply_error(r, rc, "the version of the dataset could not be read") : am_reply_bytes(r, &b);
}
