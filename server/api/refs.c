/*
 * refs.c - branches, tags and aliases, read: the list, one ref, its history. Changes are in ref_put.c, ref_edit.c and
 * ref_back.c.
 */
#include "server/api/refs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

json_t *am_ref_json(const char *model, const struct am_ref_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:{s:b, s:s?}, s:o, s:s?, s:s?}", "object", "ref", "model",
                     model, "name", row->name, "kind", row->kind, "commit", row->commit, "number",
                     am_json_count(row->number), "revision", (json_int_t)row->revision, "policy", "protected",
                     row->is_protected, "gate", row->gate, "moved_at", am_json_time(row->moved_at), "moved_by",
                     row->moved_by, "reason", row->reason);
}

int am_reply_ref(struct am_req *r, int status, json_t *ref)
{
    char etag[40];
    snprintf(etag, sizeof etag, "\"%lld\"", (long long)json_integer_value(json_object_get(ref, "revision")));
    const char *headers[] = {MHD_HTTP_HEADER_ETAG, etag, NULL};
    return am_reply_json(r, status, ref, headers);
}

struct near {
    char text[64][128];
    const char *v[64];
    size_t n;
};

static int keep_name(void *ctx, const struct am_ref_row *row)
{
    struct near *k = ctx;
    if (k->n == 64)
        return -AM_E_CANCELLED;
    snprintf(k->text[k->n], sizeof k->text[0], "%s", row->name);
    k->v[k->n] = k->text[k->n];
    k->n++;
    return 0;
}

int am_reply_no_ref(struct am_req *r, const char *model, const char *name)
{
    struct near k = {.n = 0};
    struct am_db *db = am_store_read(r->srv->store);
    if (db)
        am_ref_list(db, model, keep_name, &k);
    const char *near = am_nearest(name, k.v, k.n);
    return am_reply_problem(r, AM_E_NOT_FOUND, "%s has no ref \"%.200s\"%s%s%s; GET /v1/models/%s/refs lists its refs",
                            model, name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "", model);
}

/* What one read of refs works on. */
struct reading {
    char model[200];
    int64_t model_row;
    struct am_db *db;
    json_t *data;
};

/* false: an answer was queued. */
static bool begin(struct am_req *r, struct reading *q, int *ret_queued)
{
    am_model_id(r, q->model);
    q->db = am_reader(r, ret_queued);
    if (!q->db)
        return false;
    int rc = am_model_row(q->db, q->model, &q->model_row);
    if (rc == -AM_E_NOT_FOUND)
        *ret_queued = am_reply_no_model(r, q->model);
    else if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the model could not be read");
    q->data = rc < 0 ? NULL : json_array();
    return rc == 0;
}

static int add_ref(void *ctx, const struct am_ref_row *row)
{
    struct reading *q = ctx;
    return am_json_add(q->data, am_ref_json(q->model, row));
}

int am_api_refs(struct am_req *r)
{
    static const char *const kinds[] = {"branch", "tag", "alias"};
    struct reading q;
    int64_t limit;
    int queued = MHD_NO;
    const char *kind = am_req_query(r, "kind");
    if (!am_req_int(r, "limit", 1, 100, 20, &limit, &queued))
        return queued;
    if (kind && !am_streq(kind, kinds[0]) && !am_streq(kind, kinds[1]) && !am_streq(kind, kinds[2]))
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?kind", "kind is branch, tag or alias, not \"%.40s\"", kind);
    if (!begin(r, &q, &queued))
        return queued;
    int rc = am_ref_page(q.db, q.model_row, kind, am_req_query(r, "after"), (int)limit + 1, add_ref, &q);
    return am_reply_page(r, rc, q.data, limit, "name", "refs");
}

/* NULL: an answer was queued. */
static json_t *read_ref(struct am_req *r, char model[200], char etag[40], int *ret_queued)
{
    struct reading q;
    if (!begin(r, &q, ret_queued))
        return NULL;
    int rc = am_ref_get(q.db, q.model_row, r->arg[2], add_ref, &q);
    json_t *ref = json_incref(json_array_get(q.data, 0));
    json_decref(q.data);
    if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the ref could not be read");
    else if (!ref)
        *ret_queued = am_reply_no_ref(r, q.model, r->arg[2]);
    memcpy(model, q.model, sizeof q.model);
    snprintf(etag, 40, "%lld", (long long)json_integer_value(json_object_get(ref, "revision")));
    return ref;
}

