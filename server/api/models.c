/*
 * models.c - models: list, create, get.
 */
#include "core/base/clock.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

void am_model_etag(const struct am_model_row *m, char out[AM_ETAG])
{
    snprintf(out, AM_ETAG, "m%lld-%lld", (long long)m->id, (long long)m->rev);
}

json_t *am_model_json(const struct am_config *cfg, struct am_db *db, const struct am_model_row *m)
{
    int64_t physical;
    if (am_model_physical(db, m->id, &physical) < 0)
        return NULL;
    char self[260];
    snprintf(self, sizeof self, "/v1/models/%s", m->name);
    json_t *head = json_pack("{s:s, s:I}", "commit", m->head_commit, "number", (json_int_t)m->head_number);
    json_t *refs = json_pack("{s:I, s:I, s:I}", "branches", (json_int_t)m->branches, "tags", (json_int_t)m->tags,
                             "aliases", (json_int_t)m->aliases);
    int64_t days = m->keep_days < 0 ? (int64_t)cfg->unreferenced_days : m->keep_days;
    json_t *retention = json_pack("{s:I, s:b}", "unreferenced_days", (json_int_t)days, "own", m->keep_days >= 0);
    return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:s?, s:o, s:o, s:I, s:I, s:I, s:o, s:n, s:{s:s}}", "object",
                     "model", "id", m->name, "description", m->description ? m->description : "", "private",
                     m->is_private, "labels", am_json_stored(m->labels), "created_at", am_json_time(m->created_at),
                     "created_by", m->created_by, "head", head, "refs", refs, "versions", (json_int_t)m->versions,
                     "logical_bytes", (json_int_t)m->logical_bytes, "physical_bytes", (json_int_t)physical, "retention",
                     retention, "deleted_at", "links", "self", self);
}

struct collect {
    const struct am_config *cfg;
    struct am_db *db;
    json_t *data;
    char etag[AM_ETAG];
};

static int add_model(void *ctx, const struct am_model_row *m)
{
    struct collect *c = ctx;
    am_model_etag(m, c->etag);
    return am_json_add(c->data, am_model_json(c->cfg, c->db, m));
}

int am_api_models(struct am_req *r)
{
    int64_t limit;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, NULL, &queued);
    char *labels = NULL;
    if (!db || !am_labels_wanted(r, &labels, &queued))
        return queued;
    struct collect c = {.cfg = r->srv->cfg, .db = db, .data = json_array()};
    const struct am_model_filter filter = {
        .search = am_req_query(r, "search"), .space = am_req_query(r, "namespace"), .labels = labels};
    int rc = am_model_find(db, &filter, am_req_query(r, "after"), (int)limit + 1, add_model, &c);
    free(labels);
    return am_reply_page(r, rc, c.data, limit, "id", "models");
}

static int reply_created(struct am_req *r, json_t *model /* stolen */)
{
    return am_reply_created(r, model, "/v1/models/%s", json_string_value(json_object_get(model, "id")));
}

int am_reply_model(struct am_req *r, const char *name)
{
    int queued = MHD_NO;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    struct collect c = {.cfg = r->srv->cfg, .db = db, .data = json_array()};
    int rc = am_model_get(db, name, add_model, &c);
    json_t *m = json_incref(json_array_get(c.data, 0));
    json_decref(c.data);
    if (rc < 0)
        return rc == -AM_E_NOT_FOUND ? am_reply_no_model(r, name)
                                     : am_reply_error(r, rc, "the model could not be read");
    return am_reply_resource(r, m, c.etag);
}

int am_api_model(struct am_req *r)
{
    char name[200];
    am_model_id(r, name);
    return am_reply_model(r, name);
}

struct create {
    const struct am_config *cfg;
    struct am_db *db; /* the writer's */
    struct am_model_new row;
    char other[200];
    const struct am_idem *idem;
    json_t *answer;
};

static int take_model(void *ctx, const struct am_model_row *m)
{
    struct create *c = ctx;
    json_decref(c->answer);
    c->answer = am_model_json(c->cfg, c->db, m);
    return c->answer ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int create_model(struct am_db *db, void *arg)
{
    struct create *c = arg;
    int64_t id;
    c->db = db;
    AM_TRY(am_model_create(db, &c->row, &id, c->other));
    AM_TRY(am_model_get(db, c->row.name, take_model, c));
    return am_idem_keep(db, c->idem, 201, c->answer);
}

static int create(struct am_req *r, const struct am_idem *idem)
{
    static const char *const known[] = {"id", "description", "private", "labels", NULL};
    struct am_faults f = {0};
    am_members_known(r->json, "#", known, &f);
    struct am_about about = am_about_read(r->json, &f);
    bool is_private = am_member_bool(r->json, "#", "private", false, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    char *text = about.labels ? json_dumps(about.labels, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    struct create c = {.cfg = r->srv->cfg,
                       .idem = idem,
                       .row = {.name = about.id,
                               .description = about.description,
                               .labels = text ? text : "{}",
                               .created_by = "local",
                               .is_private = is_private,
                               .now = am_now_ms()}};
    int rc = am_store_write(r->srv->store, create_model, &c);
    free(text);
    if (rc == 0)
        return reply_created(r, c.answer);
    json_decref(c.answer);
    if (rc == -AM_E_CONFLICT) {
        char hint[500] = "";
        struct am_db *db = am_store_read(r->srv->store);
        if (db)
            am_model_deleted(r, db, about.id, hint, sizeof hint);
        return hint[0] ? am_reply_fault(r, AM_E_CONFLICT, "#/id", "%s", hint)
                       : am_reply_fault(r, AM_E_CONFLICT, "#/id", "the model %s exists already", about.id);
    }
    if (rc == -AM_E_NAME_TAKEN)
        return am_reply_fault(r, AM_E_NAME_TAKEN, "#/id", "%s differs only in case from the existing model %s",
                              about.id, c.other);
    return am_reply_error(r, rc, "the model could not be created");
}

int am_api_model_create(struct am_req *r)
{
    return am_idem_once(r, reply_created, create);
}
