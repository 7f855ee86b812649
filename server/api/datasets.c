/*
 * datasets.c - datasets: list, create, get. Changing and deleting is dataset_edit.c.
 */
#include "server/api/datasets.h"

#include "core/base/clock.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

/* With the time: the id of a deleted dataset may come again. */
void am_dataset_etag(const struct am_dataset_row *d, char out[80])
{
    snprintf(out, 80, "d%lld-%llx-%lld", (long long)d->id, (unsigned long long)d->created_at, (long long)d->rev);
}

json_t *am_dataset_json(const struct am_dataset_row *d)
{
    char self[260], versions[280];
    snprintf(self, sizeof self, "/v1/datasets/%s", d->name);
    snprintf(versions, sizeof versions, "%s/versions", self);
    json_t *latest =
        d->latest ? json_pack("{s:I, s:s}", "number", (json_int_t)d->latest, "sha256", d->latest_sha256) : json_null();
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:I, s:s, s:o, s:{s:s, s:s}}", "object", "dataset", "id", d->name,
                     "description", d->description, "labels", am_json_stored(d->labels), "versions",
                     (json_int_t)d->versions, "latest", latest, "bytes", (json_int_t)d->bytes, "created_by",
                     d->created_by, "created_at", am_json_time(d->created_at), "links", "self", self, "versions",
                     versions);
}

int am_reply_no_dataset(struct am_req *r, const char *name)
{
    return am_reply_problem(r, AM_E_NOT_FOUND, "no dataset %s; GET /v1/datasets lists what is here", name);
}

static int add_dataset(void *ctx, const struct am_dataset_row *d)
{
    return am_json_add(ctx, am_dataset_json(d));
}

int am_api_datasets(struct am_req *r)
{
    int64_t limit;
    int queued = MHD_NO;
    char *labels = NULL;
    struct am_db *db = am_page_reader(r, &limit, NULL, &queued);
    if (!db || !am_labels_wanted(r, &labels, &queued))
        return queued;
    const struct am_dataset_filter f = {.search = am_req_query(r, "search"),
                                        .space = am_req_query(r, "namespace"),
                                        .labels = labels,
                                        .after = am_req_query(r, "after"),
                                        .limit = (int)limit + 1};
    json_t *data = json_array();
    int rc = am_dataset_list(db, &f, add_dataset, data);
    free(labels);
    return am_reply_page(r, rc, data, limit, "id", "datasets");
}

struct taken {
    json_t *dataset;
    char etag[80];
};

static int take_dataset(void *ctx, const struct am_dataset_row *d)
{
    struct taken *t = ctx;
    json_decref(t->dataset);
    t->dataset = am_dataset_json(d);
    am_dataset_etag(d, t->etag);
    return t->dataset ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_api_dataset(struct am_req *r)
{
    int queued = MHD_NO;
    char name[200];
    struct taken t = {.dataset = NULL};
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    am_model_id(r, name);
    int rc = am_dataset_get(db, name, take_dataset, &t);
    if (rc < 0)
        return rc == -AM_E_NOT_FOUND ? am_reply_no_dataset(r, name)
                                     : am_reply_error(r, rc, "the dataset could not be read");
    return am_reply_resource(r, t.dataset, t.etag);
}

/* ---- create ---- */

struct create {
    struct am_dataset_new row;
    char other[200];
    const struct am_idem *idem;
    struct taken answer;
};

static int create_dataset(struct am_db *db, void *arg)
{
    struct create *c = arg;
    int64_t id;
    AM_TRY(am_dataset_create(db, &c->row, &id, c->other));
    AM_TRY(am_dataset_get(db, c->row.name, take_dataset, &c->answer));
    return am_idem_keep(db, c->idem, 201, c->answer.dataset);
}

static int reply_created(struct am_req *r, json_t *dataset /* stolen */)
{
    return am_reply_created(r, dataset, "/v1/datasets/%s", json_string_value(json_object_get(dataset, "id")));
}

static int create(struct am_req *r, const struct am_idem *idem)
{
    static const char *const known[] = {"id", "description", "labels", NULL};
    struct am_faults f = {0};
    am_members_known(r->json, "#", known, &f);
    struct am_about about = am_about_read(r->json, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    char *text = about.labels ? json_dumps(about.labels, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    struct create c = {.idem = idem,
                       .row = {.name = about.id,
                               .description = about.description,
                               .labels = text,
                               .created_by = "local",
                               .now = am_now_ms()}};
    int rc = am_store_write(r->srv->store, create_dataset, &c);
    free(text);
    if (rc == 0)
        return reply_created(r, c.answer.dataset);
    json_decref(c.answer.dataset);
    if (rc == -AM_E_CONFLICT)
        return am_reply_fault(r, AM_E_CONFLICT, "#/id", "the dataset %s exists already", about.id);
    if (rc == -AM_E_NAME_TAKEN)
        return am_reply_fault(r, AM_E_NAME_TAKEN, "#/id", "%s differs only in case from the existing dataset %s",
                              about.id, c.other);
    return am_reply_error(r, rc, "the dataset could not be created");
}

int am_api_dataset_create(struct am_req *r)
{
    return am_idem_once(r, reply_created, create);
}
