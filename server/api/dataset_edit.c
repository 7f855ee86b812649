/*
 * dataset_edit.c - PATCH and DELETE of a dataset, DELETE of one of its versions. If-Match is compared in the
 * transaction that writes. What prediction sets are about stays: they would no longer say what they are about.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/datasets.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct edit {
    struct am_req *r;
    char name[200];
    const char *description;
    json_t *changes; /* of the labels, or NULL */
    /* of the transaction */
    int64_t id, users;
    char etag[80];
    char *stored, *merged;
    json_t *dataset;
};

static void edit_done(struct edit *e)
{
    free(e->stored);
    free(e->merged);
    json_decref(e->dataset);
}

static int take(void *ctx, const struct am_dataset_row *d)
{
    struct edit *e = ctx;
    e->id = d->id;
    am_dataset_etag(d, e->etag);
    free(e->stored);
    e->stored = strdup(d->labels);
    json_decref(e->dataset);
    e->dataset = am_dataset_json(d);
    return e->stored && e->dataset ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int look(struct edit *e, struct am_db *db)
{
    AM_TRY(am_dataset_get(db, e->name, take, e));
    return am_etag_matches(e->r, MHD_HTTP_HEADER_IF_MATCH, e->etag) ? 0 : -AM_E_PRECONDITION_FAILED;
}

static int patch(struct am_db *db, void *arg)
{
    struct edit *e = arg;
    AM_TRY(look(e, db));
    free(e->merged);
    e->merged = NULL;
    if (e->changes)
        AM_TRY(am_labels_merge(e->stored, e->changes, &e->merged));
    AM_TRY(am_dataset_patch(db, e->id, e->description, e->merged, am_now_ms()));
    return am_dataset_get(db, e->name, take, e);
}

static int delete (struct am_db *db, void *arg)
{
    struct edit *e = arg;
    AM_TRY(look(e, db));
    return am_dataset_delete(db, e->id, am_now_ms(), &e->users);
}

static int refuse_used(struct am_req *r, const char *what, int64_t users)
{
    return am_reply_problem(r, AM_E_CONFLICT,
                            "%lld prediction sets are about %s; GET /v1/predictions?dataset= lists them, delete them "
                            "first",
                            (long long)users, what);
}

static int refuse(struct edit *e, int rc)
{
    int queued = MHD_NO;
    if (rc == -AM_E_PRECONDITION_FAILED && !am_req_if_match(e->r, e->etag, &queued))
        return queued;
    if (rc == -AM_E_NOT_FOUND)
        return am_reply_no_dataset(e->r, e->name);
    if (rc == -AM_E_CONFLICT)
        return refuse_used(e->r, e->name, e->users);
    if (rc == -AM_E_TOO_LARGE)
        return am_reply_fault(e->r, AM_E_INVALID_REQUEST, "#/labels",
                              "with these it would have more than 64 labels; remove some by giving them as null");
    return am_reply_error(e->r, rc, "the change could not be stored");
}

int am_api_dataset_patch(struct am_req *r)
{
    static const char *const known[] = {"description", "labels", NULL};
    struct am_faults f = {0};
    AM_CLEANUP(edit_done) struct edit e = {.r = r};
    am_model_id(r, e.name);
    am_members_known(r->json, "#", known, &f);
    if (json_object_size(r->json) == 0)
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#"},
                     "nothing to change; give description or labels");
    e.description = am_member_text(r->json, "#", "description", false, NULL, &f);
    am_description_check(e.description, &f);
    e.changes = am_member_object(r->json, "#", "labels", false, &f);
    am_labels_check(e.changes, true, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    int rc = am_store_write(r->srv->store, patch, &e);
    return rc < 0 ? refuse(&e, rc) : am_reply_resource(r, json_incref(e.dataset), e.etag);
}

int am_api_dataset_delete(struct am_req *r)
{
    AM_CLEANUP(edit_done) struct edit e = {.r = r};
    am_model_id(r, e.name);
    int rc = am_store_write(r->srv->store, delete, &e);
    return rc < 0 ? refuse(&e, rc) : am_reply_json(r, 200, json_incref(e.dataset), NULL);
}

/* ---- a version ---- */

struct version {
    int64_t id, users;
};

static int delete_version(struct am_db *db, void *arg)
{
    struct version *v = arg;
    return am_dataset_version_delete(db, v->id, am_now_ms(), &v->users);
}

int am_api_dataset_version_delete(struct am_req *r)
{
    int queued = MHD_NO;
    struct version v = {.id = 0};
    if (am_find_dataset_version(r, &v.id, &queued) < 0)
        return queued;
    json_t *version = am_dataset_version_load(r, v.id, &queued);
    if (!version)
        return queued;
    if (!am_req_if_match(r, json_string_value(json_object_get(version, "sha256")), &queued)) {
        json_decref(version);
        return queued;
    }
    int rc = am_store_write(r->srv->store, delete_version, &v);
    if (rc == 0)
        return am_reply_json(r, 200, version, NULL);
    json_decref(version);
    return rc == -AM_E_CONFLICT    ? refuse_used(r, r->arg[2], v.users)
           : rc == -AM_E_NOT_FOUND ? am_reply_problem(r, AM_E_REVISION_NOT_FOUND, "somebody deleted it just now")
                                   : am_reply_error(r, rc, "the version could not be deleted");
}
