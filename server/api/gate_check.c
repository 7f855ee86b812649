/*
 * gate_check.c - POST /v1/gates/{gate}/check: a decision about a report that is here. It compares stored bounds with
 * limits and computes no statistics.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/gate/decide.h"
#include "core/table/canon.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/decisions.h"
#include "server/api/idempotency.h"
#include "server/api/predictions.h"
#include "server/gates.h"
#include "server/reply.h"
#include "server/report_files.h"
#include "storage/reports.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

struct check {
    struct am_req *r;
    const char *report, *old, *new, *dataset; /* of the body, or NULL */
    const char *name;
    char gate[AM_GATE_REF];
    int64_t revision;
    struct am_policy policy;
    /* of the report */
    char uid[64], slices_sha256[65], old_text[600], new_text[600];
    int64_t old_version, new_version;
    json_t *body, *slices;
    /* the decision */
    json_t *decision, *answer;
    char *text, id[64];
    const struct am_idem *idem;
};

/* ---- the report ---- */

static int take_report(void *ctx, const struct am_report_row *p)
{
    struct check *c = ctx;
    snprintf(c->uid, sizeof c->uid, "%s", p->uid);
    snprintf(c->slices_sha256, sizeof c->slices_sha256, "%s", p->slices_sha256 ? p->slices_sha256 : "");
    snprintf(c->old_text, sizeof c->old_text, "%s", p->old);
    snprintf(c->new_text, sizeof c->new_text, "%s", p->new);
    c->old_version = p->old_version;
    c->new_version = p->new_version;
    json_decref(c->body);
    c->body = json_loads(p->body, 0, NULL);
    return c->body ? 0 : -AM_E_STORE_DAMAGED;
}

static int no_report(struct check *c)
{
    json_t *side = c->dataset ? json_pack("{s:s}", "external", c->dataset) : json_null();
    json_t *job = json_pack("{s:{s:s, s:s, s:{s:s, s:s, s:o}, s:s}}", "job", "type", "evaluate", "method", "compare",
                            "inputs", "old", c->old, "new", c->new, "data", side, "gate", c->name);
    char detail[1200];
    snprintf(detail, sizeof detail,
             "%.200s was not compared with %.200s%s%.200s; `job` of this answer does that and decides", c->new, c->old,
             c->dataset ? " on " : "", c->dataset ? c->dataset : "");
    return am_reply_problem_extra(c->r, AM_E_REPORT_MISSING, detail, job);
}

/* The newest comparison of the two. false: an answer was queued. */
static bool find_pair(struct check *c, struct am_db *db, int *ret_queued)
{
    struct am_report_filter f = {.dataset = c->dataset, .method = "compare", .limit = 1};
    if (!am_named_version(c->r, db, c->old, "#/old", &f.old_version, &f.old_external, ret_queued) ||
        !am_named_version(c->r, db, c->new, "#/new", &f.new_version, &f.new_external, ret_queued))
        return false;
    int rc = am_report_list(db, &f, take_report, c);
    if (rc == 0 && c->body)
        return true;
    *ret_queued = rc < 0 ? am_reply_error(c->r, rc, "the report could not be read") : no_report(c);
    return false;
}

static bool find_report(struct check *c, struct am_db *db, int *ret_queued)
{
    if (!c->report)
        return find_pair(c, db, ret_queued);
    int rc = am_report_get(db, c->report, take_report, c);
    if (rc == 0)
        return true;
    *ret_queued = rc == -AM_E_NOT_FOUND
                      ? am_reply_fault(c->r, AM_E_REPORT_MISSING, "#/report",
                                       "there is no report %.80s here; GET /v1/reports lists them", c->report)
                      : am_reply_error(c->r, rc, "the report could not be read");
    return false;
}