static int reply_ref(struct am_req *r, const char *subject, bool over)
{
    char model[200], etag[40];
    int queued = MHD_NO;
    (void)subject;
    (void)over;
    json_t *ref = read_ref(r, model, etag, &queued);
    return ref ? am_reply_resource(r, ref, etag) : queued;
}

/* Prefer: wait=n waits for a new revision: a move, another policy, the end. Who names with If-None-Match one that is
 * not the present has missed something and need not wait. */
int am_api_ref(struct am_req *r)
{
    char model[200], etag[40];
    int queued = MHD_NO;
    int64_t ms = am_req_prefer_ms(r, 0);
    if (ms <= 0)
        return reply_ref(r, NULL, false);
    json_t *ref = read_ref(r, model, etag, &queued);
    if (!ref)
        return queued;
    int64_t revision = json_integer_value(json_object_get(ref, "revision"));
    json_decref(ref);
    if (am_req_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH) && !am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, etag))
        return reply_ref(r, NULL, true);
    return am_req_wait_ref(r, model, r->arg[2], revision, ms, reply_ref);
}

static int add_move(void *ctx, const struct am_ref_move_row *m)
{
    struct reading *q = ctx;
    json_t *o = json_pack("{s:I, s:s, s:s?, s:o, s:s?, s:o, s:o, s:o, s:s, s:s, s:s?, s:s?, s:b}", "seq",
                          (json_int_t)m->seq, "kind", m->kind, "from", m->from, "from_number",
                          am_json_count(m->from_number), "to", m->to, "to_number", am_json_count(m->to_number), "steps",
                          am_json_count(m->steps ? m->steps : -1), "at", am_json_time(m->at), "by", m->by, "reason",
                          m->reason, "job", m->job, "decision", m->decision, "forced", m->forced);
    return am_json_add(q->data, o);
}

/* A ref that never was has no history. */
static int check_known(struct reading *q, const char *name)
{
    if (json_array_size(q->data))
        return 0;
    AM_TRY(am_ref_history(q->db, q->model_row, name, 0, 1, add_move, q));
    bool known = json_array_size(q->data) > 0;
    json_array_clear(q->data);
    return known ? 0 : -AM_E_NOT_FOUND;
}

/* The entry that was in force at a time: none when the ref was not there then. */
static int read_at(struct reading *q, const char *name, int64_t at)
{
    AM_TRY(am_ref_history_at(q->db, q->model_row, name, at, add_move, q));
    if (json_is_null(json_object_get(json_array_get(q->data, 0), "to")))
        json_array_clear(q->data);
    return check_known(q, name);
}

int am_api_ref_history(struct am_req *r)
{
    struct reading q;
    int64_t limit, after, at = 0;
    int queued = MHD_NO;
    const char *when = am_req_query(r, "at");
    if (!am_req_int(r, "limit", 1, 100, 20, &limit, &queued) ||
        !am_req_int(r, "after", 1, INT64_MAX - 1, 0, &after, &queued))
        return queued;
    if (when && am_time_parse(when, &at) < 0)
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?at",
                              "at is a time of RFC 3339, such as 2026-11-23T02:00:00Z, not \"%.60s\"", when);
    if (when && after)
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?after", "at gives one entry at most; leave after out");
    if (!begin(r, &q, &queued))
        return queued;
    int rc = when ? read_at(&q, r->arg[2], at)
                  : am_ref_history(q.db, q.model_row, r->arg[2], after, (int)limit + 1, add_move, &q);
    if (rc == 0)
        rc = check_known(&q, r->arg[2]);
    if (rc != -AM_E_NOT_FOUND)
        return am_reply_page(r, rc, q.data, limit, "seq", "moves of the ref");
    json_decref(q.data);
    return am_reply_no_ref(r, q.model, r->arg[2]);
}
