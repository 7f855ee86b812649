/*
 * decisions.c - gate decisions, read: the list and one. They are made by jobs and by POST /v1/gates/{gate}/check.
 */
#include "server/api/decisions.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "storage/refs.h"

#include <microhttpd.h>
#include <stdio.h>

json_t *am_decision_json(const struct am_decision_row *d)
{
    char gate[120];
    json_t *body = am_json_stored(d->body);
    snprintf(gate, sizeof gate, "%s@%lld", d->gate ? d->gate : "", (long long)d->revision);
    json_t *o = json_pack("{s:s, s:s, s:s?, s:O?, s:s?, s:s, s:s?, s:s, s:s?, s:s?, s:O?, s:s, s:O?, s:o, s:s}",
                          "object", "decision", "id", d->uid, "gate", d->gate ? gate : NULL, "policy",
                          json_object_get(body, "policy"), "old_model", d->old_model, "old", d->old, "new_model",
                          d->new_model, "new", d->new, "report", d->report, "job", d->job, "rules",
                          json_object_get(body, "rules"), "verdict", d->verdict, "text", json_object_get(body, "text"),
                          "created_at", am_json_time(d->created_at), "created_by", d->created_by);
    json_decref(body);
    return o;
}

/* "ns/name@rest" apart; false: it is none, and an answer was queued. */
static bool split(struct am_req *r, const char *query, char model[200], const char **ret_rest, int *ret_queued)
{
    const char *text = am_req_query(r, query);
    char where[32];
    const char *rest = am_rev_split(text, model, 200), *why = am_model_name_fault(model);
    snprintf(where, sizeof where, "?%s", query);
    *ret_rest = rest ? rest : "main";
    if (why)
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, where, "%s must be namespace/name@%s (%s)", query,
                                     am_streq(query, "ref") ? "ref" : "rev", why);
    return !why;
}

/* false: an answer was queued. */
static bool read_filter(struct am_req *r, struct am_db *db, struct am_decision_filter *f, int *ret_queued)
{
    char model[200];
    const char *rest, *verdict = f->verdict;
    int rc = 0;
    if (verdict && !am_streq(verdict, "promote") && !am_streq(verdict, "inconclusive") && !am_streq(verdict, "hold")) {
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, "?verdict",
                                     "verdict is promote, inconclusive or hold, not \"%.40s\"", verdict);
        return false;
    }
    if (am_req_query(r, "version")) {
        if (!split(r, "version", model, &rest, ret_queued))
            return false;
        rc = am_rev_resolve_any(db, model, rest, &f->version);
    }
    if (rc == 0 && am_req_query(r, "ref")) {
        if (!split(r, "ref", model, &f->ref, ret_queued))
            return false;
        rc = am_model_row(db, model, &f->ref_model);
    }
    if (rc < 0)
        *ret_queued = rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND
                          ? am_reply_problem(r, -rc, "%s has nothing of that name here", model)
                          : am_reply_error(r, rc, "the database could not answer");
    return rc == 0;
}

static int add_decision(void *ctx, const struct am_decision_row *d)
{
    return am_rows_add(ctx, d->id, am_decision_json(d));
}

int am_api_decisions(struct am_req *r)
{
    int64_t limit, after;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    struct am_decision_filter f = {.verdict = am_req_query(r, "verdict"), .after = after, .limit = (int)limit + 1};
    if (!db || !read_filter(r, db, &f, &queued))
        return queued;
    struct am_rows rows = {.data = json_array()};
    int rc = am_decision_list(db, &f, add_decision, &rows);
    return am_reply_rows(r, rc, &rows, limit, "decisions");
}

int am_decision_take(void *ctx, const struct am_decision_row *d)
{
    return am_json_take(ctx, am_decision_json(d));
}

/* A decision never changes, so its id says all of its state. */
int am_api_decision(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *decision = NULL;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    int rc = am_decision_get(db, r->arg[0], am_decision_take, &decision);
    if (rc == 0)
        return am_reply_resource(r, decision, r->arg[0]);
    return rc == -AM_E_NOT_FOUND
               ? am_reply_problem(r, AM_E_NOT_FOUND, "no decision %.80s; GET /v1/decisions lists what is here",
                                  r->arg[0])
               : am_reply_error(r, rc, "the decision could not be read");
}