static int keep_slice(void *ctx, int64_t number, json_t *slice)
{
    struct check *c = ctx;
    (void)number;
    if (!am_gate_wants_slice(&c->policy.policy, json_string_value(json_object_get(slice, "key")),
                             json_string_value(json_object_get(slice, "value"))))
        return 0;
    return json_array_append(c->slices, slice) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

/* ---- the decision ---- */

static int decide(struct check *c)
{
    if (am_gate_wants_slice(&c->policy.policy, NULL, NULL) && c->slices_sha256[0])
        AM_TRY(am_slices_walk(c->r->srv->store, c->slices_sha256, 0, keep_slice, c));
    const struct am_gate_input in = {
        .gate = c->gate, .report = c->body, .slices = c->slices, .finite = AM_GATE_NOTHING, .leak = AM_GATE_NOTHING};
    AM_TRY(am_gate_decision(&c->policy.policy, &in, &c->decision));
    c->text = am_canon(c->decision);
    return c->text ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int insert(struct am_db *db, void *arg)
{
    struct check *c = arg;
    int64_t now = am_now_ms();
    am_id_new("gdc_", now, c->id);
    AM_TRY(am_decision_insert(
        db, &(struct am_decision_new){.uid = c->id,
                                      .gate = c->name,
                                      .revision = c->revision,
                                      .old_version = c->old_version,
                                      .new_version = c->new_version,
                                      .old = c->old_text,
                                      .new = c->new_text,
                                      .report = c->uid,
                                      .verdict = json_string_value(json_object_get(c->decision, "verdict")),
                                      .body = c->text,
                                      .created_by = "local",
                                      .now = now}));
    AM_TRY(am_decision_get(db, c->id, am_decision_take, &c->answer));
    return am_idem_keep(db, c->idem, 201, c->answer);
}

static int reply_decision(struct am_req *r, json_t *decision)
{
    return am_reply_created(r, decision, "/v1/decisions/%s", json_string_value(json_object_get(decision, "id")));
}

/* ---- the request ---- */

static void read_body(struct check *c, struct am_faults *f)
{
    static const char *const known[] = {"report", "old", "new", "dataset", NULL};
    json_t *body = c->r->json;
    am_members_known(body, "#", known, f);
    c->report = am_member_text(body, "#", "report", false, NULL, f);
    bool pair = !c->report;
    c->old = am_member_text(body, "#", "old", pair, NULL, f);
    c->new = am_member_text(body, "#", "new", pair, NULL, f);
    c->dataset = am_member_text(body, "#", "dataset", false, NULL, f);
    if (c->report && (c->old || c->new || c->dataset))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/report"},
                     "give a report, or old and new with or without a dataset");
}

static int run(struct check *c)
{
    int queued = MHD_NO;
    struct am_db *db = am_reader(c->r, &queued);
    if (!db)
        return queued;
    int rc = am_gates_load(db, c->name, &c->policy, c->gate, &c->revision);
    if (rc == -AM_E_NOT_FOUND)
        return am_reply_problem(c->r, AM_E_NOT_FOUND, "there is no gate \"%.100s\"; GET /v1/gates lists them", c->name);
    if (rc < 0)
        return am_reply_error(c->r, rc, "the gate could not be read");
    if (!find_report(c, db, &queued))
        return queued;
    rc = decide(c);
    if (rc == -AM_E_INVALID_PARAMS)
        return am_reply_problem(c->r, AM_E_REPORT_MISSING, "the report %s is not about two versions", c->uid);
    rc = rc < 0 ? rc : am_store_write(c->r->srv->store, insert, c);
    return rc < 0 ? am_reply_error(c->r, rc, "the decision could not be made")
                  : reply_decision(c->r, json_incref(c->answer));
}

static int check(struct am_req *r, const struct am_idem *idem)
{
    struct check c = {.r = r, .name = r->arg[0], .idem = idem, .slices = json_array()};
    struct am_faults f = {0};
    read_body(&c, &f);
    int queued = f.n ? am_reply_faults(r, &f) : run(&c);
    am_policy_done(&c.policy);
    json_decref(c.body);
    json_decref(c.slices);
    json_decref(c.decision);
    json_decref(c.answer);
    free(c.text);
    return queued;
}

int am_api_gate_check(struct am_req *r)
{
    return am_idem_once(r, reply_decision, check);
}
