/*
 * patch.c - PATCH of a model and of a version: what people note about them. A member that is not given stays; a label
 * that is null goes. If-Match is compared in the transaction that writes, so of two that read the same state one is
 * told.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "storage/life.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTION_MAX = 4096, NOTE_MAX = 4096, DAYS_MAX = 36500 };

struct patch {
    struct am_req *r;
    char name[200]; /* of a model */
    int64_t id, days;
    json_t *labels; /* changes, or NULL */
    bool is_private, pinned;
    struct am_model_patch model;
    struct am_version_patch version;
    /* of the transaction */
    char etag[AM_ETAG];
    char *stored, *merged;
};

static void patch_done(struct patch *p)
{
    free(p->stored);
    free(p->merged);
}

static void check_text(const char *text, const char *pointer, size_t max, struct am_faults *f)
{
    if (text && strlen(text) > max)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = pointer}, "at most %zu bytes (got %zu)", max,
                     strlen(text));
}

void am_description_check(const char *text, struct am_faults *f)
{
    check_text(text, "#/description", DESCRIPTION_MAX, f);
}

struct am_about am_about_read(json_t *body, struct am_faults *f)
{
    struct am_about a = {.id = am_member_text(body, "#", "id", true, NULL, f),
                         .description = am_member_text(body, "#", "description", false, "", f),
                         .labels = am_member_object(body, "#", "labels", false, f)};
    am_labels_check(a.labels, false, f);
    am_description_check(a.description, f);
    const char *why = a.id ? am_model_name_fault(a.id) : NULL;
    if (why)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/id"}, "%s", why);
    return a;
}

static void check_not_empty(struct am_req *r, const char *members, struct am_faults *f)
{
    if (json_object_size(r->json) == 0)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#"}, "nothing to change; give %s", members);
}

static const bool *read_flag(struct am_req *r, const char *name, bool *at, struct am_faults *f)
{
    *at = am_member_bool(r->json, "#", name, false, f);
    return json_object_get(r->json, name) ? at : NULL;
}

/* ---- the transaction ---- */

static int state_is_seen(struct patch *p)
{
    return am_etag_matches(p->r, MHD_HTTP_HEADER_IF_MATCH, p->etag) ? 0 : -AM_E_PRECONDITION_FAILED;
}

static int keep_text(char **at, const char *text)
{
    free(*at);
    *at = strdup(text);
    return *at ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int merge_labels(struct patch *p)
{
    free(p->merged);
    p->merged = NULL;
    return p->labels ? am_labels_merge(p->stored, p->labels, &p->merged) : 0;
}

static int take_model(void *ctx, const struct am_model_row *m)
{
    struct patch *p = ctx;
    p->id = m->id;
    am_model_etag(m, p->etag);
    return keep_text(&p->stored, m->labels);
}

static int write_model(struct am_db *db, void *arg)
{
    struct patch *p = arg;
    AM_TRY(am_model_get(db, p->name, take_model, p));
    AM_TRY(state_is_seen(p));
    AM_TRY(merge_labels(p));
    p->model.labels = p->merged;
    p->model.now = am_now_ms();
    p->model.by = "local";
    return am_model_patch(db, p->id, &p->model);
}

static int take_version(void *ctx, const struct am_version_row *v)
{
    struct patch *p = ctx;
    if (v->deleted_at)
        return -AM_E_REVISION_NOT_FOUND;
    am_version_etag(p->r->srv->cfg, v, p->etag);
    return keep_text(&p->stored, v->labels);
}

static int write_version(struct am_db *db, void *arg)
{
    struct patch *p = arg;
    AM_TRY(am_version_get(db, p->id, take_version, p));
    AM_TRY(state_is_seen(p));
    AM_TRY(merge_labels(p));
    p->version.labels = p->merged;
    p->version.now = am_now_ms();
    p->version.by = "local";
    return am_version_patch(db, p->id, &p->version);
}

static int refuse(struct patch *p, int rc)
{
    int queued = MHD_NO;
    if (rc == -AM_E_PRECONDITION_FAILED && !am_req_if_match(p->r, p->etag, &queued))
        return queued;
    if (rc == -AM_E_TOO_LARGE)
        return am_reply_fault(p->r, AM_E_INVALID_REQUEST, "#/labels",
                              "with these it would have more than 64 labels; remove some by giving them as null");
    if (rc == -AM_E_NOT_FOUND && p->name[0])
        return am_reply_model(p->r, p->name); /* says why */
    return am_reply_error(p->r, rc, "the change could not be stored");
}

/* ---- the routes ---- */

static void read_retention(struct am_req *r, struct patch *p, struct am_faults *f)
{
    static const char *const known[] = {"unreferenced_days", NULL};
    json_t *o = am_member_object(r->json, "#", "retention", false, f);
    am_members_known(o, "#/retention", known, f);
    json_t *days = json_object_get(o, "unreferenced_days");
    if (!days)
        return;
    p->days = json_is_null(days) ? -1 : am_member_int(o, "#/retention", "unreferenced_days", 0, DAYS_MAX, 0, f);
    p->model.keep_days = &p->days;
}

int am_api_model_patch(struct am_req *r)
{
    static const char *const known[] = {"description", "labels", "private", "retention", NULL};
    struct am_faults f = {0};
    AM_CLEANUP(patch_done) struct patch p = {.r = r};
    am_model_id(r, p.name);
    am_members_known(r->json, "#", known, &f);
    check_not_empty(r, "description, labels, private or retention", &f);
    p.model.description = am_member_text(r->json, "#", "description", false, NULL, &f);
    am_description_check(p.model.description, &f);
    p.labels = am_member_object(r->json, "#", "labels", false, &f);
    am_labels_check(p.labels, true, &f);
    p.model.is_private = read_flag(r, "private", &p.is_private, &f);
    read_retention(r, &p, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    int rc = am_store_write(r->srv->store, write_model, &p);
    return rc < 0 ? refuse(&p, rc) : am_reply_model(r, p.name);
}

int am_api_version_patch(struct am_req *r)
{
    static const char *const known[] = {"labels", "pinned", "note", NULL};
    struct am_faults f = {0};
    AM_CLEANUP(patch_done) struct patch p = {.r = r};
    int queued = MHD_NO;
    am_members_known(r->json, "#", known, &f);
    check_not_empty(r, "labels, pinned or note", &f);
    p.labels = am_member_object(r->json, "#", "labels", false, &f);
    am_labels_check(p.labels, true, &f);
    p.version.pinned = read_flag(r, "pinned", &p.pinned, &f);
    p.version.no_note = json_is_null(json_object_get(r->json, "note"));
    if (!p.version.no_note)
        p.version.note = am_member_text(r->json, "#", "note", false, NULL, &f);
    check_text(p.version.note, "#/note", NOTE_MAX, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    if (am_find_version(r, &p.id, NULL, &queued) < 0)
        return queued;
    int rc = am_store_write(r->srv->store, write_version, &p);
    return rc < 0 ? refuse(&p, rc) : am_reply_version(r, p.id);
}
