/*
 * gates.c - gate policies: list, one, its revisions, PUT and DELETE. What a policy may be is core/gate/policy.h.
 */
#include "storage/gates.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/gate/policy.h"
#include "core/table/canon.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *gate_json(const struct am_gate_row *g)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:s}", "object", "gate", "name", g->name, "revision",
                     (json_int_t)g->revision, "policy", am_json_stored(g->policy), "created_at",
                     am_json_time(g->created_at), "created_by", g->created_by);
}

static int add_gate(void *ctx, const struct am_gate_row *g)
{
    return am_json_add(ctx, gate_json(g));
}

static int no_gate(struct am_req *r)
{
    return am_reply_problem(r, AM_E_NOT_FOUND, "there is no gate \"%.100s\"; GET /v1/gates lists them", r->arg[0]);
}

int am_api_gates(struct am_req *r)
{
    int64_t limit;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, NULL, &queued);
    if (!db)
        return queued;
    json_t *data = json_array();
    int rc = am_gate_list(db, am_req_query(r, "after"), (int)limit + 1, add_gate, data);
    return am_reply_page(r, rc, data, limit, "name", "gates");
}

static int take_gate(void *ctx, const struct am_gate_row *g)
{
    return am_json_take(ctx, gate_json(g));
}

static void etag_of(const json_t *gate, char out[AM_ETAG])
{
    snprintf(out, AM_ETAG, "%lld", (long long)json_integer_value(json_object_get(gate, "revision")));
}

int am_api_gate(struct am_req *r)
{
    char etag[AM_ETAG];
    int queued = MHD_NO;
    json_t *gate = NULL;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    int rc = am_gate_get(db, r->arg[0], take_gate, &gate);
    if (rc < 0)
        return rc == -AM_E_NOT_FOUND ? no_gate(r) : am_reply_error(r, rc, "the gate could not be read");
    etag_of(gate, etag);
    return am_reply_resource(r, gate, etag);
}

int am_api_gate_revisions(struct am_req *r)
{
    int64_t limit, after;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    if (!db)
        return queued;
    json_t *data = json_array();
    int rc = am_gate_revisions(db, r->arg[0], after, (int)limit + 1, add_gate, data);
    if (rc < 0 || json_array_size(data) > 0 || after)
        return am_reply_page(r, rc, data, limit, "revision", "revisions of the gate");
    json_decref(data);
    return no_gate(r);
}

/* ---- changes ---- */

struct change {
    struct am_req *r;
    const char *policy; /* its long form */
    char etag[AM_ETAG], used[300];
    json_t *now; /* before the change; NULL: not there */
    json_t *answer;
    bool seen, made;
};

/* What the caller has seen must be what is there; of what is not there nothing need be said. The answer is queued
   outside the transaction. */
static int check_seen(struct am_db *db, struct change *c)
{
    const char *none = am_req_header(c->r, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *match = am_req_header(c->r, MHD_HTTP_HEADER_IF_MATCH);
    json_decref(c->now);
    c->now = NULL; /* a transaction may be run again */
    int rc = am_gate_get(db, c->r->arg[0], take_gate, &c->now);
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    c->made = !c->now;
    if (c->now)
        etag_of(c->now, c->etag);
    if (am_streq(none, "*") && c->now)
        return -AM_E_PRECONDITION_FAILED;
    if (match && (!c->now || !am_etag_matches(c->r, MHD_HTTP_HEADER_IF_MATCH, c->etag)))
        return -AM_E_PRECONDITION_FAILED;
    return c->now && !match ? -AM_E_PRECONDITION_REQUIRED : 0;
}

static int put(struct am_db *db, void *arg)
{
    struct change *c = arg;
    AM_TRY(check_seen(db, c));
    AM_TRY(am_gate_put(db, c->r->arg[0], c->policy, "local", am_now_ms(), NULL));
    return am_gate_get(db, c->r->arg[0], take_gate, &c->answer);
}

static int refused(struct change *c, int rc)
{
    const char *name = c->r->arg[0];
    int queued;
    if (rc == -AM_E_PRECONDITION_REQUIRED)
        queued = am_reply_problem(c->r, AM_E_PRECONDITION_REQUIRED,
                                  "the gate %s is there: add -H 'If-Match: \"%s\"' to say that you have seen it", name,
                                  c->etag);
    else if (rc == -AM_E_PRECONDITION_FAILED && c->now)
        queued = am_reply_problem(c->r, AM_E_PRECONDITION_FAILED,
                                  "somebody was first: the gate %s is at revision \"%s\"; read it again, then decide",
                                  name, c->etag);
    else if (rc == -AM_E_NOT_FOUND)
        queued = no_gate(c->r);
    else if (rc == -AM_E_PRECONDITION_FAILED)
        queued = am_reply_problem(c->r, AM_E_PRECONDITION_FAILED,
                                  "there is no gate %s; to make it leave If-Match out, or send If-None-Match: *", name);
    else if (rc == -AM_E_CONFLICT)
        queued = am_reply_problem(c->r, AM_E_CONFLICT,
                                  "the policy of %s names the gate; give that ref another one first: PATCH "
                                  "{\"policy\":{\"gate\":null}}",
                                  c->used);
    else
        queued = am_reply_error(c->r, rc, "the gate could not be changed");
    json_decref(c->now);
    json_decref(c->answer);
    return queued;
}

static int answer(struct change *c)
{
    char etag[AM_ETAG + 2], location[128];
    snprintf(etag, sizeof etag, "\"%lld\"", (long long)json_integer_value(json_object_get(c->answer, "revision")));
    snprintf(location, sizeof location, "/v1/gates/%s", c->r->arg[0]);
    const char *headers[] = {MHD_HTTP_HEADER_ETAG, etag, c->made ? MHD_HTTP_HEADER_LOCATION : NULL, location, NULL};
    json_decref(c->now);
    return am_reply_json(c->r, c->made ? 201 : 200, c->answer, headers);
}

int am_api_gate_put(struct am_req *r)
{
    struct am_faults f = {0};
    struct am_policy p;
    const char *why = am_gate_name_fault(r->arg[0]);
    if (why)
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "{gate}"}, "%s", why);
    int rc = am_policy_read(&p, r->json, "#", &f);
    if (rc == -AM_E_OUT_OF_MEMORY && f.n == 0)
        return am_reply_error(r, rc, "the policy could not be read");
    if (f.n) {
        if (rc == 0)
            am_policy_done(&p);
        return am_reply_faults(r, &f);
    }
    json_t *policy = am_policy_json(&p.policy);
    char *text = policy ? am_canon(policy) : NULL;
    struct change c = {.r = r, .policy = text};
    rc = text ? am_store_write(r->srv->store, put, &c) : -AM_E_OUT_OF_MEMORY;
    free(text);
    json_decref(policy);
    am_policy_done(&p);
    return rc < 0 ? refused(&c, rc) : answer(&c);
}

static int end_gate(struct am_db *db, void *arg)
{
    struct change *c = arg;
    int rc = check_seen(db, c);
    if (rc < 0 || !c->now)
        return rc < 0 && c->now ? rc : -AM_E_NOT_FOUND;
    rc = am_gate_used(db, c->r->arg[0], c->used, sizeof c->used);
    return rc != 0 ? (rc < 0 ? rc : -AM_E_CONFLICT) : am_gate_delete(db, c->r->arg[0], "local", am_now_ms());
}

int am_api_gate_delete(struct am_req *r)
{
    struct change c = {.r = r};
    int rc = am_store_write(r->srv->store, end_gate, &c);
    return rc < 0 ? refused(&c, rc) : am_reply_json(r, 200, c.now, NULL);
}
