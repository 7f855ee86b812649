/*
 * predictions.c - prediction sets: list, get, delete. The upload is predictions_push.c.
 */
#include "server/api/predictions.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "storage/datasets.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

static json_t *external(const char *name, const char *sha256)
{
    return json_pack("{s:s, s:s?}", "external", name, "sha256", sha256);
}

/* name and number of one that is kept here, else external. */
static json_t *dataset(const struct am_prediction_row *p)
{
    return json_pack("{s:s?, s:s?, s:o, s:s?}", "external", p->dataset_name ? NULL : p->dataset, "name",
                     p->dataset_name, "number", p->dataset_name ? json_integer(p->dataset_number) : json_null(),
                     "sha256", p->dataset_sha256);
}

json_t *am_prediction_json(const struct am_prediction_row *p)
{
    char version[300], self[120], content[140];
    snprintf(version, sizeof version, "%s@%s", p->model_name ? p->model_name : "", p->commit ? p->commit : "");
    snprintf(self, sizeof self, "/v1/predictions/%s", p->uid);
    snprintf(content, sizeof content, "%s/content", self);
    json_t *o =
        json_pack("{s:s, s:s, s:s?, s:o, s:s, s:o, s:s?, s:s, s:s?, s:I, s:I, s:o, s:o}", "object", "prediction_set",
                  "id", p->uid, "version", p->commit ? version : NULL, "external",
                  p->commit ? json_null() : external(p->model, p->model_sha256), "submitted_as", p->model, "dataset",
                  dataset(p), "split", p->split, "task", p->task, "metric", p->metric, "rows", (json_int_t)p->n, "ids",
                  (json_int_t)p->ids, "correct", p->correct < 0 ? json_null() : json_integer(p->correct), "accuracy",
                  p->correct < 0 ? json_null() : json_real((double)p->correct / (double)p->n));
    json_t *rest = json_pack(
        "{s:o, s:o, s:o, s:o, s:s, s:s, s:s?, s:o, s:{s:s, s:s}}", "header", am_json_stored(p->header), "upload",
        am_json_file(p->upload_sha256, p->upload_bytes), "packed", am_json_file(p->packed_sha256, p->packed_bytes),
        "dictionary", am_json_file(p->ids_sha256, p->ids_bytes), "source", p->source, "created_by", p->created_by,
        "job", p->job, "created_at", am_json_time(p->created_at), "links", "self", self, "content", content);
    json_object_update(o, rest);
    json_decref(rest);
    return o;
}

static int add_set(void *ctx, const struct am_prediction_row *p)
{
    return am_rows_add(ctx, p->id, am_prediction_json(p));
}

bool am_named_version(struct am_req *r, struct am_db *db, const char *text, const char *pointer, int64_t *ret_version,
                      const char **ret_external, int *ret_queued)
{
    char model[200];
    if (am_starts(text, "external:")) {
        *ret_external = text + strlen("external:");
        return true;
    }
    const char *rev = am_rev_split(text, model, sizeof model), *why = am_model_name_fault(model);
    int rc = why ? -AM_E_INVALID_REQUEST : am_rev_resolve_any(db, model, rev ? rev : "main", ret_version);
    if (rc == 0)
        return true;
    if (why)
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, pointer,
                                     "a version is namespace/name@rev, or external:NAME (%s)", why);
    else if (rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND)
        *ret_queued = am_reply_fault(r, -rc, pointer, "there is no version %.300s here", text);
    else
        *ret_queued = am_reply_error(r, rc, "the database could not answer");
    return false;
}

bool am_req_version(struct am_req *r, struct am_db *db, const char *name, int64_t *ret_version,
                    const char **ret_external, int *ret_queued)
{
    const char *text = am_req_query(r, name);
    char at[40];
    snprintf(at, sizeof at, "?%s", name);
    return !text || am_named_version(r, db, text, at, ret_version, ret_external, ret_queued);
}

static int take_id(void *ctx, const struct am_dataset_row *d)
{
    *(int64_t *)ctx = d->id;
    return 0;
}

/* ?dataset=ns/name, all versions of one that is kept here; ns/name@rev, one of them; else the name of one elsewhere.
   false: an answer was queued. */
static bool read_dataset(struct am_req *r, struct am_db *db, struct am_prediction_filter *f, int *ret_queued)
{
    const char *text = am_req_query(r, "dataset");
    char name[200];
    f->dataset = text;
    if (!text)
        return true;
    const char *rev = am_rev_split(text, name, sizeof name);
    int rc = am_model_name_fault(name) ? -AM_E_NOT_FOUND
             : rev                     ? am_dataset_resolve(db, name, rev, &f->dataset_version)
                                       : am_dataset_get(db, name, take_id, &f->dataset_id);
    if (rc == 0 || rc == -AM_E_NOT_FOUND)
        return true;
    *ret_queued = rc == -AM_E_REVISION_NOT_FOUND
                      ? am_reply_fault(r, AM_E_REVISION_NOT_FOUND, "?dataset", "there is no %.300s here", text)
                      : am_reply_error(r, rc, "the database could not answer");
    return false;
}

int am_api_predictions(struct am_req *r)
{
    int64_t limit, after;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    struct am_prediction_filter f = {.after = after, .limit = (int)limit + 1};
    if (!db || !am_req_version(r, db, "version", &f.version, &f.external, &queued) || !read_dataset(r, db, &f, &queued))
        return queued;
    struct am_rows rows = {.data = json_array()};
    int rc = am_prediction_list(db, &f, add_set, &rows);
    return am_reply_rows(r, rc, &rows, limit, "prediction sets");
}

static int take_set(void *ctx, const struct am_prediction_row *p)
{
    return am_json_take(ctx, am_prediction_json(p));
}

json_t *am_prediction_load(struct am_req *r, const char *uid, int *ret_queued)
{
    json_t *set = NULL;
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return NULL;
    int rc = am_prediction_get(db, uid, take_set, &set);
    if (rc < 0)
        *ret_queued = rc == -AM_E_NOT_FOUND
                          ? am_reply_problem(r, AM_E_NOT_FOUND,
                                             "no prediction set %.80s; GET /v1/predictions lists what is here", uid)
                          : am_reply_error(r, rc, "the prediction set could not be read");
    return set;
}

/* A set never changes, so its id says all of its state. */
int am_api_prediction(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *set = am_prediction_load(r, r->arg[0], &queued);
    return set ? am_reply_resource(r, set, r->arg[0]) : queued;
}

static int delete_set(struct am_db *db, void *arg)
{
    return am_prediction_delete(db, arg, am_now_ms());
}

int am_api_prediction_delete(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *set = am_prediction_load(r, r->arg[0], &queued);
    if (!set)
        return queued;
    if (!am_req_if_match(r, r->arg[0], &queued)) {
        json_decref(set);
        return queued;
    }
    int rc = am_store_write(r->srv->store, delete_set, r->arg[0]);
    if (rc == 0)
        return am_reply_json(r, 200, set, NULL);
    json_decref(set);
    return rc == -AM_E_NOT_FOUND
               ? am_reply_problem(r, AM_E_NOT_FOUND, "somebody deleted the prediction set %s just now", r->arg[0])
               : am_reply_error(r, rc, "the prediction set could not be deleted");
}
